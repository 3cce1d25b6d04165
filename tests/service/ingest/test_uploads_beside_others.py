"""Uploads and deletions beside transactions that hold what they need."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from service.store import frame_locks
from service.store.database import conninfo
from tests.support import RunningService, blocked_by, search, upload, wait_until


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait."""
    with ThreadPoolExecutor(40) as threads:
        yield threads


@contextmanager
def transaction(running: RunningService) -> Iterator[psycopg.Connection]:
    """A transaction of somebody else, rolled back at the end."""
    with psycopg.connect(conninfo(running.database_url)) as connection:
        try:
            yield connection
        finally:
            connection.rollback()


def waiting(running: RunningService, locktype: str) -> int:
    """How many wait for a lock of this kind."""
    with running.database() as connection:
        statement = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = %s"
        return connection.execute(statement, (locktype,)).fetchone()[0]


def frames_lock(running: RunningService) -> int:
    """The key of the lock on the files of the default gallery."""
    with running.database() as connection:
        (gallery_id,) = connection.execute("SELECT id FROM galleries WHERE name = 'default'").fetchone()
    return frame_locks._FRAMES_LOCK_CLASS + gallery_id


def test_an_upload_that_a_deadlock_ended_is_stored_by_a_second_try(
    running_service: RunningService, threads: ThreadPoolExecutor
) -> None:
    upload(running_service, 0)
    before = running_service.footprint()
    with transaction(running_service) as circle, transaction(running_service) as gate:
        # Never the one who finds the deadlock.
        circle.execute("SET LOCAL deadlock_timeout = '5min'")
        (gallery_id,) = circle.execute("SELECT id FROM galleries WHERE name = 'default' FOR NO KEY UPDATE").fetchone()
        gate.execute(
            "INSERT INTO identities (id, gallery_id, name) VALUES (gen_random_uuid(), %s, 'ann')", (gallery_id,)
        )
        uploading = threads.submit(upload, running_service, 1, identity="ann")
        wait_until(lambda: uploading.done() or blocked_by(running_service, gate))
        assert not uploading.done(), uploading.result()
        # The upload has the lock on the files, and will want the gallery's row.
        key = frames_lock(running_service)
        held = threads.submit(circle.execute, "SELECT pg_advisory_xact_lock(%s)", (key,))
        wait_until(lambda: held.done() or waiting(running_service, "advisory"))
        assert not held.done(), held.result()
        gate.rollback()
        # Given when the upload's first try was ended.
        held.result(60)
        circle.rollback()
        assert uploading.result(60)["identity"] == "ann"
    after = running_service.footprint()
    assert {name: after[name] - before[name] for name in before} == {
        "tracklets": 1, "frames": 3, "descriptors": 1, "changes": 1, "cameras": 0, "files": 3, "index": 1
    }  # fmt: skip


def test_deletions_that_wait_for_an_upload_leave_connections_to_searches_and_no_files(
    fresh_service: RunningService, threads: ThreadPoolExecutor
) -> None:
    running = fresh_service
    ids = [made["id"] for made in threads.map(lambda seed: upload(running, seed, 1), range(26))]

    def delete(tracklet_id: str) -> int:
        with running.client() as client:
            return client.delete(f"/tracklets/{tracklet_id}").status_code

    with transaction(running) as uploading:
        # As an upload of another process has it, whose disk is slow.
        uploading.execute("SELECT pg_advisory_xact_lock_shared(%s)", (frames_lock(running),))
        answers = [threads.submit(delete, one) for one in ids[1:]]
        wait_until(lambda: running.footprint()["tracklets"] == 1)
        wait_until(lambda: waiting(running, "advisory"))
        assert search(running, ids[0])["results"] == []
        assert waiting(running, "advisory") == 1
    assert [answer.result(60) for answer in answers] == [204] * 25
    after = running.footprint()
    assert after["files"] == after["frames"] == 1


def test_files_whose_sweep_fails_are_removed_later_and_the_deletion_is_answered(
    running_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracklet_id = upload(running_service, 2)["id"]
    before = running_service.footprint()
    frames = running_service.service.frames
    failed = []

    def fail(gallery: str, digests: object) -> int:
        failed.append(gallery)
        raise OSError("the disk does not answer")

    with monkeypatch.context() as patched, running_service.client() as client:
        patched.setattr(frames, "remove", fail)
        assert client.delete(f"/tracklets/{tracklet_id}").status_code == 204
        assert failed
        assert running_service.footprint()["files"] == before["files"]
    wait_until(lambda: running_service.footprint()["files"] == before["files"] - 3)
