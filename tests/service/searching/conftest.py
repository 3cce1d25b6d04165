"""The gallery that the tests of searches ask, and a client to ask with."""

import httpx
import numpy as np
import pytest

from service.gallery.scoring import unit_rows
from tests.service.searching.brute_force import TRACKLETS
from tests.support import RunningService, upload


@pytest.fixture(scope="module")
def stored(running_service: RunningService) -> list[dict]:
    """Tracklets of five people and of strangers, over three cameras."""
    made = []
    for number in range(TRACKLETS):
        identity = {} if number % 3 == 2 else {"identity": f"p{number % 5}"}
        timed = {"started_at": f"2026-01-01T{number:02d}:00:00Z", "ended_at": f"2026-01-01T{number:02d}:00:09Z"}
        timed = {} if number == 4 else timed
        made.append(upload(running_service, number, 2, camera_id=f"c{number % 3}", **identity, **timed))
    return made


@pytest.fixture(scope="module")
def units(running_service: RunningService, stored: list[dict]) -> dict[str, np.ndarray]:
    """The unit vector of every tracklet, as the index has it."""
    with running_service.database() as connection:
        rows = connection.execute("SELECT tracklet_id::text, vector FROM descriptors").fetchall()
    named = {row[0]: np.frombuffer(row[1], "<f4") for row in rows}
    return {one["id"]: unit_rows(named[one["id"]][None])[0] for one in stored}


@pytest.fixture
def client(running_service: RunningService) -> httpx.Client:
    """Asks the service."""
    with running_service.client() as client:
        yield client
