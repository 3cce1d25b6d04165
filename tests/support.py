"""What tests share: services on real ports, databases of their own, and pictures."""

import json
import resource
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from PIL import Image

from service.app import create_app
from service.http_server import make_server
from service.runtime import Service
from service.settings import Settings
from service.store.database import conninfo
from service.store.embedded import EmbeddedPostgres

ADMIN_KEY = "test-admin-key-0123456789abcdef"


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A temporary folder that an embedded PostgreSQL running as another user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tfclip-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Within the block this process cannot write beyond so many bytes of any file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database that exists for the duration of the block."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create_database(name)
    try:
        yield postgres.url(name)
    finally:
        with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class RunningService:
    """A service that listens on a port of this machine, in a thread of this process."""

    url: str
    admin_key: str
    data_directory: Path
    database_url: str
    service: Service

    def client(self, key: str | None = ADMIN_KEY) -> httpx.Client:
        """An HTTP client with this key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Reading the certificates of the web for a service without TLS would take longer than most of these tests.
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False)

    def database(self) -> psycopg.Connection:
        """A connection of the test's own to the service's database."""
        return psycopg.connect(conninfo(self.database_url), autocommit=True)

    def footprint(self) -> dict[str, int]:
        """How much is stored: rows of every table that an upload writes, files, and index entries."""
        tables = ("tracklets", "frames", "descriptors", "changes", "cameras")
        with self.database() as connection:
            counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        counts["files"] = sum(1 for path in (self.data_directory / "frames").rglob("*") if path.is_file())
        counts["index"] = sum(len(served.index) for served in self.service.galleries.served())
        return counts


@contextmanager
def new_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service with a database and a folder of its own, and nothing stored."""
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url)) as running,
    ):
        yield running


@contextmanager
def run_service(settings: Settings) -> Iterator[RunningService]:
    """Run the service in a thread until the block ends; it is ready when the block begins."""
    app = create_app(settings)
    server = make_server(app, settings)
    # Signals belong to the main thread, which is pytest's.
    server.capture_signals = nullcontext
    thread = threading.Thread(target=server.run, name="service under test")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        if app.state.startup_error is not None:
            raise app.state.startup_error
        port = server.servers[0].sockets[0].getsockname()[1]
        service = app.state.service
        wait_until(lambda: not service.galleries.problems())
        yield RunningService(f"http://127.0.0.1:{port}", ADMIN_KEY, settings.data_dir, service.database.url, service)
    finally:
        server.should_exit = True
        thread.join(timeout=60)


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.01)


def blocked_by(running: RunningService, connection: psycopg.Connection) -> int:
    """How many wait for a lock that this connection has."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    with running.database() as other:
        return other.execute(statement, (connection.info.backend_pid,)).fetchone()[0]


def waiting_for_locks(connection: psycopg.Connection) -> int:
    """How many sessions of this database wait for somebody else's lock."""
    return connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()[0]


def make_settings(data_directory: Path, database_url: str, **values: object) -> Settings:
    """Settings for a service under test; nothing comes from the environment but what the test set there."""
    defaults = {"port": 0, "admin_key": ADMIN_KEY, "poll_seconds": 0.2}
    return Settings(data_dir=data_directory, database_url=database_url, **(defaults | values))


def picture(seed: int, width: int = 64, height: int = 128, format: str = "JPEG") -> bytes:
    """An image file whose content depends on the seed."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (8, 4, 3), np.uint8)
    image = Image.fromarray(blocks).resize((width, height), Image.Resampling.BILINEAR)
    buffer = BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def pictures(seed: int, count: int = 3) -> list[bytes]:
    """Image files of one made-up person."""
    return [picture(seed * 1000 + number) for number in range(count)]


def frame_files(contents: list[bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Frames as httpx sends them."""
    return [("frames", (f"{number}.jpg", content, "image/jpeg")) for number, content in enumerate(contents)]


def upload(running: RunningService, seed: int, frames: int = 3, **metadata: object) -> dict[str, Any]:
    """Store a made-up tracklet and return the answer's body."""
    with running.client() as client:
        answer = client.post(
            "/tracklets",
            data={"metadata": json.dumps({"camera_id": "c1", **metadata})},
            files=frame_files(pictures(seed, frames)),
        )
    assert answer.status_code == 201, answer.text
    return answer.json()


def search(running: RunningService, query_id: str, **options: object) -> dict[str, Any]:
    """Rank against a stored tracklet and return the answer's body."""
    with running.client() as client:
        answer = client.get("/search", params={"query_id": query_id, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()
