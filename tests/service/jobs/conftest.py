"""Two small models, and services that know both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.jobs.moving import add_model
from tests.service.jobs.weights import make_weights
from tests.support import RunningService, empty_database, make_settings, reachable_folder, run_service


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models: file by id."""
    folder = tmp_path_factory.mktemp("weights")
    return {make_weights(folder / f"{seed}.safetensors", seed): folder / f"{seed}.safetensors" for seed in (1, 2)}


@pytest.fixture(scope="session")
def models(weights: dict[str, Path]) -> tuple[str, str]:
    """Ids of the first and the second model."""
    first, second = weights
    return first, second


@pytest.fixture
def moving(postgres, weights: dict[str, Path]) -> Iterator[RunningService]:
    """A service on the first model that knows the second one too."""
    first, second = weights.values()
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url, weights=first)) as running,
    ):
        add_model(running, second)
        yield running
