"""Re-index: a job that rebuilds while searches and writes go on, and survives its process."""

import threading

import pytest

from service.jobs import queue
from tests.contract.outsider import problem
from tests.jobs import run
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


def test_a_reindex_opens_the_next_generation_with_the_same_answer(fresh_service: RunningService) -> None:
    ids = [upload(fresh_service, seed)["id"] for seed in range(6)]
    fresh_service.client().delete(f"/tracklets/{ids[3]}")
    before = search(fresh_service, ids[0])
    job = run(fresh_service, "POST", "/admin/reindex")
    assert (job["status"], job["done"], job["total"], job["error"]) == ("succeeded", 5, 5, None)
    after = search(fresh_service, ids[0])
    assert (before["generation"], after["generation"]) == (1, 2)
    assert after["results"] == before["results"]


def test_searches_and_writes_go_on_during_a_reindex(fresh_service: RunningService) -> None:
    ids = [upload(fresh_service, seed)["id"] for seed in range(4)]
    failures: list[str] = []
    done = threading.Event()

    def ask() -> None:
        with fresh_service.client() as client:
            while not done.is_set():
                answer = client.get("/search", params={"query_id": ids[0]})
                if answer.status_code != 200 or len(answer.json()["results"]) < 3:
                    failures.append(answer.text)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for round_number in range(3):
            with fresh_service.client() as client:
                location = client.post("/admin/reindex").headers["location"]
                while client.get(location).json()["status"] in ("queued", "running"):
                    ids.append(upload(fresh_service, 100 * round_number + len(ids))["id"])
    finally:
        done.set()
        asking.join()
    assert failures == []
    answer = search(fresh_service, ids[0], k=1000)
    assert {result["tracklet_id"] for result in answer["results"]} == set(ids[1:])
    assert answer["generation"] == 4


def test_a_job_and_its_queue_entry_are_committed_together_or_not_at_all(fresh_service: RunningService) -> None:
    with fresh_service.database() as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON procrastinate.procrastinate_jobs"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        # As every answer, with the id of its request.
        assert problem(fresh_service.client().post("/admin/reindex"), 500)["code"] == "internal_error"
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_job_that_fails_says_why(fresh_service: RunningService) -> None:
    upload(fresh_service, 1)
    with fresh_service.database() as connection:
        connection.execute("UPDATE descriptors SET vector = 'short'")
    job = run(fresh_service, "POST", "/admin/reindex")
    assert job["status"] == "failed"
    assert "descriptor" in job["error"]
    assert fresh_service.client().get("/readyz").status_code == 200


@pytest.mark.parametrize("left_behind", ["doing by a dead worker", "no queue entry"])
def test_a_job_of_a_dead_process_is_taken_up_again(postgres, left_behind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(queue, "STALLED_SECONDS", 1.0)
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url)
        with run_service(settings) as running:
            upload(running, 1)
        with running.database() as connection:
            job_id = connection.execute(
                "INSERT INTO jobs (id, kind, gallery_id, gallery_name, status) "
                "SELECT gen_random_uuid(), 'reindex', id, name, 'running' FROM galleries RETURNING id"
            ).fetchone()[0]
            if left_behind == "doing by a dead worker":
                connection.execute("SET search_path = procrastinate")
                connection.execute(
                    "WITH worker AS (INSERT INTO procrastinate_workers (last_heartbeat)"
                    " VALUES (now() - interval '1 hour') RETURNING id)"
                    " INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id)"
                    " SELECT 'default', 'reindex', 'gallery default', jsonb_build_object('job_id', %s::text),"
                    " 'doing', id FROM worker",
                    (str(job_id),),
                )
        with run_service(settings) as running, running.client() as client:
            wait_until(lambda: client.get(f"/jobs/{job_id}").json()["status"] == "succeeded")
