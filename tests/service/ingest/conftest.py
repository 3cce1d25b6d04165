"""One service for all tests of what comes in; each uses galleries of its own."""

from collections.abc import Iterator

import pytest

from service.store.embedded import EmbeddedPostgres
from tests.support import RunningService, new_service


@pytest.fixture(scope="package")
def running_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service that the tests of this folder share."""
    with new_service(postgres) as running:
        yield running
