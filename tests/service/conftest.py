"""What tests of several commands share."""

from pathlib import Path

import pytest

from model.data.scene import write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people before two cameras, two frames each, in folders of a person, a camera and a tracklet."""
    root = tmp_path_factory.mktemp("scene")
    write_scene(root, people=3, cameras=2, frames=2)
    return root
