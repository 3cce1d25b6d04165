"""Whoever changes what is in a gallery while it is deleted is answered: it was there the whole time, or it was not."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from service.store import gallery_locks, generations, identities
from tests.service.jobs.moving import held
from tests.support import RunningService, blocked_by, upload, wait_until, waiting_for_locks

Change = Callable[[httpx.Client, "Filled"], httpx.Response]

MATRIX = {"cameras": ["c1"], "min_seconds": [[1]], "max_seconds": [[None]]}


class Filled:
    """A new gallery with a camera `c1` that saw two tracklets, of which Ann is one, and a camera that saw none."""

    def __init__(self, running: RunningService) -> None:
        self.name = f"g{uuid.uuid4().hex[:12]}"
        self.ann = upload(running, 1, gallery=self.name, identity="Ann", frames=1)["id"]
        self.other = upload(running, 2, gallery=self.name, frames=1)["id"]
        with running.client() as client, running.database() as connection:
            assert client.put(f"/cameras/{self.name}/spare", json={}).status_code == 201
            (identity,) = client.get("/identities", params={"gallery": self.name}).json()["items"]
            self.identity = identity["id"]
            found = connection.execute("SELECT id FROM galleries WHERE name = %s", (self.name,))
            (self.id,) = found.fetchone()


@pytest.fixture
def gallery(running_service: RunningService) -> Filled:
    """A gallery of the test's own."""
    return Filled(running_service)


def put_camera(name: str) -> Change:
    """Say something of a camera."""
    return lambda client, gallery: client.put(f"/cameras/{gallery.name}/{name}", json={"place": "Hall"})


def make_identity(client: httpx.Client, gallery: Filled) -> httpx.Response:
    """Make an identity without tracklets."""
    return client.post("/identities", json={"gallery": gallery.name, "name": "Bo"})


def make_identity_once(client: httpx.Client, gallery: Filled) -> httpx.Response:
    """As `make_identity`, under an idempotency key."""
    body = {"gallery": gallery.name, "name": "Bo"}
    return client.post("/identities", json=body, headers={"Idempotency-Key": gallery.name})


def name_tracklet(name: str) -> Change:
    """Give the tracklet without an identity one, by name."""
    return lambda client, gallery: client.patch(f"/tracklets/{gallery.other}", json={"identity": name})


def match(client: httpx.Client, gallery: Filled) -> httpx.Response:
    """Say that both tracklets are one person."""
    body = {"gallery": gallery.name, "tracklet_id": gallery.ann, "other_tracklet_id": gallery.other}
    return client.post("/matches", json=body | {"verdict": "same"})


CHANGES: dict[str, Change] = {
    "a camera": put_camera("c1"),
    "a new camera": put_camera("new"),
    "a camera less": lambda client, gallery: client.delete(f"/cameras/{gallery.name}/spare"),
    "transit times": lambda client, gallery: client.put(f"/galleries/{gallery.name}/transits", json=MATRIX),
    "a new identity": make_identity,
    "a new identity under a key": make_identity_once,
    "an identity less": lambda client, gallery: client.delete(f"/identities/{gallery.identity}"),
    "a tracklet's identity": name_tracklet("Ann"),
    "a tracklet's new identity": name_tracklet("Bo"),
    "a match": match,
}
HELD = {
    "a camera": "SELECT id FROM cameras WHERE gallery_id = %(gallery)s AND name = 'c1' FOR UPDATE",
    "a new camera": "INSERT INTO cameras (gallery_id, name) VALUES (%(gallery)s, 'new')",
    "transit times": "SELECT id FROM cameras WHERE gallery_id = %(gallery)s FOR UPDATE",
    "a new identity under a key": "SELECT pg_advisory_xact_lock(%(identities)s)",
    "a tracklet's identity": "SELECT id FROM identities WHERE gallery_id = %(gallery)s FOR UPDATE",
    "a tracklet's new identity": "SELECT pg_advisory_xact_lock(%(identities)s)",
    "a match": "SELECT id FROM tracklets WHERE gallery_id = %(gallery)s FOR UPDATE",
}
"""What the test locks, so that the change of that name waits halfway."""


def begin(running: RunningService, gallery: Filled, statement: str) -> psycopg.Connection:
    """A transaction of the test's own that has executed the statement."""
    connection = running.database()
    connection.autocommit = False
    keys = {"identities": identities._LOCK_CLASS + gallery.id, "deletion": gallery_locks._LOCK_CLASS + gallery.id}
    connection.execute(statement, keys | {"gallery": gallery.id})
    return connection


def left(running: RunningService, gallery: Filled) -> dict[str, int]:
    """How many rows there are of the gallery, in the tables that have any."""
    tables = ("cameras", "transits", "identities", "identity_events", "match_decisions", "tracklets", "changes")
    counts = {}
    with running.database() as connection:
        for table in tables:
            query = f"SELECT count(*) FROM {table} WHERE gallery_id = %s"
            (counts[table],) = connection.execute(query, (gallery.id,)).fetchone()
    return {table: count for table, count in counts.items() if count}


