"""`tfclip experiments alignment`, from people and a small CLIP of true layout to table and picture."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip import SimpleTokenizer
from PIL import Image
from torch.nn.functional import normalize
from typer.testing import CliRunner, Result

from model.cli import build_app
from tests.training.small_run import SMALL, small_config
from tests.training.test_clip_reid import make_clip
from training.config import ConfigError
from training.datasets.folder import read_folder
from training.evaluation import describe_tracklets
from training.experiments.alignment import measure_pair, read_descriptions
from training.experiments.alignment_report import principal_plane
from training.experiments.pairing import cka_against_chance
from training.memory import build_memory, load_memory
from training.start import starting_model

PEOPLE = 13
OVERRIDES = (
    "network.overrides={image_height: 32, image_width: 16, width: 32, layers: 1, heads: 2, projection: 16, "
    "clip_length: 2, temporal_memory_diffusion: false}"
)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People, what is said about them, and a CLIP."""
    folder = tmp_path_factory.mktemp("alignment")
    torch.save(make_clip().state_dict(), folder / "clip.pt")
    scene = ("--people", PEOPLE, "--cameras", 2, "--tracklets", 1, "--frames", 2, "--height", 32, "--workers", 1)
    written = run(
        "data", "synthesize", "--out", folder / "people", *map(str, scene), "--descriptions", folder / "said.json"
    )
    assert written.exit_code == 0, written.output
    return folder


def changes(folder: Path, *more: str) -> list[str]:
    fields = (*SMALL, f"network.start={folder / 'clip.pt'}", OVERRIDES, "memory.text={epochs: 3, batch: 8}", *more)
    return [word for field in fields for word in ("--set", field)]


def align(folder: Path, out: Path, *more: str | Path) -> Result:
    arguments = ("--config", "folder_tiny", "--root", folder / "people", "--out", out, "--seeds", "2", "--json")
    return run("experiments", "alignment", *arguments, *changes(folder), *more)


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    result = align(folder, folder / "out", "--descriptions", folder / "said.json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_the_table_compares_every_two_sets(folder: Path, first: dict[str, Any]) -> None:
    assert [row["pair"] for row in first["rows"]] == [
        "learned prompts, memory",
        "descriptions, memory",
        "descriptions, learned prompts",
        "by chance",
    ]
    prompts, descriptions, _, chance = first["rows"]
    assert len(prompts["cka"]["values"]) == 2
    assert len(descriptions["cka"]["values"]) == 1
    assert chance["agree-10"] == 10 / 12
    assert (chance["there-rank-1"], chance["back-mean-rank"]) == (1 / 13, 7)
    assert json.loads((folder / "out/table.json").read_text()) == first
    with Image.open(folder / "out/alignment.png") as picture:
        picture.load()
        assert picture.height > picture.width


def test_the_memory_is_that_of_the_untouched_encoder_and_text_that_of_clip(folder: Path, first: dict[str, Any]) -> None:
    data = read_folder(folder / "people")
    config = small_config(f"network.start={folder / 'clip.pt'}", OVERRIDES)
    model, _ = starting_model(config.network, 2, 0)
    owners = torch.arange(PEOPLE).repeat_interleave(2)
    memory = build_memory([(describe_tracklets(model, data.train)[:, 32:], owners)], PEOPLE)
    said = json.loads((folder / "said.json").read_text())
    assert list(said) == [f"person-{number:03d}" for number in range(1, PEOPLE + 1)]
    clip, tokens = make_clip(), SimpleTokenizer()(list(said.values()), context_length=77)
    with torch.no_grad():
        text = clip.encode_text(tokens)
    row = first["rows"][1]
    expected = cka_against_chance(normalize(text), normalize(memory)).value
    assert row["cka"]["mean"] == pytest.approx(expected, abs=1e-4)
    cosines = normalize(text) @ normalize(memory).T
    assert row["partners"]["mean"] == pytest.approx(float(cosines.diagonal().mean()), abs=1e-4)


def test_learned_prompts_differ_by_seed_and_are_kept(folder: Path, first: dict[str, Any]) -> None:
    names = [f"person-{number:03d}" for number in range(1, PEOPLE + 1)]
    files = [folder / f"out/prompts-{seed}.safetensors" for seed in (1234, 1235)]
    rows = [load_memory(path, names) for path in files]
    assert not torch.allclose(rows[0], rows[1])
    written = [path.stat().st_mtime_ns for path in files]
    again = align(folder, folder / "out", "--descriptions", folder / "said.json")
    assert json.loads(again.stdout)["rows"] == first["rows"]
    assert [path.stat().st_mtime_ns for path in files] == written


def test_another_config_in_the_same_folder_is_refused(folder: Path, first: dict[str, Any]) -> None:
    result = align(folder, folder / "out", "--set", "memory.text={epochs: 4, batch: 8}")
    assert result.exit_code == 2
    assert "config.memory.text.epochs was 3 and is 4" in result.stderr.splitlines()[-1]


def test_a_network_without_text_is_refused_before_the_folder_is_taken(folder: Path, tmp_path: Path) -> None:
    result = align(folder, tmp_path / "out", "--set", "network.start=random")
    assert result.exit_code == 2
    assert "expected CLIP weights with a text tower" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds no object"),
        ('{"a": "tall"}', "b of 2 missing"),
        ('{"a": "tall", "b": []}', "expected a sentence or a list"),
        ('{"a": "tall", "b": 3}', "expected a sentence or a list"),
    ],
)
def test_descriptions_that_do_not_describe_everybody_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "said.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_descriptions(tmp_path / "said.json", ["a", "b"])


def test_an_identity_may_have_several_sentences_and_others_may_be_described(tmp_path: Path) -> None:
    (tmp_path / "said.json").write_text('{"c": "small", "b": ["old", "thin"], "a": "tall"}')
    assert read_descriptions(tmp_path / "said.json", ["a", "b"]) == [["tall"], ["old", "thin"]]


def test_a_set_is_wholly_aligned_with_itself() -> None:
    rows = torch.randn(15, 8, generator=torch.Generator().manual_seed(0))
    measures = measure_pair(rows, 3 * rows)
    assert measures["cka"] == pytest.approx(1)
    assert measures["gap"] == pytest.approx(0, abs=1e-6)
    assert {measures[key] for key in ("there-rank-1", "back-rank-1", "agree-5", "there-mean-rank")} == {1}


def test_the_plane_of_a_picture_keeps_what_varies_most() -> None:
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 1, 5, 1, 1, 1])
    plane = principal_plane(rows)
    values = torch.linalg.eigvalsh(torch.cov(rows.double().T))
    torch.testing.assert_close(plane.var(dim=0), values.flip(0)[:2])
