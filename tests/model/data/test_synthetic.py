"""Drawn people: the same for the same seeds, told apart by their looks, found again before another camera."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.data.folder import read_folder
from model.data.synthetic import draw_tracklet, write_scene


def colours_by_height(images: list[Image.Image]) -> NDArray[np.float64]:
    """Mean chromaticity of the middle columns in 16 stripes: simple, and blind to brightness."""
    pixels = np.mean([np.asarray(image, dtype=np.float64) for image in images], axis=0)
    stripes = pixels[:, 48:80].reshape(16, -1, 3).mean(axis=1)
    return (stripes / stripes.sum(axis=1, keepdims=True)).ravel()


def test_frames_are_rgb_crops_of_128_by_256() -> None:
    images = draw_tracklet(1, 2, 3)
    assert [(image.mode, image.size) for image in images] == [("RGB", (128, 256))] * 3


def test_the_same_seeds_draw_the_same_pixels() -> None:
    again = zip(draw_tracklet(3, 4, 5, tracklet_seed=6), draw_tracklet(3, 4, 5, tracklet_seed=6), strict=True)
    assert all(first.tobytes() == second.tobytes() for first, second in again)


@pytest.mark.parametrize("other", [(9, 4, 6), (3, 9, 6), (3, 4, 9)])
def test_another_seed_draws_other_pixels(other: tuple[int, int, int]) -> None:
    identity, camera, passing = other
    first = draw_tracklet(3, 4, 1, tracklet_seed=6)[0]
    assert first.tobytes() != draw_tracklet(identity, camera, 1, tracklet_seed=passing)[0].tobytes()


def test_people_move_between_frames() -> None:
    images = draw_tracklet(5, 1, 2)
    assert np.abs(np.subtract(*(np.asarray(image, dtype=float) for image in images))).mean() > 5


def test_a_tracklet_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame, got 0"):
        draw_tracklet(1, 1, 0)


def test_a_person_is_found_again_before_another_camera_far_more_often_than_by_chance() -> None:
    people = range(24)
    first, second = (
        np.stack([colours_by_height(draw_tracklet(person, camera, 4)) for person in people]) for camera in (1, 3)
    )
    # Taking off each camera's mean leaves what differs between people.
    distances = np.linalg.norm((first - first.mean(0))[:, None] - (second - second.mean(0))[None], axis=2)
    found = (distances.argmin(axis=1) == np.arange(len(people))).mean()
    assert found > 8 / len(people)
    assert found < 1, "a scene that colour stripes solve would teach nothing"


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
