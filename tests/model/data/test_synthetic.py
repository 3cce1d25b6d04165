"""Drawn people: the same for the same seeds, told apart by their looks, found again before another camera."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.data.synthetic import draw_tracklet


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
