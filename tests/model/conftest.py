"""A network small enough that a test costs milliseconds: frames of 32x16, a grid of 4x2, T = 4."""

import pytest
import torch
from torch import Tensor
from typer import Typer

from model import TFCLIP, ModelConfig, new_model
from model.cli import build_app


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return ModelConfig(
        image_height=32,
        image_width=16,
        patch_size=8,
        width=32,
        layers=2,
        heads=2,
        projection=16,
        clip_length=4,
        cameras=3,
    )


@pytest.fixture
def network(config: ModelConfig) -> TFCLIP:
    return new_model(config, seed=1)


@pytest.fixture(scope="session")
def frames() -> Tensor:
    """Two clips, (2, 4, 3, 32, 16)."""
    return torch.randn(2, 4, 3, 32, 16, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="session")
def app() -> Typer:
    """The `tfclip` command as it is installed."""
    return build_app()
