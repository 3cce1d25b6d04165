"""`tfclip calibrate` and `tfclip calibrations` against a running service."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.data.scene import write_scene
from tests.commands import tfclip
from tests.service.calibration.people import World, store
from tests.support import RunningService, search

pytestmark = pytest.mark.usefixtures("silent_service")


@pytest.fixture(scope="module")
def query(running_service: RunningService) -> str:
    world, rng = World(), np.random.default_rng(1)
    vectors = world.seen(world.people(40, rng), 3, rng).reshape(-1, world.dimension)
    return store(running_service, "yard", vectors, [f"p{n // 3}" for n in range(120)])[0]


def test_calibrate_prints_one_document_and_search_says_the_decision(
    running_service: RunningService, query: str
) -> None:
    done = tfclip(running_service, "calibrate", "--gallery", "yard", "--match-fpir", 0.05, "--strangers", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert (made["unlabelled"], made["decisions"]["match"]["target_fpir"]) == ("strangers", 0.05)
    found = tfclip(running_service, "search", query, "--gallery", "yard", "-k", 2)
    assert "probability" in found.stdout
    expected = search(running_service, query, gallery="yard")["decision"]
    assert expected in ("match", "possible")
    assert f"decision: {expected}" in found.stdout
    other = search(running_service, query, gallery="yard")["results"][0]["tracklet_id"]
    several = tfclip(running_service, "search", query, other, "--gallery", "yard")
    assert "no decision, a calibration says what the scores of one tracklet mean" in several.stderr
    hidden = tfclip(running_service, "search", query, "--gallery", "yard", "--identity", "p1", "--min-score", 0.999)
    assert "no decision, --min-score hides tracklets that would decide" in hidden.stderr
    listed = json.loads(tfclip(running_service, "calibrations", "list", "--gallery", "yard", "--json").stdout)
    assert " │ in force │ " in tfclip(running_service, "calibrations", "list", "--gallery", "yard").stdout
    assert listed["items"] == [made]
    shown = tfclip(running_service, "calibrations", "show", "--gallery", "yard")
    assert f"calibration {made['id']}: 120 searches by 40 people" in shown.stdout
    assert tfclip(running_service, "calibrations", "show", made["id"]).stdout == shown.stdout
    assert json.loads(tfclip(running_service, "calibrations", "show", made["id"], "--json").stdout) == made
    twice = tfclip(running_service, "calibrations", "show", made["id"], "--gallery", "yard")
    assert (twice.exit_code, "says which gallery already" in twice.stderr) == (2, True)
    assert tfclip(running_service, "calibrations", "delete", made["id"]).exit_code == 0
    gone = tfclip(running_service, "calibrations", "show", "--gallery", "yard")
    assert (gone.exit_code, gone.stderr.count("\n")) == (2, 1)
    assert "not calibrated" in gone.stderr
    gone = tfclip(running_service, "calibrations", "show", made["id"])
    assert (gone.exit_code, gone.stderr.count("\n")) == (2, 1)
    assert f"no calibration {made['id']}" in gone.stderr


def test_an_empty_gallery_ends_the_command_with_the_reason(running_service: RunningService) -> None:
    failed = tfclip(running_service, "calibrate")
    assert failed.exit_code == 2
    assert "is empty" in failed.stderr


@pytest.mark.parametrize("options", [[], ["--reference-gallery", "default"]], ids=["unnamed", "its own"])
def test_a_folder_goes_into_a_gallery_of_its_own(
    running_service: RunningService, tmp_path: Path, options: list[str]
) -> None:
    refused = tfclip(running_service, "calibrate", "--root", tmp_path, *options)
    assert refused.exit_code == 2
    assert "another gallery" in refused.stderr


def test_a_folder_is_stored_in_the_reference_gallery_before_its_labels_are_looked_at(
    running_service: RunningService, tmp_path: Path, query: str
) -> None:
    write_scene(tmp_path, people=2, cameras=2, frames=1, height=32)
    done = tfclip(
        running_service, "calibrate", "--gallery", "yard", "--root", tmp_path, "--reference-gallery", "scratch"
    )
    assert done.exit_code == 2
    assert "2 identities seen by two cameras, needed are 20" in done.stderr.replace("\n", " ")
    with running_service.client() as client:
        assert len(client.get("/tracklets", params={"gallery": "scratch"}).json()["items"]) == 4


def test_a_folder_that_is_none_is_said(running_service: RunningService, tmp_path: Path) -> None:
    refused = tfclip(running_service, "calibrate", "--root", tmp_path / "none", "--reference-gallery", "scratch")
    assert refused.exit_code == 2
    assert "none" in refused.stderr
