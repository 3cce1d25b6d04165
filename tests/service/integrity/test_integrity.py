"""Every part of a gallery is broken by hand: the difference is named, repair mends it, and searches are as before."""

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.store import frame_locks
from tests.service.integrity.comparing import GALLERY, check, found, kinds, repair, same
from tests.support import (
    RunningService,
    make_settings,
    run_service,
    search,
    upload,
    wait_until,
)


@pytest.fixture(scope="module")
def ids(running_service: RunningService) -> list[str]:
    """A gallery of eight tracklets."""
    return [
        upload(running_service, seed, frames=2, gallery=GALLERY, camera_id=f"c{seed % 3}", labels={"n": seed})["id"]
        for seed in range(8)
    ]


@pytest.fixture
def before(running_service: RunningService, ids: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The ranking of the whole gallery, which must be the same when all is mended; and all is, at the end."""
    ranking = search(running_service, ids[0], gallery=GALLERY)["results"]
    assert len(ranking) == 7
    yield ranking
    assert found(running_service) == {}
    assert same(search(running_service, ids[0], gallery=GALLERY)["results"], ranking)


@pytest.fixture
def nobody_deletes(running_service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file without a row is on its way out: those that are looked at again need no time in between."""
    monkeypatch.setattr(running_service.service.checker, "seconds_between_looks", 0.0)


def test_a_whole_gallery_is_found_whole_and_repair_changes_nothing(
    running_service: RunningService, before: list[dict[str, Any]]
) -> None:
    report = check(running_service)
    assert (report["ok"], report["gallery"], report["change"]) == (True, GALLERY, 8)
    checked = report["checked"]
    assert (checked["tracklets"], checked["index_rows"], checked["frames"], checked["files"]) == (8, 8, 16, 16)
    assert (checked["files_hashed"], checked["described_again"]) == (16, 8)
    assert check(running_service, full=False, sample=0, describe=0)["checked"]["files_hashed"] == 0
    process = f"{socket.gethostname()}/{os.getpid()}"
    assert report["process"] == process
    index = running_service.service.galleries.find(GALLERY).loaded
    assert repair(running_service) == {"process": process, "mended": [], "left": []}
    # It was compared, so it need not be built anew.
    assert running_service.service.galleries.find(GALLERY).loaded is index
    assert check(running_service)["change"] == 8


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("DELETE FROM descriptors WHERE tracklet_id = %s", "undescribed"),
        ("UPDATE descriptors SET vector = 'short' WHERE tracklet_id = %s", "broken_descriptor"),
        (
            "UPDATE descriptors SET vector = decode(repeat('00', length(vector)), 'hex') WHERE tracklet_id = %s",
            "broken_descriptor",
        ),
        (
            "UPDATE descriptors SET vector = (SELECT vector FROM descriptors WHERE tracklet_id <> %s LIMIT 1)"
            " WHERE tracklet_id = (SELECT id FROM tracklets WHERE labels @> '{\"n\": 2}')",
            "foreign_descriptor",
        ),
    ],
    ids=["none", "short", "zero", "of another tracklet"],
)
def test_a_descriptor_that_is_not_right_is_named_and_made_again(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]], damage: str, kind: str
) -> None:
    with running_service.database() as connection:
        connection.execute(damage, (ids[2],))
    expected = {kind: {ids[2]}}
    if kind == "foreign_descriptor":
        # The index still has what was there before.
        expected["index_differs"] = {ids[2]}
    assert found(running_service) == expected
    result = repair(running_service)
    assert kinds(result["mended"])[kind] == 1
    assert result["left"] == []
    with running_service.client() as client:
        purities = [client.get(f"/tracklets/{ids[2]}{path}").json()["purity"] for path in ("", "/purity")]
    assert purities[0] == (purities[1] and pytest.approx(purities[1], abs=2e-4))


