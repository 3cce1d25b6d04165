"""A service that is killed, with or without its PostgreSQL, comes back with the same answers, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from service.jobs.reindex import BUILD_LOCK_CLASS
from service.store.embedded import EmbeddedPostgres
from tests.service.jobs.weights import make_weights
from tests.support import ADMIN_KEY, frame_files, pictures, wait_until

pytestmark = pytest.mark.slow


class ServiceProcess:
    """`tfclip serve` as a process of its own, on its embedded defaults."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-c", "from model.cli import main; main()", "serve", "--port", str(self.port)]
        environment = os.environ | {
            "TFCLIP_DATA_DIR": str(self.data),
            "TFCLIP_ADMIN_KEY": ADMIN_KEY,
            "TFCLIP_LOG_FORMAT": "json",
            "TFCLIP_SNAPSHOT_SECONDS": "0.5",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait_until(self._listening)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60
        )
        self.wait_ready()

    def _listening(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        for line in self.log.read_text().splitlines():
            event = json.loads(line).get("event", "") if line.startswith("{") else ""
            if event.startswith("Uvicorn running on"):
                self.port = int(event.split("http://127.0.0.1:")[1].split()[0])
                return True
        return False

    def wait_ready(self) -> None:
        """Until searches are answered."""
        wait_until(lambda: self.client.get("/readyz").status_code == 200)

    def kill(self) -> None:
        """kill -9, without a chance to save anything."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start again on the same data."""
        self._start()

    def kill_postmaster(self) -> None:
        """kill -9 the postmaster."""
        os.kill(self.postmaster(), signal.SIGKILL)

    def postmaster(self) -> int:
        """Process id of PostgreSQL's postmaster."""
        (path,) = self.data.glob("postgres/**/postmaster.pid")
        return int(path.read_text().splitlines()[0])

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def upload(self, seed: int) -> str:
        """Store a tracklet; its id."""
        answer = self.client.post(
            "/tracklets",
            data={"metadata": json.dumps({"camera_id": f"c{seed % 2}"})},
            files=frame_files(pictures(seed)),
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ranking(self, query_id: str) -> list[dict[str, Any]]:
        """The whole ranking of a stored query."""
        answer = self.client.get("/search", params={"query_id": query_id, "k": 1000})
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results


@pytest.fixture
def running(data_folder: Path) -> Iterator[ServiceProcess]:
    """A service process; it and its PostgreSQL are gone afterwards."""
    service = ServiceProcess(data_folder)
    yield service
    if service.process.poll() is None:
        service.stop()
    # What a killed service left running is adopted and stopped.
    server = EmbeddedPostgres(service.data / "postgres")
    server.start()
    server.stop()


@contextmanager
def embedded(service: ServiceProcess) -> Iterator[psycopg.Connection]:
    """A connection to the embedded server of a running service."""
    with psycopg.connect(EmbeddedPostgres(service.data / "postgres").conninfo("tfclip"), autocommit=True) as connection:
        yield connection


def test_killed_services_and_servers_come_back_with_the_same_ranking(running: ServiceProcess) -> None:
    ids = [running.upload(seed) for seed in range(8)]
    assert running.client.delete(f"/tracklets/{ids[5]}").status_code == 204
    before = running.ranking(ids[0])
    assert len(before) == 6

    running.kill()
    running.restart()
    assert running.ranking(ids[0]) == before

    running.kill_postmaster()
    running.kill()
    running.restart()
    assert running.ranking(ids[0]) == before


def test_a_server_killed_under_the_service_comes_back_by_itself(running: ServiceProcess) -> None:
    ids = [running.upload(seed) for seed in range(5)]
    before = running.ranking(ids[0])
    first = running.postmaster()
    running.kill_postmaster()
    # The service says that it is not ready, and never gives a wrong answer meanwhile.
    wait_until(lambda: running.client.get("/readyz").status_code == 503)
    answer = running.client.get("/search", params={"query_id": ids[0], "k": 1000})
    assert answer.status_code == 503 or answer.json()["results"] == before
    running.wait_ready()
    assert running.postmaster() != first
    assert running.ranking(ids[0]) == before
    ids.append(running.upload(5))
    assert len(running.ranking(ids[0])) == 5
    location = running.client.post("/admin/reindex").headers["location"]
    wait_until(lambda: running.client.get(location).json()["status"] == "succeeded")


def test_every_acknowledged_upload_survives_a_kill_and_no_other_leaves_a_trace(running: ServiceProcess) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def send(worker: int) -> None:
        seed = 1000 * worker
        while not stop.is_set():
            try:
                acknowledged.append(running.upload(seed))
            except httpx.HTTPError:
                return
            seed += 1

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(1, 5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 12)
    running.kill()
    stop.set()
    for thread in threads:
        thread.join()
    running.restart()

    with embedded(running) as connection:
        stored = {str(row[0]) for row in connection.execute("SELECT id FROM tracklets").fetchall()}
        hashes = {row[0].hex() for row in connection.execute("SELECT sha256 FROM frames").fetchall()}
    assert set(acknowledged) <= stored
    folder = running.data / "frames" / "default"
    # Files that no row names are swept in the background after a start.
    wait_until(lambda: {path.name for path in folder.iterdir()} == hashes)
    found = {result["tracklet_id"] for result in running.ranking(acknowledged[0])}
    assert found == stored - {acknowledged[0]}


def test_a_killed_move_goes_on_without_describing_again_and_uploads_bring_what_it_needs_meanwhile(
    running: ServiceProcess, tmp_path: Path
) -> None:
    ids = [running.upload(seed) for seed in range(40)]
    second = make_weights(tmp_path / "second.safetensors", seed=2)
    kind = {"Content-Type": "application/octet-stream"}
    weights = (tmp_path / "second.safetensors").read_bytes()
    assert running.client.post("/admin/models", content=weights, headers=kind).status_code == 201

    with embedded(running) as connection:

        def described() -> dict[str, str]:
            """Which transaction wrote the second model's descriptor of each tracklet."""
            rows = connection.execute("SELECT tracklet_id, xmin FROM descriptors WHERE model_id = %s", (second,))
            return {str(tracklet): str(transaction) for tracklet, transaction in rows.fetchall()}

        def held_up() -> list[int]:
            """Backends that wait for the test."""
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'").fetchall()
            return [pid for (pid,) in rows]

        def kill() -> None:
            running.kill()
            for pid in held_up():
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            wait_until(lambda: not held_up())

        # The job stores two lots of descriptors, and the others wait for the test.
        connection.execute("SELECT pg_advisory_lock(42)")
        connection.execute(
            "CREATE SEQUENCE lots;"
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF TG_TABLE_NAME = 'galleries' OR nextval('public.lots') > 2 THEN PERFORM pg_advisory_xact_lock(42);"
            " END IF; RETURN NULL; END $$;"
            "CREATE TRIGGER hold BEFORE INSERT ON descriptors FOR EACH STATEMENT EXECUTE FUNCTION hold()"
        )
        job = running.client.post("/admin/reindex", json={"model_id": second}).headers["location"]
        wait_until(lambda: held_up() and len(described()) == 16)
        kill()
        before = described()
        assert len(before) == 16

        # The next process describes the others, lets the generation join, and waits for the test before it switches.
        connection.execute(
            "DROP TRIGGER hold ON descriptors;"
            "CREATE TRIGGER hold BEFORE UPDATE OF generation ON galleries FOR EACH STATEMENT EXECUTE FUNCTION hold()"
        )
        running.restart()
        wait_until(held_up)
        kill()
        assert described().items() >= before.items()
        before = described()
        assert before.keys() == set(ids)

        # Nobody takes the job up while the test has the lock that its run needs.
        connection.execute("DROP TRIGGER hold ON galleries")
        lock = BUILD_LOCK_CLASS + connection.execute("SELECT id FROM galleries").fetchone()[0]
        connection.execute("SELECT pg_advisory_lock(%s)", (lock,))
        running.restart()
        assert connection.execute("SELECT joining FROM galleries").fetchone() == (2,)
        ids.append(running.upload(40))
        assert ids[-1] in described()
        before = described()
        connection.execute("SELECT pg_advisory_unlock(%s)", (lock,))
        wait_until(lambda: running.client.get(job).json()["status"] == "succeeded")
        assert described() == before
        assert connection.execute("SELECT generation, joining FROM galleries").fetchone() == (2, None)
    assert {result["tracklet_id"] for result in running.ranking(ids[0])} == set(ids[1:])


def test_an_upload_that_was_committed_and_not_answered_is_not_stored_twice(running: ServiceProcess) -> None:
    headers = {"Idempotency-Key": "once"}

    def send() -> httpx.Response:
        form = {"metadata": json.dumps({"camera_id": "c1"})}
        return running.client.post("/tracklets", data=form, files=frame_files(pictures(1)), headers=headers)

    def refused() -> None:
        with pytest.raises(httpx.HTTPError):
            send()

    lock = 8_260_012
    with embedded(running) as connection:
        # Keeping the answer waits for a lock of the test, so the tracklet is committed and its sender is not answered.
        connection.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NEW.status IS NOT NULL THEN PERFORM pg_advisory_xact_lock({lock}); END IF; RETURN NEW; END $$"
        )
        connection.execute("CREATE TRIGGER hold BEFORE UPDATE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION hold()")
        connection.execute(f"SELECT pg_advisory_lock({lock})")
        sending = threading.Thread(target=refused)
        sending.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: connection.execute(waiting).fetchone() == (1,))
        stored = connection.execute("SELECT id FROM tracklets").fetchall()
        assert len(stored) == 1
        running.kill()
        sending.join()
        connection.execute(f"SELECT pg_advisory_unlock({lock})")
        connection.execute("DROP FUNCTION hold() CASCADE")
    running.restart()
    # The dead process's claim runs out.
    wait_until(lambda: send().status_code == 201)
    answers = [send() for _ in range(2)]
    assert {answer.json()["id"] for answer in answers} == {str(stored[0][0])}
    assert answers[-1].headers["idempotent-replayed"] == "true"
    assert len(running.client.get("/tracklets").json()["items"]) == 1


