"""Every command of the weights page that needs a file from elsewhere runs, on files made here.

They have the layouts, names and number types of OpenAI's and the authors' files, the true shapes in all that is read
from them, and other numbers. Training and evaluation are smaller than the page says: the same lines, on files of the
same layout for a network that takes seconds.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from open_clip import get_pretrained_cfg
from open_clip.model import CLIP
from safetensors import safe_open
from safetensors.torch import save_file
from typer.main import get_command
from typer.testing import CliRunner

from model import ModelConfig, new_model, save_model
from model.checkpoint import describe_weights
from model.cli import build_app
from model.clip_weights import load_clip
from tests.docs.pages import ROOT, blocks, command_lines
from tests.model.clip_files import make_clip, torchscript
from tests.model.reference_rule import DATA
from tests.support import make_settings, reachable_folder, run_service
from tests.training.small_run import coloured_people
from training.config import load_config

LINES = command_lines([block for block in blocks(ROOT / "docs/weights.md") if block.info.startswith("sh")])

SMALL = (
    "network.overrides={image_height: 32, image_width: 16, patch_size: 8, width: 32, layers: 2, heads: 2, "
    "projection: 16, clip_length: 2}",
    "batches={identities: 2, tracklets: 2, workers: 0}",
    "schedule.epochs=1",
)


@dataclass(frozen=True)
class Made:
    """Where the commands ran, the CLIP whose files they read, and the model ids that they printed, by file name."""

    folder: Path
    clip: CLIP
    models: dict[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Every `tfclip weights` line of the page has run, at the true size, beside the files that it reads."""
    folder = tmp_path_factory.mktemp("weights")
    clip = make_clip(width=768, layers=12, projection=512, image_size=224, patch_size=16, head_width=64)
    write_clip_files(clip, folder)
    shapes = json.loads((DATA / "official_state_dict_shapes.json").read_text())
    # One number seen through the right shape costs nothing.
    released = {name: torch.full((1,), 0.5)[0].expand(shape) for name, shape in shapes.items()}
    torch.save(released, folder / "MARS_ViT.pth")
    with without_network(folder):
        printed = [re.match(r"wrote (\S+): model (\w+)", tfclip(line)) for line in lines("weights")]
    yield Made(folder, clip, {found[1]: found[2] for found in printed if found})
    # pytest keeps its folders; these files are too large for that.
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the page trains from and evaluates, small; every `tfclip train` line has run beside them."""
    folder = tmp_path_factory.mktemp("small")
    coloured_people(folder / "people", people=4)
    write_clip_files(make_clip(), folder)
    sizes = load_config("folder_vit_b16", SMALL).network.architecture(cameras=0)
    save_model(new_model(sizes, seed=1), folder / "mars.safetensors", {"trained": True})
    zero_shot = new_model(replace(sizes, temporal_memory_diffusion=False))
    load_clip(zero_shot, folder / "ViT-B-16.pt")
    save_model(zero_shot, folder / "zero-shot.safetensors", {})
    with without_network(folder):
        for line in lines("train"):
            tfclip([*line, *(word for change in SMALL for word in ("--set", change))])
    return folder


def test_every_command_of_the_page_is_among_those_that_run() -> None:
    assert {line[0] for line in LINES} == {"weights", "train", "evaluate", "serve"}


def test_zero_shot_clip_is_one_model_whatever_file_it_came_in(made: Made) -> None:
    assert made.models["zero-shot.safetensors"] == made.models["zero-shot-offline.safetensors"]
    with safe_open(made.folder / "zero-shot.safetensors", framework="pt") as handle:
        assert torch.equal(handle.get_tensor("encoder.visual.proj"), made.clip.visual.proj.half().float())
        assert not any(name.startswith("temporal.") for name in handle.keys())  # noqa: SIM118


def test_the_page_evaluates_zero_shot_clip(small: Path) -> None:
    with contextlib.chdir(small):
        for line in lines("evaluate"):
            assert "16 queries, gallery of 16 tracklets" in tfclip(line)


def test_a_run_starts_from_clip_and_from_an_imported_checkpoint(made: Made, small: Path) -> None:
    outputs = [Path(line[line.index("--out") + 1]) for line in lines("train")]
    sources = [describe_weights(small / out / "weights.safetensors").provenance["source"] for out in outputs]
    assert [source["start"] for source in sources] == ["OpenAI's CLIP ViT-B/16", "ViT-B-16.pt", "mars.safetensors"]
    # What the small file stands in for: the true one is of the true config's architecture.
    with safe_open(made.folder / "mars.safetensors", framework="pt") as handle:
        imported = ModelConfig.from_dict(json.loads(handle.metadata()["tfclip.config"]))
    assert imported == load_config("folder_vit_b16").network.architecture(cameras=0)


def test_the_page_serves_what_it_made(made: Made, small: Path, database_url: str) -> None:
    served = {}
    for line in lines("serve"):
        command = get_command(build_app()).commands["serve"]  # type: ignore[attr-defined]
        named = command.make_context("serve", line[1:]).params["weights"]
        if named is None:  # as most services of these tests are started
            continue
        weights = (small if str(named).startswith("runs/") else made.folder) / named
        with (
            reachable_folder() as data,
            run_service(make_settings(data, database_url, weights=weights)) as running,
            running.client() as client,
        ):
            served[str(named)] = client.get("/readyz").json()["model"]
    assert {name: model["trained"] for name, model in served.items()} == {
        "zero-shot.safetensors": False,
        "mars.safetensors": True,
        "runs/people/weights.safetensors": True,
    }
    for name in ("zero-shot.safetensors", "mars.safetensors"):
        assert served[name]["id"] == made.models[name]


def lines(*beginning: str) -> list[list[str]]:
    found = [line for line in LINES if line[: len(beginning)] == list(beginning)]
    assert found
    return found


def tfclip(line: list[str]) -> str:
    result = CliRunner().invoke(build_app(), line)
    assert result.exit_code == 0, f"{line}: {result.output}"
    return result.stdout


def write_clip_files(clip: CLIP, folder: Path) -> None:
    """The files that the page names, in half precision, and the Hugging Face hub's cache as a download leaves it."""
    repository = get_pretrained_cfg("ViT-B-16", "openai")["hf_hub"].strip("/").replace("/", "--")
    cached = folder / "hub" / f"models--{repository}"
    revision = "0" * 40
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text(revision)
    (cached / "snapshots" / revision).mkdir(parents=True)
    half = {name: tensor.half() for name, tensor in clip.state_dict().items()}
    save_file(half, cached / "snapshots" / revision / "open_clip_model.safetensors")
    torchscript(clip, folder / "ViT-B-16.pt")


@contextlib.contextmanager
def without_network(folder: Path) -> Iterator[None]:
    """Work in the folder, with its cache of the hub and no way to the hub itself."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield
