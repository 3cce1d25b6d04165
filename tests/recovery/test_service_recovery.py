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

from service.store.embedded import EmbeddedPostgres
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
