"""One service for all tests of what comes in; each uses galleries of its own."""

from collections.abc import Iterator

import pytest

from service.store.embedded import EmbeddedPostgres
from tests.support import RunningService, empty_database, make_settings, reachable_folder, run_service


@pytest.fixture(scope="package")
def running_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service that the tests of this folder share."""
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url)) as running,
    ):
        yield running
