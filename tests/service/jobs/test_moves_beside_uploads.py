"""A gallery moves to a slow model: nobody waits for what is described, and no tracklet is stored without it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.gallery.galleries import Galleries
from tests.jobs import ended, run, start
from tests.service.jobs.moving import (
    add_model,
    begin_move,
    descriptors,
    gate,
    generations,
    held,
    joining,
    try_upload,
)
from tests.support import (
    RunningService,
    empty_database,
    frame_files,
    make_settings,
    pictures,
    reachable_folder,
    run_service,
    search,
    upload,
    wait_until,
    waiting_for_locks,
)

CONNECTIONS = 6


@pytest.fixture(scope="module")
def pair(postgres, weights: dict[str, Path]) -> Iterator[tuple[RunningService, RunningService]]:
    """Two services on one database and one data directory, on the first model, with few connections each."""
    first, second = weights.values()
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, weights=first, database_connections=CONNECTIONS)
        with run_service(settings) as one, run_service(settings) as other:
            add_model(one, second)
            yield one, other


@pytest.fixture
def one(pair: tuple[RunningService, RunningService]) -> RunningService:
    """The first of the two."""
    return pair[0]


def embedded(running: RunningService) -> float:
    """How many uploads the service has described, over all models."""
    count = running.service.metrics.registry.get_sample_value("tfclip_stage_seconds_count", {"stage": "embed"})
    assert count is not None
    return count


def found(running: RunningService, query: str, gallery: str) -> set[str]:
    """Ids in the ranking of a stored query."""
    return {result["tracklet_id"] for result in search(running, query, k=1000, gallery=gallery)["results"]}


def test_nobody_waits_while_a_slow_model_describes_the_last_tracklets(
    one: RunningService, models: tuple[str, str]
) -> None:
    first, second = models
    many = CONNECTIONS + 2
    with gate(second) as slow, ThreadPoolExecutor(many) as threads, one.client() as client, one.database() as look:
        move = begin_move(one, second, slow)
        # The job is about to describe the late tracklet, and uploads are described by both models.
        assert slow.arrived.wait(60)
        uploads = [threads.submit(try_upload, one, 100 + seed, move.gallery) for seed in range(many)]
        batchers = one.service.models._batchers
        wait_until(lambda: second in batchers and batchers[second].load == many)
        for number in range(20):
            answer = client.get("/search", params={"query_id": move.stored[number % 3], "gallery": move.gallery})
            assert answer.status_code == 200, answer.text
            assert (answer.json()["generation"], answer.json()["model_id"]) == (1, first)
        assert client.delete(f"/tracklets/{move.stored[1]}").status_code == 204
        assert waiting_for_locks(look) == 0
        assert client.get(move.job).json()["status"] == "running"
        slow.open()
        answers = [upload.result() for upload in uploads]
        assert [answer for answer in answers if answer.startswith("refused")] == []
        job = ended(one, move.job)
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert joining(one, move.gallery) is None
    stored = {*move.stored, *answers} - {move.stored[1]}
    assert found(one, move.late, move.gallery) == stored - {move.late}
    assert search(one, move.late, gallery=move.gallery)["model_id"] == second
    assert stored <= descriptors(one, second).keys()


def test_uploads_and_deletions_that_wait_for_a_gallery_leave_connections_to_searches(one: RunningService) -> None:
    many = CONNECTIONS + 2
    ids = [upload(one, 150 + seed, gallery="locked")["id"] for seed in range(3)]
    with ThreadPoolExecutor(2 * many) as threads, one.client() as client, one.database() as look:
        before = embedded(one)
        with one.database() as connection, connection.transaction():
            connection.execute("SELECT id FROM galleries WHERE name = 'locked' FOR NO KEY UPDATE")
            uploads = [threads.submit(try_upload, one, 160 + seed, "locked") for seed in range(many)]
            deletion = threads.submit(one.client().delete, f"/tracklets/{ids[2]}")
            # All are described, and those that got no connection wait for one by now.
            wait_until(lambda: waiting_for_locks(look) >= CONNECTIONS // 2 and embedded(one) == before + many)
            for _ in range(20):
                assert client.get("/search", params={"query_id": ids[0], "gallery": "locked"}).status_code == 200
        answers = [upload.result() for upload in uploads]
        assert [answer for answer in answers if answer.startswith("refused")] == []
        assert deletion.result().status_code == 204
    assert found(one, ids[0], "locked") == {ids[1], *answers}


def test_uploads_to_every_service_are_described_for_a_generation_that_joins_and_not_again_by_the_job(
    pair: tuple[RunningService, RunningService], models: tuple[str, str]
) -> None:
    one, other = pair
    with gate(models[1], threads="describe") as slow:
        move = begin_move(one, models[1], slow)
        assert slow.arrived.wait(60)
        made = [upload(running, 200 + seed, 5, gallery=move.gallery) for seed, running in enumerate([*pair, *pair])]
        ids = [one["id"] for one in made]
        described = {tracklet: descriptors(one, models[1])[tracklet] for tracklet in ids}
        assert set(ids) <= descriptors(one, models[0]).keys()
        assert move.late not in descriptors(one, models[1])
        for running in pair:
            assert found(running, ids[0], move.gallery) == {*move.stored, *ids[1:]}
        slow.open()
        assert ended(one, move.job)["status"] == "succeeded"
    assert {tracklet: descriptors(one, models[1])[tracklet] for tracklet in ids} == described
    with one.client() as client:
        for before in made:
            tracklet, judged = (client.get(f"/tracklets/{before['id']}{path}").json() for path in ("", "/purity"))
            assert judged["model_id"] == models[1]
            assert tracklet["purity"] == pytest.approx(judged["purity"], abs=2e-4)
    wait_until(lambda: search(other, ids[0], gallery=move.gallery)["model_id"] == models[1])
    wait_until(lambda: search(one, ids[0], gallery=move.gallery)["model_id"] == models[1])
    rankings = [search(running, ids[0], k=1000, gallery=move.gallery)["results"] for running in pair]
    assert rankings[0] == rankings[1]
    assert {result["tracklet_id"] for result in rankings[0]} == {*move.stored, *ids[1:]}


def test_an_upload_under_way_when_a_generation_joins_is_described_by_its_model_too_and_by_the_first_once(
    one: RunningService, models: tuple[str, str]
) -> None:
    upload(one, 300, gallery="joined")
    with gate(models[0]) as slow, ThreadPoolExecutor(1) as threads, one.database() as connection:
        waiting = threads.submit(upload, one, 301, gallery="joined")
        assert slow.arrived.wait(60)
        connection.execute(
            "INSERT INTO generations (gallery_id, number, model_id) SELECT id, 2, %s FROM galleries WHERE name ="
            " 'joined'",
            (models[1],),
        )
        connection.execute("UPDATE galleries SET joining = 2 WHERE name = 'joined'")
        slow.open()
        stored = waiting.result()
        assert slow.calls == 1
    assert stored["model_id"] == models[0]
    assert stored["id"] in descriptors(one, models[0])
    assert stored["id"] in descriptors(one, models[1])


def test_an_upload_that_cannot_be_described_for_a_generation_that_joins_says_so_and_leaves_no_trace(
    one: RunningService, models: tuple[str, str]
) -> None:
    lost = "f" * 64
    upload(one, 400, gallery="stuck")
    with one.database() as connection, one.client() as client:
        connection.execute(
            "INSERT INTO models (id, dimension, architecture, image, provenance)"
            " SELECT %s, dimension, architecture, image, provenance FROM models WHERE id = %s",
            (lost, models[0]),
        )
        connection.execute(
            "INSERT INTO generations (gallery_id, number, model_id) SELECT id, 2, %s FROM galleries WHERE name ="
            " 'stuck'",
            (lost,),
        )
        connection.execute("UPDATE galleries SET joining = 2, generations = 2 WHERE name = 'stuck'")
        before = one.footprint()
        metadata = {"metadata": json.dumps({"camera_id": "c", "gallery": "stuck"})}
        answer = client.post("/tracklets", data=metadata, files=frame_files(pictures(401)))
        assert (answer.status_code, answer.json()["code"]) == (409, "model_conflict")
        assert lost in answer.json()["detail"]
        assert "cancel the job" in answer.json()["detail"]
        assert one.footprint() == before
        # A job that ends, whichever, lets it in again.
        assert run(one, "POST", "/admin/reindex", gallery="stuck", model_id=models[1])["status"] == "succeeded"
        assert upload(one, 401, gallery="stuck")["model_id"] == models[1]


def test_a_move_that_fails_once_its_generation_joins_lets_uploads_be_as_before(
    one: RunningService, models: tuple[str, str]
) -> None:
    known = descriptors(one, models[1])

    def damage(late: str) -> None:
        with one.database() as connection:
            query = "SELECT name, sha256 FROM frames JOIN galleries ON galleries.id = gallery_id WHERE tracklet_id = %s"
            gallery, sha256 = connection.execute(query, (late,)).fetchone()
        (one.data_directory / "frames" / gallery / sha256.hex()).write_bytes(b"damaged")

    with gate(models[1]) as slow:
        move = begin_move(one, models[1], slow, damage)
        job = ended(one, move.job)
    assert job["status"] == "failed"
    assert move.late in job["error"]
    assert joining(one, move.gallery) is None
    later = upload(one, 500, gallery=move.gallery)
    assert later["model_id"] == models[0]
    assert descriptors(one, models[1]).keys() - known.keys() == set(move.stored[:3])
    assert search(one, later["id"], gallery=move.gallery)["generation"] == 1


@pytest.mark.parametrize("stage", ["build", "catch up"])
def test_a_move_is_cancelled_at_any_stage_and_can_be_gone_on_with(
    one: RunningService, models: tuple[str, str], stage: str
) -> None:
    first, second = models
    with gate(second) as slow, one.client() as client:
        if stage == "build":
            slow.open()
            gallery = "cancelled"
            stored = [upload(one, 600 + seed, gallery=gallery)["id"] for seed in range(3)]
            with held(Galleries, "build") as builds:
                job = start(one, "POST", "/admin/reindex", gallery=gallery, model_id=second)
                assert builds.wait(60)
                assert client.delete(job).status_code == 202
            cancelled = ended(one, job)
        else:
            move = begin_move(one, second, slow)
            gallery, job, stored = move.gallery, move.job, move.stored
            assert slow.arrived.wait(60)
            assert joining(one, gallery) == 2
            assert client.delete(job).status_code == 202
            slow.open()
            cancelled = ended(one, job)
        assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
        assert joining(one, gallery) is None
        assert [(each["number"], each["status"], each["serving"]) for each in generations(one, gallery=gallery)] == [
            (2, "building", False),
            (1, "ready", True),
        ]
        described = descriptors(one, second)
        stored.append(upload(one, 700, gallery=gallery)["id"])
        assert descriptors(one, second) == described
        assert search(one, stored[0], gallery=gallery)["model_id"] == first
        newest = generations(one, gallery=gallery)[0]["id"]
        assert run(one, "POST", f"/admin/generations/{newest}/activate")["status"] == "succeeded"
    assert descriptors(one, second).items() >= described.items()
    assert found(one, stored[0], gallery) == set(stored[1:])
    assert search(one, stored[0], gallery=gallery)["model_id"] == second


def test_a_move_that_is_cancelled_while_its_process_is_dead_does_not_keep_its_generation_joining(
    one: RunningService, models: tuple[str, str]
) -> None:
    upload(one, 750, gallery="dead")
    with one.database() as connection:
        connection.execute(
            "WITH made AS (INSERT INTO generations (gallery_id, number, model_id) SELECT id, 2, %s FROM galleries"
            " WHERE name = 'dead' RETURNING *), joined AS (UPDATE galleries SET joining = 2 WHERE name = 'dead')"
            " INSERT INTO jobs (id, kind, gallery_id, gallery_name, status, cancel_requested, parameters)"
            " SELECT gen_random_uuid(), 'reindex', gallery_id, 'dead', 'running', true,"
            " jsonb_build_object('model_id', model_id, 'generation_id', id) FROM made",
            (models[1],),
        )
        (job,) = connection.execute("SELECT id FROM jobs WHERE cancel_requested AND finished_at IS NULL").fetchone()
    assert ended(one, f"/jobs/{job}")["status"] == "cancelled"
    assert joining(one, "dead") is None
    assert upload(one, 751, gallery="dead")["id"] not in descriptors(one, models[1])


def test_two_services_that_are_asked_at_once_reindex_one_after_the_other_even_if_their_queue_would_not(
    pair: tuple[RunningService, RunningService], models: tuple[str, str]
) -> None:
    one, _ = pair
    ids = [upload(one, 800 + seed, gallery="asked-twice")["id"] for seed in range(3)]
    with gate(models[1]) as slow, one.database() as connection:
        connection.execute(
            "CREATE TABLE happened (number int GENERATED ALWAYS AS IDENTITY, what text);"
            "CREATE FUNCTION opened() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.happened (what) VALUES ('opened ' || NEW.number); RETURN NULL; END $$;"
            "CREATE FUNCTION switched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.happened (what) VALUES ('switched to ' || NEW.generation); RETURN NULL; END $$;"
            "CREATE FUNCTION unlocked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " NEW.lock = NULL; RETURN NEW; END $$;"
            "CREATE TRIGGER opened AFTER INSERT ON generations FOR EACH ROW EXECUTE FUNCTION opened();"
            "CREATE TRIGGER switched AFTER UPDATE ON galleries FOR EACH ROW"
            " WHEN (OLD.generation <> NEW.generation) EXECUTE FUNCTION switched();"
            # As when a process is taken for dead and is not: the queue's own lock keeps nobody apart.
            "CREATE TRIGGER unlocked BEFORE INSERT ON procrastinate.procrastinate_jobs FOR EACH ROW"
            " EXECUTE FUNCTION unlocked()"
        )
        try:
            jobs = [start(each, "POST", "/admin/reindex", gallery="asked-twice", model_id=models[1]) for each in pair]
            with one.client() as client:
                wait_until(lambda: [client.get(job).json()["status"] for job in jobs] == ["running"] * 2)
            assert slow.arrived.wait(60)
            slow.open()
            results = [ended(one, job) for job in jobs]
            happened = connection.execute("SELECT what FROM happened ORDER BY number").fetchall()
        finally:
            connection.execute(
                "DROP FUNCTION opened, switched, unlocked CASCADE; DROP TABLE happened",
            )
    assert [(job["status"], job["error"]) for job in results] == [("succeeded", None)] * 2
    assert sorted(job["result"]["generation"] for job in results) == [2, 3]
    assert [what for (what,) in happened] == ["opened 2", "switched to 2", "opened 3", "switched to 3"]
    for running in pair:
        wait_until(lambda running=running: search(running, ids[0], gallery="asked-twice")["generation"] == 3)
        assert found(running, ids[0], "asked-twice") == set(ids[1:])
