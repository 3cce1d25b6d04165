"""`tfclip experiments subgroups`, from nothing to its table."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from model import ModelConfig, new_model, save_model
from model.checkpoint import model_id
from model.cli import build_app
from model.data.scene import scene_people
from model.data.subgroups import GROUPS, groups_of
from model.metrics import evaluate_retrieval
from training.datasets.folder import read_folder
from training.evaluation import describe_tracklets

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=2
)
SCENE = ("--people", "24", "--cameras", "2", "--frames", "1", "--seed", "9", "--workers", "1")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        build_app(), ["experiments", "subgroups", *map(str, arguments)], env={"TFCLIP_WEIGHTS": ""}
    )


def document_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("weights")
    paths = [folder / f"{seed}.safetensors" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        save_model(new_model(CONFIG, seed=seed), path, {"trained": True})
    return paths


@pytest.fixture(scope="module")
def first(weights: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("subgroups") / "out"
    return out, document_of(run("--weights", weights[0], "--out", out, *SCENE, "--json"))


def test_the_table_has_a_row_for_everybody_and_each_group_that_somebody_is_in(
    first: tuple[Path, dict[str, Any]],
) -> None:
    out, document = first
    people = [groups_of(person) for person in scene_people(24, seed=9).values()]
    expected = [("everybody", "", 24)] + [
        (trait, group, count)
        for trait, names in GROUPS.items()
        for group in names
        if (count := sum(one[trait] == group for one in people))
    ]
    assert [(row["trait"], row["group"], row["people"]) for row in document["rows"]] == expected
    assert json.loads((out / "table.json").read_text()) == document
    page = (out / "table.md").read_text()
    assert page.count("| skin |") == len({one["skin"] for one in people})
    # 24 x 23 / 2 pairs of people, two pairs of tracklets each; one in 100 of them is 5.
    assert "of 552 pairs of two people" in page
    assert "| 0.91 (" in page


def test_the_figures_are_those_of_the_network_on_the_scene(
    first: tuple[Path, dict[str, Any]], weights: list[Path]
) -> None:
    out, document = first
    data = read_folder(out / "scene")
    rows = describe_tracklets(new_model(CONFIG, seed=1), data.gallery)
    identities = torch.tensor([int(one.identity.removeprefix("person-")) for one in data.gallery])
    cameras = torch.tensor([one.camera for one in data.gallery])
    groups = {number + 1: groups_of(person) for number, person in enumerate(scene_people(24, seed=9).values())}
    for row in document["rows"][1:]:
        asking = torch.tensor([groups[int(one)][row["trait"]] == row["group"] for one in identities])
        found = evaluate_retrieval(rows[asking], rows, identities[asking], identities, cameras[asking], cameras)
        assert row["rank-1"]["mean"] == pytest.approx(found.rank(1))
        assert row["mAP"]["mean"] == pytest.approx(found.mAP)


def test_other_weights_are_measured_on_the_same_pictures_and_the_same_weights_not_again(
    first: tuple[Path, dict[str, Any]], weights: list[Path]
) -> None:
    out, document = first
    pictures = {path: path.stat().st_mtime_ns for path in (out / "scene").rglob("*.jpg")}
    assert len(pictures) == 48
    other = document_of(run("--weights", weights[1], "--out", out, *SCENE, "--json"))
    assert {path: path.stat().st_mtime_ns for path in (out / "scene").rglob("*.jpg")} == pictures
    assert [row["mAP"] for row in other["rows"]] != [row["mAP"] for row in document["rows"]]
    kept = out / f"{model_id(new_model(CONFIG, seed=1))[:12]}.json"
    written = kept.stat().st_mtime_ns
    assert document_of(run("--weights", weights[0], "--out", out, *SCENE, "--json")) == document
    assert kept.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--people", "25"), "people was 24 and is 25"),
        (("--device", "abacus"), "abacus"),
        (("--weights", "nothing.safetensors"), "nothing.safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    first: tuple[Path, dict[str, Any]], weights: list[Path], more: tuple[str, ...], message: str
) -> None:
    result = run("--weights", weights[0], "--out", first[0], *SCENE, *more)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr.splitlines()[-1]


def test_too_few_people_for_a_rate_are_refused(weights: list[Path], tmp_path: Path) -> None:
    result = run("--weights", weights[0], "--out", tmp_path / "out", *SCENE, "--people", "4")
    assert result.exit_code == 2
    assert "there are 12 pairs" in result.stderr.splitlines()[-1]
