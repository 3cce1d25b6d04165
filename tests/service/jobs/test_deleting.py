"""A gallery that is being deleted: gone for everybody at once, and in the end gone whatever happened meanwhile."""

import threading
import uuid
from typing import Any

import httpx
import pytest

from service.jobs import deleting
from service.store.embedded import EmbeddedPostgres
from service.store.frames import FrameStore
from tests.support import (
    RunningService,
    empty_database,
    frame_files,
    make_settings,
    picture,
    pictures,
    reachable_folder,
    run_service,
    search,
    upload,
    wait_until,
)


def name() -> str:
    """A gallery that nobody has yet."""
    return f"g{uuid.uuid4().hex[:12]}"


def job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """How far a job is."""
    return client.get(f"/jobs/{job_id}").json()


def wait_for(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, when it is over."""
    wait_until(lambda: job(client, job_id)["finished_at"])
    return job(client, job_id)


def send(client: httpx.Client, gallery: str, seed: int, **metadata: str) -> httpx.Response:
    """Upload a tracklet of one frame."""
    fields = {"camera_id": "c1", "gallery": gallery, **metadata}
    body = "{" + ", ".join(f'"{field}": "{value}"' for field, value in fields.items()) + "}"
    return client.post("/tracklets", data={"metadata": body}, files=frame_files([picture(seed)]))


def test_a_process_that_was_not_told_does_not_show_it_any_more(running_service: RunningService) -> None:
    gallery = name()
    stored = upload(running_service, 1, gallery=gallery, external_id="x", identity="p")
    other = upload(running_service, 2, gallery=gallery)
    assert search(running_service, stored["id"], gallery=gallery)["results"]
    settings = make_settings(running_service.data_directory, running_service.database_url, poll_seconds=3600)
    with run_service(settings) as deaf, deaf.client() as client, deaf.database() as connection:
        assert search(deaf, stored["id"], gallery=gallery)["results"]
        # As another process does it, but without a word.
        connection.execute("UPDATE galleries SET deleting = true WHERE name = %s", (gallery,))
        frames = frame_files(pictures(1, 1))
        both = {"tracklet_id": stored["id"], "other_tracklet_id": other["id"]}
        gone = [
            client.get("/search", params={"query_id": stored["id"], "gallery": gallery}),
            client.post("/search", data={"gallery": gallery}, files=frames),
            client.get(f"/tracklets/{stored['id']}"),
            client.post("/search/examples", json={"gallery": gallery, "positive": [stored["id"]]}),
            client.post("/verify", json={"gallery": gallery, **both}),
            client.get("/identities/proposals", params={"gallery": gallery}),
            client.get("/search/export", params={"query_id": stored["id"], "gallery": gallery, "format": "csv"}),
            client.get(f"/tracklets/{stored['id']}/purity"),
            client.get(stored["frame_urls"][0]),
            client.delete(f"/tracklets/{other['id']}"),
            client.get(f"/galleries/{gallery}"),
            client.patch(f"/galleries/{gallery}", json={"purpose": "p"}),
            client.get(f"/galleries/{gallery}/transits"),
            client.get("/cameras", params={"gallery": gallery}),
            client.put(f"/cameras/{gallery}/c1", json={}),
            client.post("/admin/reindex", json={"gallery": gallery}),
            client.get("/admin/integrity", params={"gallery": gallery}),
            client.post("/admin/repair", json={"gallery": gallery}),
        ]
        assert [answer.status_code for answer in gone] == [404] * len(gone), [answer.text for answer in gone]
        refused = [send(client, gallery, 3), send(client, gallery, 1, external_id="x")]
        refused.append(client.post("/galleries", json={"name": gallery}))
        assert [answer.json()["code"] for answer in refused] == ["gallery_deleting"] * 3
        for path in ("/tracklets", "/identities", "/matches", "/admin/generations"):
            assert client.get(path, params={"gallery": gallery}).status_code == 404, path
        assert gallery not in [one["name"] for one in client.get("/galleries", params={"limit": 500}).json()["items"]]
        assert gallery not in client.get("/admin/models").text
        # Nobody removes it yet; whoever asks for it to be deleted starts that.
        assert wait_for(client, client.delete(f"/galleries/{gallery}").json()["id"])["status"] == "succeeded"
        assert send(client, gallery, 3).status_code == 201


def test_a_deletion_goes_on_in_the_next_process_and_shows_how_far_it_is(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "TRACKLETS_AT_ONCE", 1)
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url)
        with run_service(settings) as running, running.client() as client:
            for seed in range(4):
                upload(running, seed, gallery="g", frames=1)
            stuck = running.database()
            stuck.autocommit = False
            third = stuck.execute("SELECT id FROM tracklets ORDER BY created_at OFFSET 2 LIMIT 1").fetchone()
            stuck.execute("SELECT id FROM tracklets WHERE id = %s FOR UPDATE", third)
            started = client.delete("/galleries/g").json()
            wait_until(lambda: job(client, started["id"])["done"] == 2)
            shown = job(client, started["id"])
            assert (shown["status"], shown["total"], shown["gallery"]) == ("running", 4, "g")
            # It cannot be stopped, nor asked for again.
            answer = client.delete(f"/jobs/{started['id']}")
            assert (answer.status_code, answer.json()["code"]) == (409, "job_irrevocable")
            assert client.delete("/galleries/g").status_code == 404
            assert send(client, "g", 9).json()["code"] == "gallery_deleting"
        stuck.close()
        with run_service(settings) as running, running.client() as client:
            ended = wait_for(client, started["id"])
            assert (ended["status"], ended["done"], ended["total"]) == ("succeeded", 4, 4)
            assert not (folder / "data/frames/g").exists()
            assert running.footprint() == {
                "tracklets": 0, "frames": 0, "descriptors": 0, "changes": 0, "cameras": 0, "files": 0, "index": 0
            }  # fmt: skip


def test_a_deletion_that_failed_is_taken_up_again(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FrameStore.remove_folder

    def broken(self: FrameStore, gallery: str) -> int:
        raise OSError("the disk does not answer")

    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url)
        with run_service(settings) as running, running.client() as client:
            upload(running, 1, gallery="g")
            client.patch("/galleries/g", json={"purpose": "p"})
            monkeypatch.setattr(FrameStore, "remove_folder", broken)
            for _ in range(2):
                stale = client.delete("/galleries/g", headers={"If-Match": '"1"'})
                assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
                started = client.delete("/galleries/g", headers={"If-Match": '"2"'})
                failed = wait_for(client, started.json()["id"])
                assert failed["status"] == "failed"
                assert "the disk does not answer" in failed["error"]
                assert client.get("/galleries/g").status_code == 404
        monkeypatch.setattr(FrameStore, "remove_folder", whole)
        with run_service(settings) as running, running.client() as client:
            wait_until(lambda: send(client, "g", 1).status_code == 201)


def test_uploads_deletions_and_reindexes_meanwhile_lose_nothing_and_leave_nothing(
    running_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "TRACKLETS_AT_ONCE", 2)
    gallery = name()
    for seed in range(4):
        upload(running_service, seed, gallery=gallery, frames=1)
    over = threading.Event()
    answers: list[tuple[str, int, str]] = []

    def keep(what: str) -> None:
        with running_service.client() as client:
            seed = 0
            while not over.is_set():
                seed += 1
                if what == "upload":
                    # The same few pictures: a file that another upload needs must not be removed.
                    answer = send(client, gallery, seed % 3)
                elif what == "delete":
                    items = client.get("/tracklets", params={"gallery": gallery, "limit": 1}).json().get("items")
                    if not items:
                        continue
                    answer = client.delete(f"/tracklets/{items[0]['id']}")
                elif what == "camera":
                    answer = client.put(f"/cameras/{gallery}/c1", json={"time_offset_seconds": seed})
                elif what == "reindex":
                    answer = client.post("/admin/reindex", json={"gallery": gallery})
                    if answer.status_code == 202:
                        started = answer.json()["id"]
                        wait_until(lambda started=started: job(client, started).get("finished_at", "gone"))
                else:
                    answer = client.post("/search", data={"gallery": gallery}, files=frame_files([picture(1)]))
                answers.append((what, answer.status_code, answer.text))

    kinds = ("upload", "upload", "delete", "camera", "reindex", "search")
    threads = [threading.Thread(target=keep, args=(what,)) for what in kinds]
    for thread in threads:
        thread.start()
    try:
        with running_service.client() as client:
            for _ in range(2):
                wait_until(lambda: client.get(f"/galleries/{gallery}").status_code == 200)
                before = len(answers)
                wait_until(lambda before=before: len(answers) > before + 12)
                answer = client.delete(f"/galleries/{gallery}")
                assert answer.status_code == 202, answer.text
                assert wait_for(client, answer.json()["id"])["status"] == "succeeded"
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)
    allowed = {"upload": {201, 409}, "delete": {204, 404}, "reindex": {202, 404}, "search": {200, 404}}
    allowed["camera"] = {200, 201, 404, 409}
    assert [one for one in answers if one[1] not in allowed[one[0]]] == []
    assert {one[1] for one in answers if one[0] == "upload"} == {201, 409}
    with running_service.client() as client:
        send(client, gallery, 1)
        found = client.get("/admin/integrity", params={"gallery": gallery, "full": "true"}).json()
        assert found["ok"], found
