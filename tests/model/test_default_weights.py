"""The demo weights that come with the package, and how weights are named."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch

from model import ModelConfig, WeightsError, default_weights, load_model, new_model, save_model
from model.caution import caution
from model.checkpoint import describe_weights, model_id
from model.default_weights import DEMO_WEIGHTS, open_model

REPOSITORY = Path(__file__).parents[2]
CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=4
)


def test_without_weights_the_demo_weights_answer_and_say_that_they_are_that() -> None:
    network, provenance = open_model(None)
    assert model_id(network) == describe_weights(DEMO_WEIGHTS).model_id
    assert (provenance["name"], provenance["trained"], provenance["demo"]) == ("tfclip-demo", True, True)
    image = network.image
    with torch.no_grad():
        described = network.describe(torch.zeros(1, network.config.clip_length, 3, image.height, image.width))
    assert described.shape == (1, network.config.descriptor_dim)


def test_the_demo_weights_are_small_enough_for_the_wheel_and_a_part_of_it() -> None:
    assert DEMO_WEIGHTS.stat().st_size <= 12_000_000
    setuptools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "model.weights" in setuptools["packages"]
    patterns = setuptools["package-data"]["model.weights"]
    assert DEMO_WEIGHTS in [path for pattern in patterns for path in (REPOSITORY / "model/weights").glob(pattern)]


def test_git_keeps_the_demo_weights_and_ignores_other_weights(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run(["git", "init", "--quiet", tmp_path], env=environment, check=True)

    def ignored(path: str) -> bool:
        command = ["git", "-C", str(tmp_path), "check-ignore", "--quiet", path]
        return subprocess.run(command, env=environment, check=False).returncode == 0

    assert not ignored(DEMO_WEIGHTS.relative_to(REPOSITORY).as_posix())
    assert ignored("tiny.safetensors")


def test_an_installation_without_demo_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(default_weights, "DEMO_WEIGHTS", tmp_path / "demo.safetensors")
    with pytest.raises(WeightsError, match=r"install tfclip again, or name weights .* --weights or TFCLIP_WEIGHTS"):
        open_model(None)
    save_model(new_model(CONFIG), tmp_path / "own.safetensors", {"trained": True})
    assert model_id(open_model(tmp_path / "own.safetensors")[0]) == model_id(load_model(tmp_path / "own.safetensors"))


@pytest.mark.parametrize(("given", "name"), [({}, "street"), ({"name": "mars-2"}, "mars-2")])
def test_weights_are_named_by_their_maker_or_by_their_file(given: dict[str, str], name: str, tmp_path: Path) -> None:
    save_model(new_model(CONFIG), tmp_path / "street.safetensors", given)
    assert open_model(tmp_path / "street.safetensors")[1]["name"] == name


@pytest.mark.parametrize(
    ("trained", "demo", "said"), [(False, False, "untrained"), (False, True, "untrained"), (True, True, "not for use")]
)
def test_weights_that_nobody_should_rely_on_are_told(trained: bool, demo: bool, said: str) -> None:
    assert said in (caution(trained=trained, demo=demo) or "")
    assert caution(trained=True, demo=False) is None
