"""`tfclip experiments cross-dataset`, end to end at toy size."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from model.checkpoint import load_model
from model.cli import build_app
from tests.training.miniature import write_mars
from tests.training.small_run import SMALL, coloured_people
from training.config import ConfigError, load_config
from training.datasets.folder import read_folder
from training.datasets.tracklets import DataSetError
from training.evaluation import evaluate_model
from training.experiments.cross_data_set import without_cameras
from training.experiments.named_sets import read_named_sets
from training.fit import Run

QUICK = (*SMALL, "schedule.epochs=1", "memory.kind=none", "batches.identities=2", "network.camera_embedding=true")


def folder_set(root: Path, number: int) -> Path:
    """train/ and val/ with nobody in both; who is where depends on the number."""
    coloured_people(root / "everyone", people=8, frames=1)
    for part, people in (("train", range(3)), ("val", range(3, 7))):
        for person in people:
            source = root / f"everyone/person-{(person + number) % 8}"
            shutil.copytree(source, root / part / source.name)
    return root


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: folder_set(tmp_path_factory.mktemp(name), number) for number, name in enumerate(("street", "station"))
    }


@pytest.fixture(scope="module")
def out(roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything trained and measured once."""
    out = tmp_path_factory.mktemp("out") / "cross"
    result = run(roots, out)
    assert result.exit_code == 0, result.output
    return out


def run(roots: dict[str, Path], out: Path, *more: str) -> Result:
    layouts = {"mars": "mars"}
    data = [f"--data={name}={layouts.get(name, 'folder')}:{root}" for name, root in roots.items()]
    changes = [f"--set={one}" for one in QUICK]
    arguments = ["--config", "folder_tiny", "--out", str(out), "--seeds", "2", "--device", "cpu", *data, *changes]
    return CliRunner().invoke(build_app(), ["experiments", "cross-dataset", *arguments, *more])


def rows_of(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    document = json.loads((out / "table.json").read_text())
    return {(row["learned"], row["measured"]): row for row in document["rows"]}


def test_a_row_is_the_mean_over_seeds_of_what_the_networks_measure(roots: dict[str, Path], out: Path) -> None:
    rows = rows_of(out)
    assert list(rows) == [(a, b) for a in ("street", "station") for b in ("street", "station")]
    for (learned, tested), row in rows.items():
        found = [
            evaluate_model(
                load_model(out / learned / f"seed-{seed}/weights.safetensors"), read_folder(roots[tested] / "val")
            )
            for seed in (1234, 1235)
        ]
        assert row["mAP"]["values"] == pytest.approx([one.mAP for one in found])
        assert row["rank-1"]["mean"] == pytest.approx(np.mean([one.rank(1) for one in found]))
        low, high = row["mAP"]["interval"]
        assert low <= row["mAP"]["mean"] <= high
        assert row["parameters"] == sum(
            one.numel() for one in load_model(out / learned / "seed-1234/weights.safetensors").parameters()
        )
        assert row["flops"] > 0
        assert row["seconds"]["mean"] > 0


def test_a_drop_is_what_is_lost_against_learning_from_the_data_set_that_is_measured(out: Path) -> None:
    rows = rows_of(out)
    for learned, tested in (("street", "station"), ("station", "street")):
        crossed, own = rows[learned, tested], rows[tested, tested]
        assert crossed["drop_mAP"]["mean"] == pytest.approx(own["mAP"]["mean"] - crossed["mAP"]["mean"])
        low, high = crossed["drop_rank-1"]["interval"]
        assert low <= crossed["drop_rank-1"]["mean"] <= high
        assert own["drop_mAP"] is None


def test_cameras_of_one_data_set_are_taught_to_no_network(out: Path) -> None:
    assert load_model(out / "street/seed-1234/weights.safetensors").config.cameras == 0
    assert "camera embedding was switched off" in (out / "table.md").read_text()


def test_the_same_command_again_trains_and_measures_nothing(
    roots: dict[str, Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (out / "table.json").read_text()
    monkeypatch.setattr(Run, "fit", lambda *_: pytest.fail("a cell was trained again"))
    monkeypatch.setattr(
        "training.experiments.cross_data_set.describe_tracklets", lambda *_, **__: pytest.fail("measured again")
    )
    result = run(roots, out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(before)


def test_what_is_missing_is_made_and_nothing_else(
    roots: dict[str, Path], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(out, cut)
    shutil.rmtree(cut / "station/seed-1235")
    (cut / "street/seed-1234/on-station.json").unlink()
    trained, original = [], Run.fit

    def fit(self: Run, *arguments: Any) -> None:
        trained.append(self.folder.root.relative_to(cut).as_posix())
        original(self, *arguments)

    monkeypatch.setattr(Run, "fit", fit)
    result = run(roots, cut)
    assert result.exit_code == 0, result.output
    assert trained == ["station/seed-1235"]
    again, before = rows_of(cut), rows_of(out)
    assert all(again[pair]["mAP"] == before[pair]["mAP"] for pair in before)


def test_learning_may_be_restricted_to_some(roots: dict[str, Path], out: Path) -> None:
    result = run(roots, out, "--train", "street", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [(row["learned"], row["measured"]) for row in document["rows"]] == [
        ("street", "street"),
        ("street", "station"),
    ]
    assert document["rows"][1]["drop_mAP"] is None
    assert any("Nothing was learned from station" in note for note in document["notes"])
    refused = run(roots, out, "--train", "airport")
    assert refused.exit_code == 2
    assert "--train airport: the data sets are street, station" in " ".join(refused.stderr.split())


def test_the_papers_figures_stand_beside_a_public_data_set_that_was_learned_and_measured(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    places = {"mars": write_mars(tmp_path / "mars"), "street": roots["street"]}
    result = run(places, tmp_path / "out", "--train", "mars", "--seeds", "1")
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "out")
    assert (rows["mars", "mars"]["paper_mAP"], rows["mars", "mars"]["paper_rank-1"]) == (0.894, 0.930)
    assert rows["mars", "street"]["paper_mAP"] is None
    assert "| 89.4 | 93.0 |" in result.stdout


def test_the_same_people_to_learn_from_and_to_measure_on_are_refused(roots: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(roots["street"], tmp_path / "mixed")
    shutil.copytree(tmp_path / "mixed/train/person-1", tmp_path / "mixed/val/person-1")
    other = f"station=folder:{roots['station']}"
    with pytest.raises(DataSetError, match=r"1 of the identities in val/ are in train/ too, such as person-1"):
        read_named_sets([f"mixed=folder:{tmp_path / 'mixed'}", other])
    with pytest.raises(DataSetError, match="has no folder train"):
        read_named_sets([f"flat=folder:{tmp_path / 'mixed/val'}", other])


def test_a_public_data_set_has_both_halves_itself(roots: dict[str, Path], tmp_path: Path) -> None:
    mars, street = read_named_sets([f"m=mars:{write_mars(tmp_path)}", f"street=folder:{roots['street']}"])
    assert mars.learned is mars.asked
    assert {one.identity for one in mars.learned.train} == {"0001", "0003"}
    assert {one.identity for one in mars.asked.query} == {"0002", "0004"}
    assert {one.identity for one in street.learned.train} == {"person-0", "person-1", "person-2"}
    assert "`m` (mars): 2 identities in 3 tracklets before 3 cameras" in mars.in_words()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (["street={street}"], "expected NAME=LAYOUT:ROOT"),
        (["street=film:{street}"], "LAYOUT one of mars, ls_vid, ilids_vid, folder"),
        (["../a=folder:{street}", "b=folder:{station}"], "expected NAME=LAYOUT:ROOT"),
        (["a=folder:{street}", "a=folder:{station}"], "another data set is named a already"),
        (["a=folder:{street}", "b=folder:{street}"], "a is the same folder"),
        (["a=folder:{street}"], "expected two data sets or more"),
    ],
)
def test_data_sets_that_cannot_be_told_apart_are_refused(
    roots: dict[str, Path], named: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_named_sets([one.format(**roots) for one in named])


def test_a_config_with_a_camera_table_loses_it_and_nothing_else() -> None:
    config = load_config("mars_vit_b16")
    assert config.network.camera_embedding
    changed = without_cameras(config).to_dict()
    assert changed["network"].pop("camera_embedding") is False
    expected = config.to_dict()
    expected["network"].pop("camera_embedding")
    assert changed == expected
