"""Generations: a gallery moves to another model and back, under searches, uploads, cancellation and interruption."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.jobs.reindex import BUILD_LOCK_CLASS
from tests.jobs import ended, run, start
from tests.service.jobs.moving import descriptors, generations
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    search,
    upload,
    wait_until,
)


class Constantly:
    """Searches and uploads and deletes without pause, until told to stop, and remembers every answer."""

    def __init__(self, running: RunningService, queries: list[str]) -> None:
        self.running = running
        self.queries = queries
        self.answers: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.stored: list[str] = []
        self.deleted: list[str] = []
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(3)

    def __enter__(self) -> "Constantly":
        self._work = [self._threads.submit(self._search, 0), self._threads.submit(self._search, 1)]
        self._work.append(self._threads.submit(self._upload))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads.shutdown(wait=True)
        for work in self._work:
            work.result()

    def _search(self, number: int) -> None:
        with self.running.client() as client:
            while not self._stop.is_set():
                query = self.queries[(number + len(self.answers)) % len(self.queries)]
                answer = client.get("/search", params={"query_id": query, "k": 1000})
                self._keep(answer, query)

    def _upload(self) -> None:
        while not self._stop.is_set():
            try:
                self.stored.append(upload(self.running, 1000 + len(self.stored), frames=2)["id"])
            except (AssertionError, httpx.HTTPError) as error:
                self.failures.append(str(error))
            if len(self.stored) % 4 == 3:
                self.deleted.append(self.stored[-2])
                with self.running.client() as client:
                    if client.delete(f"/tracklets/{self.deleted[-1]}").status_code != 204:
                        self.failures.append(f"deletion of {self.deleted[-1]}")

    def _keep(self, answer: httpx.Response, query: str) -> None:
        if answer.status_code == 200:
            self.answers.append(answer.json() | {"query": query})
        else:
            self.failures.append(answer.text)


def scores(answer: dict[str, Any]) -> dict[str, float]:
    """Score by tracklet."""
    return {result["tracklet_id"]: result["score"] for result in answer["results"]}


def test_no_answer_fails_or_is_mixed_while_a_gallery_moves_to_another_model_and_back(
    moving: RunningService, models: tuple[str, str]
) -> None:
    first, second = models
    ids = [upload(moving, seed, frames=2)["id"] for seed in range(10)]
    truth = {first: {query: scores(search(moving, query, k=1000)) for query in ids[:3]}}
    with Constantly(moving, ids[:3]) as constantly:
        wait_until(lambda: len(constantly.answers) > 20 and len(constantly.stored) > 2)
        moved = run(moving, "POST", "/admin/reindex", gallery="default", model_id=second)
        asked = len(constantly.answers)
        wait_until(lambda: len(constantly.answers) > asked + 10)
        back = run(moving, "POST", f"/admin/generations/{generations(moving)[1]['id']}/activate")
        asked = len(constantly.answers)
        wait_until(lambda: len(constantly.answers) > asked + 10)
    assert constantly.failures == []
    assert (moved["status"], moved["error"]) == ("succeeded", None)
    assert (back["status"], back["error"]) == ("succeeded", None)
    served = {(answer["generation"], answer["model_id"]) for answer in constantly.answers}
    assert served == {(1, first), (2, second)}
    present = set(ids + constantly.stored) - set(constantly.deleted)
    assert set(scores(search(moving, ids[0], k=1000))) == present - {ids[0]}

    # To the second once more, to learn what it says; the constant answers must have been the one's or the other's.
    assert run(moving, "POST", f"/admin/generations/{generations(moving)[0]['id']}/activate")["status"] == "succeeded"
    truth[second] = {query: scores(search(moving, query, k=1000)) for query in ids[:3]}
    assert set(truth[second][ids[0]]) == present - {ids[0]}
    assert truth[first][ids[0]] != {one: truth[second][ids[0]][one] for one in truth[first][ids[0]]}
    for answer in constantly.answers:
        expected = truth[answer["model_id"]][answer["query"]]
        found = scores(answer)
        assert set(ids) - {answer["query"]} <= set(found)
        assert {one: found[one] for one in ids if one in found} == {one: expected[one] for one in ids if one in found}


def test_the_same_model_again_gives_the_same_ranking_and_a_purge_keeps_what_another_generation_needs(
    moving: RunningService, models: tuple[str, str]
) -> None:
    first, second = models
    ids = [upload(moving, seed, frames=2)["id"] for seed in range(4)]
    before = search(moving, ids[0])
    assert run(moving, "POST", "/admin/reindex", gallery="default")["result"]["generation"] == 2
    assert search(moving, ids[0])["results"] == before["results"]
    newest, oldest = generations(moving)
    assert (newest["serving"], oldest["serving"], newest["status"]) == (True, False, "ready")
    with moving.client() as client:
        answer = client.delete(f"/admin/generations/{newest['id']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "generation_serving")
        assert client.delete("/admin/generations/999").status_code == 404
    purged = run(moving, "DELETE", f"/admin/generations/{oldest['id']}")
    assert (purged["status"], purged["result"]["descriptors"]) == ("succeeded", 0)
    assert search(moving, ids[0])["results"] == before["results"]
    assert run(moving, "POST", "/admin/reindex", model_id=second)["status"] == "succeeded"
    purged = run(moving, "DELETE", f"/admin/generations/{newest['id']}")
    assert (purged["status"], purged["result"]["descriptors"]) == ("succeeded", 4)
    assert descriptors(moving, first) == {}
    assert len(search(moving, ids[0])["results"]) == 3
    assert sorted(path.name for path in (moving.data_directory / "index").glob("*.snapshot"))[:1] != ["1-1.snapshot"]


def test_a_failed_reindex_switches_nothing_and_goes_on_without_repeating_what_was_done(
    moving: RunningService, models: tuple[str, str]
) -> None:
    ids = [upload(moving, seed, frames=2)["id"] for seed in range(12)]
    before = search(moving, ids[0])
    with moving.database() as connection:
        (digest,) = connection.execute("SELECT sha256 FROM frames WHERE tracklet_id = %s LIMIT 1", (ids[5],)).fetchone()
    path = moving.data_directory / "frames" / "default" / digest.hex()
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    job = run(moving, "POST", "/admin/reindex", model_id=models[1])
    assert job["status"] == "failed"
    assert ids[5] in job["error"]
    assert search(moving, ids[0]) | {"took_ms": 0} == before | {"took_ms": 0}
    newest, oldest = generations(moving)
    assert (newest["status"], newest["serving"], oldest["serving"]) == ("building", False, True)
    described = descriptors(moving, models[1])
    assert set(described) == set(ids) - {ids[5]}
    path.write_bytes(content)
    job = run(moving, "POST", f"/admin/generations/{newest['id']}/activate")
    assert (job["status"], job["done"], job["total"]) == ("succeeded", 12, 12)
    after = descriptors(moving, models[1])
    assert {tracklet: after[tracklet] for tracklet in described} == described
    assert search(moving, ids[0])["model_id"] == models[1]
    assert len(search(moving, ids[0])["results"]) == 11


def test_a_reindex_is_cancelled_while_it_waits_and_while_it_describes(
    moving: RunningService, models: tuple[str, str]
) -> None:
    ids = [upload(moving, seed, frames=2)["id"] for seed in range(6)]
    with moving.client() as client, moving.database() as connection:
        # Somebody else works on the gallery: the first job waits for the lock, the second in the queue.
        (gallery,) = connection.execute("SELECT id FROM galleries WHERE name = 'default'").fetchone()
        connection.execute("SELECT pg_advisory_lock(%s)", (BUILD_LOCK_CLASS + gallery,))
        running = start(moving, "POST", "/admin/reindex", model_id=models[1])
        wait_until(lambda: client.get(running).json()["status"] == "running")
        queued = start(moving, "POST", "/admin/reindex", model_id=models[1])
        assert client.delete(queued).json()["status"] == "cancelled"
        assert client.delete(running).status_code == 202
        assert ended(moving, running)["status"] == "cancelled"
        connection.execute("SELECT pg_advisory_unlock(%s)", (BUILD_LOCK_CLASS + gallery,))
        assert generations(moving)[0]["number"] == 1

        # Cancelled by the first descriptor that it stores.
        connection.execute(
            "CREATE FUNCTION cancel() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN UPDATE jobs SET cancel_requested = true WHERE status = 'running'; RETURN NEW; END $$;"
            "CREATE TRIGGER cancel AFTER INSERT ON descriptors FOR EACH STATEMENT EXECUTE FUNCTION cancel()"
        )
        job = run(moving, "POST", "/admin/reindex", model_id=models[1])
        assert (job["status"], job["error"]) == ("cancelled", None)
        connection.execute("DROP TRIGGER cancel ON descriptors")
        assert search(moving, ids[0])["generation"] == 1
        assert generations(moving)[0]["status"] == "building"
        done = run(moving, "POST", "/admin/reindex")
        for over, words in ((job, "was cancelled already"), (done, "has succeeded already")):
            answer = client.delete(f"/jobs/{over['id']}")
            assert (answer.status_code, answer.json()["code"]) == (409, "job_finished")
            assert words in answer.json()["detail"]
            assert "Retry-After" not in answer.headers
        listed = client.get("/jobs", params={"limit": 2}).json()
        assert listed["items"][0]["id"] == done["id"]
        rest = client.get("/jobs", params={"cursor": listed["next_cursor"]}).json()
        assert len(rest["items"]) == 2
        assert rest["next_cursor"] is None


def test_a_reindex_of_a_dead_process_goes_on_with_its_generation(postgres, weights: dict[str, Path]) -> None:
    (_, first), (second, file) = weights.items()
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, weights=first)
        with run_service(settings) as running:
            ids = [upload(running, seed, frames=2)["id"] for seed in range(5)]
            (running.data_directory / "models" / "second.safetensors").write_bytes(file.read_bytes())
            with running.client() as client:
                assert client.post("/admin/models", json={"path": "second.safetensors"}).status_code == 201
        with running.database() as connection:
            connection.execute(
                "INSERT INTO generations (gallery_id, number, model_id) SELECT id, 2, %s FROM galleries", (second,)
            )
            (job_id,) = connection.execute(
                "INSERT INTO jobs (id, kind, gallery_id, gallery_name, status, parameters)"
                " SELECT gen_random_uuid(), 'reindex', gallery_id, 'default', 'running',"
                " jsonb_build_object('model_id', model_id, 'generation_id', id)"
                " FROM generations WHERE number = 2 RETURNING id"
            ).fetchone()
        with run_service(settings) as running:
            job = ended(running, f"/jobs/{job_id}")
            assert (job["status"], job["result"]["generation"]) == ("succeeded", 2)
            assert search(running, ids[0])["model_id"] == second
            assert [one["number"] for one in generations(running)] == [2, 1]


def test_another_process_follows_a_move_to_another_model(postgres, weights: dict[str, Path]) -> None:
    (_, first), (second, file) = weights.items()
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, weights=first)
        with run_service(settings) as one, run_service(settings) as other:
            ids = [upload(one, seed, frames=2)["id"] for seed in range(6)]
            with one.client() as client:
                client.post(
                    "/admin/models", content=file.read_bytes(), headers={"Content-Type": "application/octet-stream"}
                )
            with Constantly(other, ids[:2]) as constantly:
                wait_until(lambda: len(constantly.answers) > 5)
                assert run(one, "POST", "/admin/reindex", model_id=second)["status"] == "succeeded"
                wait_until(lambda: constantly.answers[-1]["model_id"] == second)
            assert constantly.failures == []
            wait_until(lambda: one.footprint()["index"] == other.footprint()["index"])
            assert search(other, ids[0], k=1000)["results"] == search(one, ids[0], k=1000)["results"]


def test_a_switch_within_a_comparison_is_no_finding(
    moving: RunningService, models: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        upload(moving, seed, frames=1)
    checker = moving.service.checker
    freeze, met = checker._frozen, []

    def move() -> None:
        met.append(run(moving, "POST", "/admin/reindex", gallery="default", model_id=models[1])["status"])
        upload(moving, 9, frames=1)

    async def met_by_a_switch(*arguments: Any, **options: Any) -> Any:
        frozen = await freeze(*arguments, **options)
        if not met:
            await asyncio.to_thread(move)
        return frozen

    monkeypatch.setattr(checker, "_frozen", met_by_a_switch)
    with moving.client() as client:
        report = client.get("/admin/integrity").json()
    assert (met, report["findings"], report["model_id"]) == (["succeeded"], [], models[1])
    assert (report["generation"], report["checked"]["index_rows"]) == (2, 3)


def test_a_model_or_a_generation_that_does_not_exist_is_refused(moving: RunningService) -> None:
    with moving.client() as client:
        assert client.post("/admin/reindex", json={"model_id": "0" * 64}).status_code == 404
        assert client.post("/admin/generations/999/activate").status_code == 404
        assert client.get("/admin/generations", params={"cursor": "x"}).status_code == 422
        assert client.delete("/jobs/00000000-0000-0000-0000-000000000000").status_code == 404