def test_lost_and_damaged_files_are_named_and_left_to_a_person(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    folder = running_service.data_directory / "frames" / GALLERY
    with running_service.database() as connection:
        names = {
            tracklet: connection.execute(
                "SELECT encode(sha256, 'hex') FROM frames WHERE tracklet_id = %s ORDER BY position LIMIT 1", (tracklet,)
            ).fetchone()[0]
            for tracklet in ids[:3]
        }
    content = {tracklet: (folder / name).read_bytes() for tracklet, name in names.items()}
    (folder / names[ids[0]]).unlink()
    (folder / names[ids[1]]).write_bytes(content[ids[1]][:-1])
    flipped = bytearray(content[ids[2]])
    flipped[100] ^= 1
    (folder / names[ids[2]]).write_bytes(flipped)
    assert found(running_service) == {"frame_missing": {ids[0]}, "frame_damaged": {ids[1], ids[2]}}
    # Without reading, a file of the right size passes.
    assert found(running_service, full=False, sample=0, describe=0)["frame_damaged"] == {ids[1]}
    result = repair(running_service)
    assert result["mended"] == []
    assert kinds(result["left"])["frame_missing"] == 1
    assert [finding["count"] for finding in result["left"] if finding["kind"] == "frame_damaged"] == [2]
    for tracklet, name in names.items():
        (folder / name).write_bytes(content[tracklet])


def test_a_tracklet_without_its_frame_rows_is_named(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    with running_service.database() as connection:
        connection.execute("UPDATE tracklets SET frame_count = 3 WHERE id = %s", (ids[4],))
        assert found(running_service)["frame_rows"] == {ids[4]}
        connection.execute("UPDATE tracklets SET frame_count = 2 WHERE id = %s", (ids[4],))


@pytest.mark.usefixtures("nobody_deletes")
def test_files_that_no_row_names_are_removed_and_those_that_are_no_frames_left(
    running_service: RunningService, before: list[dict[str, Any]]
) -> None:
    folder = running_service.data_directory / "frames" / GALLERY
    (folder / ("ab" * 32)).write_bytes(b"orphan")
    (folder / "notes.txt").write_bytes(b"what is this?")
    assert found(running_service) == {"unknown_file": {"ab" * 32, "notes.txt"}}
    result = repair(running_service)
    assert kinds(result["mended"]) == {"unknown_file": 1}
    assert [finding["examples"] for finding in result["left"]] == [["notes.txt"]]
    (folder / "notes.txt").unlink()


def test_an_index_that_differs_is_built_anew(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    served = running_service.service.galleries.find(GALLERY)
    assert served is not None
    generation = served.loaded.generation
    served.index.remove(uuid.UUID(ids[3]))
    with running_service.database() as connection:
        connection.execute("UPDATE tracklets SET labels = '{\"n\": 99}' WHERE id = %s", (ids[5],))
    assert found(running_service) == {"index_missing": {ids[3]}, "index_differs": {ids[5]}}
    result = repair(running_service)
    assert kinds(result["mended"]) == {"index_missing": 1, "index_differs": 1}
    assert result["left"] == []
    assert served.loaded.generation == generation
    with running_service.database() as connection:
        connection.execute("UPDATE tracklets SET labels = '{\"n\": 5}' WHERE id = %s", (ids[5],))
    repair(running_service)


@pytest.mark.usefixtures("nobody_deletes")
def test_a_row_that_the_database_does_not_have_is_named(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    extra = upload(running_service, 99, frames=1, gallery=GALLERY)["id"]
    with running_service.database() as connection:
        # Not through the service, so that no change says so.
        connection.execute("DELETE FROM tracklets WHERE id = %s", (extra,))
    report = found(running_service)
    assert report["index_extra"] == {extra}
    assert kinds(repair(running_service)["mended"])["index_extra"] == 1


def test_a_damaged_snapshot_is_named_and_written_again(
    running_service: RunningService, before: list[dict[str, Any]]
) -> None:
    served = running_service.service.galleries.find(GALLERY)
    assert served is not None
    path = running_service.data_directory / "index" / f"{served.id}-{served.loaded.generation}.snapshot"
    wait_until(path.exists)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert found(running_service) == {"snapshot_damaged": {path.name}}
    assert kinds(repair(running_service)["mended"]) == {"snapshot_damaged": 1}
    assert check(running_service)["checked"]["snapshots"] == 1


def test_a_gallery_that_cannot_be_loaded_for_a_broken_descriptor_says_so_and_is_mended(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    galleries = running_service.service.galleries
    with running_service.database() as connection:
        connection.execute("UPDATE descriptors SET vector = 'short' WHERE tracklet_id = %s", (ids[2],))
    # As after a start without a snapshot.
    served = galleries._served.pop(GALLERY)
    galleries.forget_snapshot(served.id, served.loaded.generation)
    with running_service.client() as client:
        answer = client.get("/search", params={"query_id": ids[0], "gallery": GALLERY})
        assert (answer.status_code, answer.json()["code"]) == (503, "index_not_ready")
        assert "/admin/integrity" in answer.json()["detail"]
    assert found(running_service) == {"broken_descriptor": {ids[2]}, "index_unloadable": {GALLERY}}
    result = repair(running_service)
    assert kinds(result["mended"]) == {"broken_descriptor": 1, "index_unloadable": 1}
    assert result["left"] == []


def test_uploads_and_deletions_during_a_comparison_are_no_difference(
    running_service: RunningService, before: list[dict[str, Any]]
) -> None:
    done = threading.Event()

    def write() -> None:
        number = 500
        while not done.is_set():
            identifier = upload(running_service, number, frames=1, gallery=GALLERY)["id"]
            with running_service.client() as client:
                client.delete(f"/tracklets/{identifier}")
            number += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        assert [found(running_service) for _ in range(6)] == [{}] * 6
    finally:
        done.set()
        writing.join()


def test_a_gallery_that_does_not_exist_is_refused(running_service: RunningService) -> None:
    with running_service.client() as client:
        assert client.get("/admin/integrity", params={"gallery": "none"}).status_code == 404
        assert client.post("/admin/repair", json={"gallery": "none"}).status_code == 404


def stored_state(running: RunningService, tracklet_id: str) -> tuple[bytes, list[tuple[Any, ...]]]:
    """The descriptor and the frame rows of a tracklet."""
    with running.database() as connection:
        vector = connection.execute("SELECT vector FROM descriptors WHERE tracklet_id = %s", (tracklet_id,)).fetchone()
        rows = connection.execute("SELECT * FROM frames WHERE tracklet_id = %s ORDER BY position", (tracklet_id,))
        return vector[0], rows.fetchall()


@pytest.mark.usefixtures("nobody_deletes")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE frames f SET sha256 = g.sha256, size = g.size FROM frames g"
        " WHERE f.tracklet_id = %(own)s AND g.tracklet_id = %(other)s AND f.position = g.position",
        "DELETE FROM frames WHERE tracklet_id = %(own)s AND position = 1 AND %(other)s <> ''",
    ],
    ids=["of another tracklet", "one lost"],
)
def test_wrong_frame_rows_cost_neither_the_descriptor_nor_the_files(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]], damage: str
) -> None:
    vector, rows = stored_state(running_service, ids[1])
    folder = running_service.data_directory / "frames" / GALLERY
    files = {path.name for path in folder.iterdir()}
    with running_service.database() as connection:
        connection.execute(damage, {"own": ids[1], "other": ids[6]})
        report = found(running_service)
        assert (set(report), report["frame_rows"]) == ({"frame_rows", "unknown_file"}, {ids[1]})
        result = repair(running_service)
        assert (result["mended"], kinds(result["left"])["frame_rows"]) == ([], 1)
        assert stored_state(running_service, ids[1])[0] == vector
        assert {path.name for path in folder.iterdir()} == files
        connection.execute("DELETE FROM frames WHERE tracklet_id = %s", (ids[1],))
        places = ", ".join(["%s"] * len(rows[0]))
        for row in rows:
            connection.execute(f"INSERT INTO frames VALUES ({places})", row)


def test_a_start_removes_files_that_no_row_names_but_not_where_frame_rows_are_wrong(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    folder = running_service.data_directory / "frames" / GALLERY
    settings = make_settings(running_service.data_directory, running_service.database_url)
    (folder / ("cd" * 32)).write_bytes(b"orphan")
    with running_service.database() as connection:
        connection.execute(
            "UPDATE frames SET position = position + 1 WHERE tracklet_id = %s AND position = 1", (ids[1],)
        )
        files = {path.name for path in folder.iterdir()}
        with capture_logs() as said, run_service(settings):
            wait_until(lambda: any(one["event"].startswith("frame files without a tracklet") for one in said))
        (left,) = [one for one in said if one["event"].startswith("frame files without a tracklet")]
        assert (left["gallery"], left["files"], left["tracklets"]) == (GALLERY, 1, 1)
        assert {path.name for path in folder.iterdir()} == files
        connection.execute(
            "UPDATE frames SET position = position - 1 WHERE tracklet_id = %s AND position = 2", (ids[1],)
        )
    with run_service(settings):
        wait_until(lambda: not (folder / ("cd" * 32)).exists())


def test_a_comparison_without_strange_files_waits_for_no_upload(
    running_service: RunningService, ids: list[str], before: list[dict[str, Any]]
) -> None:
    served = running_service.service.galleries.find(GALLERY)
    assert served is not None
    with running_service.database() as uploading:
        uploading.autocommit = False
        # As an upload in progress has it.
        key = frame_locks._FRAMES_LOCK_CLASS + served.id
        uploading.execute("SELECT pg_advisory_xact_lock_shared(%s)", (key,))
        assert found(running_service) == {}
        uploading.rollback()


def test_a_snapshot_of_another_gallery_is_named_and_written_again(
    running_service: RunningService, before: list[dict[str, Any]]
) -> None:
    upload(running_service, 300, gallery="other")
    galleries = running_service.service.galleries
    paths = []
    for name in (GALLERY, "other"):
        served = galleries.find(name)
        assert served is not None
        paths.append(running_service.data_directory / "index" / f"{served.id}-{served.loaded.generation}.snapshot")
        wait_until(paths[-1].exists)
    paths[0].write_bytes(paths[1].read_bytes())
    assert found(running_service) == {"snapshot_damaged": {paths[0].name}}
    assert kinds(repair(running_service)["mended"]) == {"snapshot_damaged": 1}


def test_more_lost_files_than_a_statement_has_parameters_are_counted(fresh_service: RunningService) -> None:
    tracklet = upload(fresh_service, 1, frames=1, gallery=GALLERY)["id"]
    with fresh_service.database() as connection:
        connection.execute(
            "INSERT INTO frames (tracklet_id, position, gallery_id, sha256, media_type, width, height, size)"
            " SELECT id, number, gallery_id, sha256(number::text::bytea), 'image/jpeg', 8, 8, 9"
            " FROM tracklets, generate_series(1, 70000) AS number"
        )
    assert found(fresh_service, describe=0)["frame_missing"] == {tracklet}
