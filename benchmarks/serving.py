"""What the benchmarks of the running service share: a folder, `tfclip serve` in it, and the CPU time that it takes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ADMIN_KEY = "benchmark-admin-key-0123456789"
_START_SECONDS = 600


@contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary folder that an embedded PostgreSQL can be in."""
    with tempfile.TemporaryDirectory(prefix="tfclip-bench-") as folder:
        # An embedded PostgreSQL that root starts runs as another user, who must be able to enter.
        Path(folder).chmod(0o711)
        yield Path(folder)


@contextmanager
def served(data: Path, weights: Path | None = None, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`tfclip serve` on its embedded defaults: the process and its address, once it is ready.

    Args:
        weights: a weights file; the demo weights where it is None.
        settings: environment variables that it starts with in addition.
    """
    environment = os.environ | {
        "TFCLIP_DATA_DIR": str(data),
        "TFCLIP_ADMIN_KEY": ADMIN_KEY,
        "TFCLIP_LOG_FORMAT": "json",
        **({"TFCLIP_WEIGHTS": str(weights)} if weights else {}),
        **settings,
    }
    command = [sys.executable, "-c", "from model.cli import main; main()", "serve", "--port", "0"]
    with _log_file(data).open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream, env=environment)
    try:
        yield process, _address_when_ready(process, data)
    finally:
        process.terminate()
        process.wait(timeout=120)


def log_events(data: Path, event: str) -> list[dict[str, Any]]:
    """What the service over this folder has logged of one kind since it was started."""
    lines = (json.loads(line) for line in _log_file(data).read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


def cpu_seconds(service: int, folder: Path) -> dict[str, float]:
    """CPU seconds used so far by the service, its PostgreSQL, and the clients."""

    def total(processes: Iterable[psutil.Process]) -> float:
        times = [process.cpu_times() for process in processes]
        return sum(time.user + time.system + time.children_user + time.children_system for time in times)

    servers = [
        p for p in psutil.process_iter(["cmdline"]) if any(str(folder) in part for part in p.info["cmdline"] or ())
    ]
    postgres = [p for p in servers if "postgres" in Path((p.info["cmdline"] or [""])[0]).name]
    backends = [child for server in postgres for child in server.children()]
    clients = [p for p in psutil.Process().children() if p.pid != service]
    return {
        "service": total([psutil.Process(service)]),
        "PostgreSQL": total([*postgres, *backends]),
        "clients": total(clients),
    }


def _log_file(data: Path) -> Path:
    return data.with_suffix(".log")


def _address_when_ready(process: subprocess.Popen[bytes], data: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in _log_file(data).read_text().splitlines():
            if "Uvicorn running on http" in line:
                url = "http://" + line.split("running on http://")[1].split()[0].rstrip('",')
                if httpx.get(f"{url}/readyz").status_code == 200:
                    return url
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start: {_log_file(data).read_text()[-2000:]}")