@pytest.mark.parametrize("what", HELD)
def test_a_deletion_waits_for_a_change_that_began_before_it(
    running_service: RunningService, gallery: Filled, what: str
) -> None:
    with (
        ThreadPoolExecutor(2) as threads,
        running_service.client() as client,
        running_service.database() as looking,
        begin(running_service, gallery, HELD[what]) as holder,
    ):
        changing = threads.submit(CHANGES[what], client, gallery)
        wait_until(lambda: changing.done() or blocked_by(running_service, holder))
        assert not changing.done(), changing.result().text
        deleting = threads.submit(client.delete, f"/galleries/{gallery.name}")
        wait_until(lambda: deleting.done() or waiting_for_locks(looking) >= 2)
        assert not deleting.done(), deleting.result().text
        holder.rollback()
        # What the answer says is read after the change, of what may be deleted by then.
        assert changing.result().status_code in (200, 201, 404), changing.result().text
        assert deleting.result().status_code == 202, deleting.result().text
        path = f"/jobs/{deleting.result().json()['id']}"
        wait_until(lambda: client.get(path).json()["finished_at"])
        job = client.get(path).json()
    assert (job["status"], job["result"]) == ("succeeded", {"tracklets": 2}), job
    assert left(running_service, gallery) == {}


@pytest.mark.parametrize(
    ("what", "gone"), [*((what, False) for what in CHANGES), ("a new camera", True), ("a new identity", True)]
)
def test_a_change_that_a_deletion_came_before_finds_no_gallery(
    running_service: RunningService, gallery: Filled, what: str, gone: bool
) -> None:
    before = left(running_service, gallery)
    with (
        ThreadPoolExecutor(1) as thread,
        running_service.client() as client,
        begin(running_service, gallery, "SELECT pg_advisory_xact_lock(%(deletion)s)") as deletion,
    ):
        changing = thread.submit(CHANGES[what], client, gallery)
        wait_until(lambda: changing.done() or blocked_by(running_service, deletion))
        assert not changing.done(), changing.result().text
        # As the request does that deletes it, or as it is once the job is done.
        statement = "DELETE FROM galleries" if gone else "UPDATE galleries SET deleting = true"
        deletion.execute(f"{statement} WHERE id = %s", (gallery.id,))
        deletion.commit()
        answer = changing.result()
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text
    assert left(running_service, gallery) == ({} if gone else before)


@pytest.mark.parametrize("path", ["/admin/reindex", "/admin/generations/{}/activate"])
def test_a_job_for_a_gallery_that_is_removed_meanwhile_finds_none(
    running_service: RunningService, gallery: Filled, path: str
) -> None:
    with ThreadPoolExecutor(1) as thread, running_service.client() as client:
        (generation,) = client.get("/admin/generations", params={"gallery": gallery.name}).json()["items"]
        path, body = path.format(generation["id"]), {"gallery": gallery.name} if path == "/admin/reindex" else None
        with begin(running_service, gallery, "DELETE FROM galleries WHERE id = %(gallery)s") as removing:
            starting = thread.submit(client.post, path, json=body)
            wait_until(lambda: starting.done() or blocked_by(running_service, removing))
            removing.commit()
        answer = starting.result()
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text


def test_a_reindex_whose_gallery_is_marked_meanwhile_says_so(running_service: RunningService, gallery: Filled) -> None:
    with running_service.client() as client, running_service.database() as connection:
        with held(generations, "add") as adding:
            path = client.post("/admin/reindex", json={"gallery": gallery.name}).headers["location"]
            wait_until(adding.is_set)
            connection.execute("UPDATE galleries SET deleting = true WHERE id = %s", (gallery.id,))
        wait_until(lambda: client.get(path).json()["finished_at"])
        job = client.get(path).json()
    assert (job["status"], job["error"]) == ("failed", "The gallery is being deleted."), job


def test_in_a_gallery_that_is_deleted_no_version_is_the_wrong_one(
    running_service: RunningService, gallery: Filled
) -> None:
    calibration = uuid.uuid4()
    with running_service.client() as client, running_service.database() as connection:
        connection.execute(
            "INSERT INTO calibrations (id, gallery_id, model_id, tracklets, slope, intercept, prior, match_threshold,"
            " possible_threshold, report, made_by) SELECT %s, %s, id, 2, 1, 0, 0.5, 0.9, 0.8, '{}', 'x' FROM models",
            (calibration, gallery.id),
        )
        connection.execute("UPDATE galleries SET deleting = true WHERE id = %s", (gallery.id,))
        paths = [f"/tracklets/{gallery.ann}", f"/identities/{gallery.identity}", f"/cameras/{gallery.name}/spare"]
        for path in [*paths, f"/admin/calibrations/{calibration}"]:
            answers = [client.delete(path, headers=sent) for sent in ({}, {"If-Match": '"77"'}, {"If-Match": '"1"'})]
            assert [answer.status_code for answer in answers] == [404] * 3, [answer.text for answer in answers]
    assert left(running_service, gallery)["tracklets"] == 2
