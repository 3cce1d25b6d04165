"""Real parts for every test: one embedded PostgreSQL for the session, and services that listen on real ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service.store.embedded import EmbeddedPostgres
from tests.support import RunningService, empty_database, new_service, reachable_folder


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder for one test's data directory."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL server for the whole session."""
    with reachable_folder() as folder:
        server = EmbeddedPostgres(folder / "postgres")
        server.start()
        yield server
        server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database of its own."""
    with empty_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def running_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service that the tests of one module share."""
    with new_service(postgres) as running:
        yield running


@pytest.fixture
def fresh_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service of the test's own, with nothing stored."""
    with new_service(postgres) as running:
        yield running


@pytest.fixture(scope="module")
def silent_service() -> Iterator[None]:
    """The service under test logs from this process; what the runner of commands captures must be the command's."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()
