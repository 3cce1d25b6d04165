"""The demo's scene, and the figures that the demo computes from it, beside a plain computation."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.data.folder import read_folder
from model.data.synthetic import draw_tracklet
from service.client import TfclipClient
from service.commands import demo_scene
from service.commands.demo_run import run_demo
from service.commands.demo_scene import CAMERAS, PASSING, RETURNING, SCENE_SEED, passings, write_demo_scene
from tests.support import ADMIN_KEY, RunningService


def test_some_people_pass_some_cameras_and_the_others_one() -> None:
    seen = Counter(person for person, _ in passings())
    assert len(passings()) == len(set(passings()))
    assert {seen[person] for person in range(RETURNING)} == {2, 3}
    assert {seen[person] for person in range(RETURNING, RETURNING + PASSING)} == {1}
    assert len(seen) == RETURNING + PASSING
    assert {camera for _, camera in passings()} == set(range(CAMERAS))


@pytest.fixture
def small_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scene with few people."""
    monkeypatch.setattr(demo_scene, "RETURNING", 3)
    monkeypatch.setattr(demo_scene, "PASSING", 3)


@pytest.mark.usefixtures("small_scene")
def test_the_people_are_drawn_by_seeds_that_training_never_uses(tmp_path: Path) -> None:
    assert SCENE_SEED >= 1000
    write_demo_scene(tmp_path)
    tracklets = read_folder(tmp_path).tracklets
    assert len(tracklets) == len(passings())
    person, camera = passings()[0]
    (first, *_) = draw_tracklet(
        (SCENE_SEED << 32) + person, (SCENE_SEED << 32) + camera, 8, tracklet_seed=SCENE_SEED << 32, height=128
    )
    first.save(tmp_path / "first.jpg", quality=90)
    assert tracklets[0].frames[0].read_bytes() == (tmp_path / "first.jpg").read_bytes()


@pytest.mark.usefixtures("small_scene")
def test_the_share_is_that_of_brute_force_over_the_stored_descriptors(
    fresh_service: RunningService, tmp_path: Path
) -> None:
    with TfclipClient(fresh_service.url, ADMIN_KEY) as client:
        result = run_demo(client, tmp_path)
    with fresh_service.database() as connection:
        rows = connection.execute(
            "SELECT t.external_id, d.vector FROM tracklets t JOIN descriptors d ON d.tracklet_id = t.id ORDER BY 1"
        ).fetchall()
    stored = [(*name.split("/")[:2], np.frombuffer(vector, "<f4").astype(np.float64)) for name, vector in rows]
    right, chances = [], []
    for person, camera, vector in stored:
        elsewhere = [(other, v) for other, c, v in stored if c != camera]
        matches = sum(other == person for other, _ in elsewhere)
        if matches:
            best = max(elsewhere, key=lambda pair: float(pair[1] @ vector / np.linalg.norm(pair[1])))
            right.append(best[0] == person)
            chances.append(matches / len(elsewhere))
    assert result.tracklets == len(stored)
    assert (result.queries, result.first_right) == (len(right), sum(right))
    assert result.share == sum(right) / len(right)
    assert result.chance == pytest.approx(sum(chances) / len(chances))
    assert result.query.external_id == next(name for name, _ in rows if name.startswith("person-001/"))
    assert {match.camera_id for match in result.ranking.results}.isdisjoint({result.query.camera_id})
