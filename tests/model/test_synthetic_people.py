"""Drawn people as material for learning: reproducible, disjoint between scenes, neither trivial nor hopeless."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.data.appearance import Colour, draw_appearance
from model.data.figure import draw_person, dress
from model.data.scene import write_scene
from model.data.skeleton import Pose
from model.data.synthetic import draw_tracklet

PEOPLE, CAMERAS = 16, 3


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def clothes_colours(images: list[Image.Image]) -> NDArray[np.float64]:
    """Mean colours of where the upper and the lower garment are."""
    mean = np.mean([pixels(image) for image in images], axis=0)
    height, width = mean.shape[:2]
    middle = slice(int(width * 0.4), int(width * 0.6))
    bands = (slice(int(height * 0.25), int(height * 0.42)), slice(int(height * 0.52), int(height * 0.65)))
    return np.concatenate([mean[band, middle].mean(axis=(0, 1)) for band in bands])


def rank_1_of_raw_pixels(difficulty: float) -> float:
    """Share of tracklets whose nearest, by thumbnail and cosine, is the same person before another camera.

    The same person before the same camera is left out, other people before it are not.
    """
    vectors, people, cameras = [], [], []
    for person in range(PEOPLE):
        for camera in range(CAMERAS):
            frames = draw_tracklet(person, camera, 4, height=64, difficulty=difficulty)
            vectors.append(np.mean([pixels(frame.resize((16, 32))).ravel() for frame in frames], axis=0))
            people.append(person)
            cameras.append(camera)
    rows = np.stack(vectors)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    similarity[np.equal.outer(people, people) & np.equal.outer(cameras, cameras)] = -1
    return float(np.mean(np.array(people)[similarity.argmax(axis=1)] == people))


@pytest.mark.parametrize("height", [32, 64, 128, 256])
def test_frames_have_the_height_asked_for_and_half_the_width(height: int) -> None:
    images = draw_tracklet(1, 2, 2, height=height)
    assert [(image.mode, image.size) for image in images] == [("RGB", (height // 2, height))] * 2


def test_a_tracklet_does_not_depend_on_what_was_drawn_before() -> None:
    first = [image.tobytes() for image in draw_tracklet(7, 8, 3, tracklet_seed=9, height=64)]
    draw_tracklet(1, 8, 2, height=64)
    draw_tracklet(7, 1, 2, height=64, difficulty=0.5)
    assert [image.tobytes() for image in draw_tracklet(7, 8, 3, tracklet_seed=9, height=64)] == first


def test_the_first_frames_do_not_depend_on_how_many_follow() -> None:
    long, short = draw_tracklet(2, 3, 6, height=64), draw_tracklet(2, 3, 2, height=64)
    assert [image.tobytes() for image in short] == [image.tobytes() for image in long[:2]]


def test_every_height_shows_the_same_scene() -> None:
    small, large = (draw_tracklet(4, 5, 1, height=height, difficulty=0)[0] for height in (64, 256))
    other = draw_tracklet(6, 5, 1, height=256, difficulty=0)[0]
    reduced = [pixels(image.resize((16, 32), Image.Resampling.BOX)) for image in (small, large, other)]
    assert np.abs(reduced[0] - reduced[1]).mean() < 0.4 * np.abs(reduced[0] - reduced[2]).mean()


def test_scenes_of_different_seeds_share_no_person() -> None:
    scenes = [{draw_appearance(seed << 32 | person) for person in range(300)} for seed in range(3)]
    assert len(set.union(*scenes)) == 900


def test_skin_says_nothing_about_clothes() -> None:
    people = [draw_appearance(seed) for seed in range(2000)]
    skin, upper, build = (
        np.array(values)
        for values in (
            [sum(person.body.skin) for person in people],
            [sum(person.clothes.upper_colour) for person in people],
            [person.body.waist for person in people],
        )
    )
    assert np.abs(np.corrcoef([skin, upper, build])[np.triu_indices(3, 1)]).max() < 0.08


def test_a_third_or_more_wear_dark_upper_garments() -> None:
    dark = [sum(draw_appearance(seed).clothes.upper_colour) < 240 for seed in range(1000)]
    assert 1 / 3 < np.mean(dark) < 2 / 3


def test_a_person_keeps_the_colours_of_the_clothes_before_neutral_cameras() -> None:
    colours = np.stack(
        [
            [clothes_colours(draw_tracklet(person, camera, 4, height=64, difficulty=0)) for camera in range(CAMERAS)]
            for person in range(PEOPLE)
        ]
    )
    distances = np.linalg.norm(colours[:, :, None, None] - colours[None, None], axis=-1)
    same_person = np.eye(PEOPLE, dtype=bool)[:, None, :, None]
    other_camera = ~np.eye(CAMERAS, dtype=bool)[None, :, None, :]
    same, others = distances[same_person & other_camera], distances[~same_person & other_camera]
    assert same.mean() < 0.5 * others.mean()


def test_a_print_on_the_chest_is_not_seen_from_behind() -> None:
    person = draw_appearance(0)
    green: Colour = (0, 220, 0)
    clothes = dataclasses.replace(
        person.clothes,
        upper="shirt",
        upper_colour=(120, 0, 120),
        sleeve_colour=(120, 0, 120),
        second=green,
        pattern="print",
        count=6,
        print_on_back=False,
        side_stripe=False,
    )
    bag = dataclasses.replace(person.bag, kind="none")
    figure = dress(dataclasses.replace(person, clothes=clothes, bag=bag))
    greens = []
    for facing in (0.0, math.pi / 2, math.pi):
        canvas = Image.new("RGB", (200, 300), (120, 120, 120))
        draw_person(canvas, figure, Pose(0.0, facing, 0.1), (100, 280), 260)
        seen = pixels(canvas)
        greens.append(int((seen[..., 1] > 2 * seen[..., 0] + 40).sum()))
    front, side, back = greens
    assert front > 2 * side
    assert back == 0


def test_people_walk() -> None:
    figure = dress(draw_appearance(3))
    moved = []
    for phase in (0.0, math.pi / 2):
        canvas = Image.new("RGB", (200, 300))
        draw_person(canvas, figure, Pose(phase, math.pi / 2, 0.1), (100, 280), 260)
        moved.append(pixels(canvas))
    change = np.abs(moved[0] - moved[1]).mean(axis=(1, 2))
    assert change[200:].mean() > 2 * change[:80].mean()


def test_raw_pixels_find_few_people_and_difficulty_is_why() -> None:
    hard, easy = rank_1_of_raw_pixels(1.0), rank_1_of_raw_pixels(0.0)
    assert hard < 0.4
    assert hard < easy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identity_seed": -1}, "identity_seed must lie between 0"),
        ({"identity_seed": 1 << 62}, "identity_seed must lie between 0"),
        ({"camera_seed": -1}, "camera_seed must not be negative, got -1"),
        ({"tracklet_seed": -2}, "tracklet_seed must not be negative, got -2"),
        ({"height": 65}, "height must be even and at least 32 pixels, got 65"),
        ({"height": 16}, "height must be even and at least 32 pixels, got 16"),
        ({"difficulty": 1.5}, "difficulty must lie between 0 and 1, got 1.5"),
        ({"difficulty": float("nan")}, "difficulty must lie between 0 and 1, got nan"),
    ],
)
def test_a_tracklet_with_an_impossible_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_tracklet(**({"identity_seed": 0, "camera_seed": 0, "frames": 1} | arguments))


@pytest.mark.parametrize("name", ["people", "cameras", "tracklets", "workers"])
def test_a_scene_without_something_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    counts: dict[str, Any] = {"people": 1, "cameras": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        write_scene(tmp_path / "scene", **counts)
    assert not (tmp_path / "scene").exists()


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"seed": 1 << 29}, {"frames": 0}, {"height": 33}])
def test_a_scene_with_an_impossible_argument_is_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        write_scene(tmp_path / "scene", people=1, cameras=1, **arguments)
    assert not (tmp_path / "scene").exists()


def test_two_workers_write_what_one_writes_byte_for_byte(tmp_path: Path) -> None:
    done: list[int] = []
    one = write_scene(tmp_path / "one", people=5, cameras=2, frames=2, seed=3, height=64)
    two = write_scene(
        tmp_path / "two", people=5, cameras=2, frames=2, seed=3, height=64, workers=2, progress=done.append
    )
    assert done == list(range(1, 11))
    assert [tracklet.path for tracklet in two] == [tracklet.path for tracklet in one]
    for first, second in zip(one, two, strict=True):
        assert [path.read_bytes() for path in first.frames] == [path.read_bytes() for path in second.frames]
