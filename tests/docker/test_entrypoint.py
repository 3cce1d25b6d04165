"""The container's process, run as it runs inside: the image's and Compose's environment, entrypoint and command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import make_url

from tests.docker.files import ENTRYPOINT, compose, image_environment, interpolated, last_of
from tests.docker.password_server import PasswordServer, free_port, run_password_server
from tests.support import reachable_folder, wait_until

ADMIN_KEY = "docker-admin-key-0123456789abcdef"
STOP_SECONDS = 20.0
SEARCH_PATH = f"{Path(sys.executable).parent}:{os.defpath}"


@dataclass(frozen=True)
class Container:
    """What stands for the running container.

    Attributes:
        process: its first process.
        environment: what that was given.
        url: where the service listens.
        log: file with everything that it printed.
    """

    process: "subprocess.Popen[bytes]"
    environment: dict[str, str]
    url: str
    log: Path

    def is_healthy(self) -> bool:
        """Run the image's health check, word for word."""
        command = json.loads(last_of("HEALTHCHECK").value.split("CMD", 1)[1])
        check = subprocess.run(command, env=self.environment, capture_output=True, check=False, timeout=30)
        return check.returncode == 0

    def wait_until_ready(self) -> None:
        """Wait until uploads and searches are answered.

        Raises:
            AssertionError: the process has ended instead; shows what it printed.
        """

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(httpx.TransportError):
                return client.get("/readyz").status_code == 200
            return False

        with httpx.Client(base_url=self.url) as client:
            wait_until(is_ready)


@pytest.fixture(scope="module")
def password_server() -> Iterator[PasswordServer]:
    """The database that docker-compose.yml names."""
    names = compose()["services"]["postgres"]["environment"]
    with run_password_server(names["POSTGRES_USER"], names["POSTGRES_DB"]) as server:
        yield server


@pytest.fixture(scope="module")
def container(password_server: PasswordServer) -> Iterator[Container]:
    """The service as `docker compose up` runs it, but for paths and ports, which are the test's own."""
    account = unprivileged_account()
    with reachable_folder() as folder:
        secrets, data, log = folder / "secrets", folder / "data", folder / "log"
        secrets.mkdir(mode=0o755)
        (secrets / "postgres_password").write_text(f"{password_server.password}\n")
        (secrets / "tfclip_admin_key").write_text(f"{ADMIN_KEY}\n")
        data.mkdir(mode=0o700)
        if account is not None:
            shutil.chown(data, account)
        # Copied, as into the image: the checkout may lie where this account cannot enter.
        entrypoint = shutil.copy(ENTRYPOINT, folder / "tfclip-entrypoint")
        given = {name: interpolated(value) for name, value in compose()["services"]["service"]["environment"].items()}
        port = free_port()
        environment = image_environment() | given
        environment |= {
            "PATH": SEARCH_PATH,
            "HOME": "/tmp",
            "TFCLIP_SECRETS_DIR": str(secrets),
            "TFCLIP_DATA_DIR": str(data),
            "TFCLIP_PORT": str(port),
            "TFCLIP_DATABASE_URL": make_url(given["TFCLIP_DATABASE_URL"])
            .set(host="127.0.0.1", port=password_server.port)
            .render_as_string(hide_password=False),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [entrypoint, *last_of("CMD").words()],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=account,
                group=account and "nogroup",
                extra_groups=account and [],
            )
        running = Container(process, environment, f"http://127.0.0.1:{port}", log)
        try:
            running.wait_until_ready()
            yield running
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(60)


def unprivileged_account() -> str | None:
    """The account to run as when the tests run as root, if it can run our Python; None is the account of the tests."""
    if os.geteuid() != 0:
        return None
    attempt = subprocess.run(
        ["/bin/sh", "-c", "cd / && exec tfclip --version"],
        env={"PATH": SEARCH_PATH},
        user="nobody",
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    return "nobody" if attempt.returncode == 0 else None


def test_the_entrypoint_has_become_the_service(container: Container) -> None:
    command = psutil.Process(container.process.pid).cmdline()
    assert command[-2:] == [str(Path(sys.executable).with_name("tfclip")), "serve"]


def test_the_service_runs_without_root(container: Container) -> None:
    uid = psutil.Process(container.process.pid).uids().real
    if uid == 0:
        pytest.skip("the tests run as root, and `nobody` may not enter the folder of this Python")
    assert uid != 0


def test_the_database_wants_the_password_that_only_the_secret_file_tells(
    container: Container, password_server: PasswordServer
) -> None:
    assert password_server.accepts(password_server.password, password_server.database)
    assert not password_server.accepts("wrong", password_server.database)
    assert password_server.password not in " ".join(container.environment.values())


def test_the_key_of_the_secret_file_opens_the_service(container: Container) -> None:
    authorization = {"Authorization": f"Bearer {ADMIN_KEY}"}
    answer = httpx.get(f"{container.url}/tracklets", headers=authorization)
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"] == []
    assert httpx.get(f"{container.url}/tracklets").status_code == 401


def test_no_secret_is_in_the_log(container: Container, password_server: PasswordServer) -> None:
    printed = container.log.read_text()
    assert "service started" in printed
    assert ADMIN_KEY not in printed
    assert password_server.password not in printed


def test_the_health_check_of_the_image_succeeds(container: Container) -> None:
    assert container.is_healthy()


# The last one: nothing runs after it.
def test_sigterm_ends_the_service_in_order(container: Container) -> None:
    container.process.terminate()
    assert container.process.wait(STOP_SECONDS) == 0, container.log.read_text()
    assert not container.is_healthy()
