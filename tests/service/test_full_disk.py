"""A disk that is full under a running service: said with the remedy, nothing left behind, all well afterwards."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support import RunningService, files_no_larger_than, frame_files, picture, search, upload, wait_until


def send(running: RunningService, contents: list[bytes], **metadata: object) -> httpx.Response:
    """Store a tracklet."""
    with running.client() as client:
        return client.post(
            "/tracklets",
            data={"metadata": json.dumps({"camera_id": "c1", **metadata})},
            files=frame_files(contents),
        )


@contextmanager
def full_database(running: RunningService, table: str) -> Iterator[None]:
    """PostgreSQL itself says that its disk is full, whenever a row of the table is to be written."""
    with running.database() as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()")
        try:
            yield
        finally:
            connection.execute(f"DROP TRIGGER no_room ON {table}")


@pytest.fixture(scope="module")
def ids(running_service: RunningService) -> list[str]:
    """Three tracklets."""
    return [upload(running_service, seed)["id"] for seed in range(3)]


@pytest.mark.parametrize("where", ["frames/", "PostgreSQL's data", "PostgreSQL's data, at the end"])
def test_an_upload_without_room_leaves_nothing_and_can_be_sent_again(
    running_service: RunningService, ids: list[str], where: str
) -> None:
    before, ranking = running_service.footprint(), search(running_service, ids[0])["results"]
    # The first frame has room, the second has none.
    contents = [picture(1, 16, 32), picture(2, 256, 512)]
    assert len(contents[0]) < 1500 < len(contents[1])
    full: Any = {
        "frames/": files_no_larger_than(1500),
        "PostgreSQL's data": full_database(running_service, "descriptors"),
        "PostgreSQL's data, at the end": full_database(running_service, "changes"),
    }[where]
    with capture_logs(), full:
        answer = send(running_service, contents, external_id=where)
        assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
        assert f"disk that holds {where.split(',')[0]} is full" in answer.json()["detail"]
        assert "Make room there, then send it again." in answer.json()["detail"]
        assert running_service.footprint() == before
        assert search(running_service, ids[0])["results"] == ranking
    assert list((running_service.data_directory / "frames" / ".incoming").iterdir()) == []
    again = send(running_service, contents, external_id=where)
    assert again.status_code == 201
    assert len(search(running_service, again.json()["id"])["results"]) == before["index"]


def test_frames_that_the_temporary_folder_has_no_room_for_are_refused(
    running_service: RunningService, ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = running_service.footprint()
    large = picture(5, 1600, 1600, "PNG") + bytes(2**20)
    with capture_logs(), files_no_larger_than(2**20), running_service.client() as client:
        answers = [send(running_service, [large]), client.post("/search", files=frame_files([large]))]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
        assert "the temporary folder is full" in answer.json()["detail"]
    assert running_service.footprint() == before
    assert list(tmp_path.iterdir()) == []


def test_a_deletion_that_the_database_has_no_room_for_deletes_nothing(
    running_service: RunningService, ids: list[str]
) -> None:
    before = running_service.footprint()
    with full_database(running_service, "changes"), running_service.client() as client:
        answer = client.delete(f"/tracklets/{ids[2]}")
        assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
    assert running_service.footprint() == before


def test_a_snapshot_without_room_leaves_the_one_before_and_is_said_loudly(
    running_service: RunningService, ids: list[str]
) -> None:
    galleries = running_service.service.galleries
    served = galleries.find("default")
    assert served is not None
    path = running_service.data_directory / "index" / f"{served.id}-{served.loaded.generation}.snapshot"
    wait_until(path.exists)
    before = path.read_bytes()
    upload(running_service, 77, gallery="default")
    with capture_logs() as said, files_no_larger_than(1500):
        assert not galleries._snapshots.save(served.index.freeze(), served.id, 1, served.loaded.model_id)
        assert len(search(running_service, ids[0])["results"]) == len(served.index) - 1
    loud = [one for one in said if one["log_level"] == "error"]
    assert [(one["event"], one["path"]) for one in loud] == [
        ("snapshot could not be written, the one before stays", str(path))
    ]
    assert path.read_bytes() == before
    assert galleries._snapshots.save(served.index.freeze(), served.id, 1, served.loaded.model_id)
    assert path.read_bytes() != before