def test_sigterm_ends_the_service_and_its_server(running: ServiceProcess) -> None:
    running.upload(1)
    postmaster = running.postmaster()
    assert running.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)


def test_the_first_start_prints_an_admin_key_once(data_folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TFCLIP_")}
    environment |= {"TFCLIP_DATA_DIR": str(data_folder / "data"), "TFCLIP_LOG_FORMAT": "json"}
    keys = []
    for _ in range(2):
        command = [sys.executable, "-c", "from model.cli import main; main()", "serve", "--port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Uvicorn running on" in line:
                break
        port = int(lines[-1].split("http://127.0.0.1:")[1].split()[0])
        keys += [line.strip() for line in lines if line.strip().startswith("tfclip_")]
        answer = httpx.get(f"http://127.0.0.1:{port}/tracklets", headers={"Authorization": f"Bearer {keys[0]}"})
        assert answer.status_code == 200
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(keys) == 1


def test_a_deletion_of_a_gallery_goes_on_after_a_kill(running: ServiceProcess) -> None:
    ids = [running.upload(seed) for seed in range(20)]
    job = running.client.delete("/galleries/default").json()
    running.kill()
    running.restart()
    assert running.client.get(f"/tracklets/{ids[0]}").status_code == 404
    wait_until(lambda: running.client.get(f"/jobs/{job['id']}").json()["status"] == "succeeded")
    assert not (running.data / "frames/default").exists()
    assert running.client.get("/galleries/default").json()["statistics"]["tracklets"] == 0
    running.upload(1)
