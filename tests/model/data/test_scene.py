"""Scenes of drawn people as folder data sets."""

from pathlib import Path

import pytest

from model.data.appearance import draw_appearance
from model.data.folder import read_folder
from model.data.scene import scene_people, write_scene


def test_a_scene_is_written_in_the_folder_layout(tmp_path: Path) -> None:
    written = write_scene(tmp_path, people=2, cameras=2, tracklets=2, frames=3, seed=7)
    data = read_folder(tmp_path)
    assert list(data.tracklets) == written
    assert len(written) == 8
    assert not data.strays
    assert written[0].path == "person-001/camera-1/001"
    assert [frame.name for frame in written[0].frames] == ["0001.jpg", "0002.jpg", "0003.jpg"]


def test_scenes_of_different_seeds_show_different_people(tmp_path: Path) -> None:
    one, other = (
        write_scene(tmp_path / str(seed), people=1, cameras=1, frames=1, seed=seed)[0].frames[0].read_bytes()
        for seed in (0, 1)
    )
    assert one != other


def test_people_pass_some_of_many_cameras_and_neighbours_share_them(tmp_path: Path) -> None:
    written = write_scene(tmp_path, people=6, cameras=40, passes=3, frames=1, height=32, seed=2)
    cameras = {name: {one.camera for one in written if one.identity == name} for name in {o.identity for o in written}}
    assert [len(passed) for passed in cameras.values()] == [3] * 6
    assert 3 < len(set.union(*cameras.values())) <= 6
    again = write_scene(tmp_path / "again", people=2, cameras=40, passes=3, frames=1, height=32, seed=2)
    assert [one.path for one in again] == [one.path for one in written[:6]]


def test_an_easy_camera_of_a_mixed_scene_lies_between_the_extremes(tmp_path: Path) -> None:
    scenes = [
        write_scene(tmp_path / name, people=1, cameras=6, frames=1, height=32, difficulty=hard, easiest=easy)
        for name, easy, hard in (("mixed", 0.0, 1.0), ("easy", 0.0, 0.0), ("hard", 1.0, 1.0))
    ]
    pictures = [[one.frames[0].read_bytes() for one in scene] for scene in scenes]
    assert all(mixed not in (easy, hard) for mixed, easy, hard in zip(*pictures, strict=True))


@pytest.mark.parametrize(
    ("wrong", "says"), [({"passes": 3}, "passes must lie"), ({"easiest": 1.0}, "easiest must lie")]
)
def test_a_mixed_scene_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write_scene(tmp_path / "scene", people=1, cameras=2, difficulty=0.5, **wrong)
    assert not (tmp_path / "scene").exists()


def test_the_people_of_a_scene_are_those_that_are_written(tmp_path: Path) -> None:
    written = write_scene(tmp_path, people=3, cameras=1, frames=1, height=32, seed=4)
    people = scene_people(3, seed=4)
    assert list(people) == [one.identity for one in written]
    assert people["person-002"] == draw_appearance(4 << 32 | 1)
