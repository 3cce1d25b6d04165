"""Augmentation of clips."""

import numpy as np
import pytest

from training.augment import Augmentation, Frames, augment

NOTHING = {"flip": 0.0, "erase": 0.0}


@pytest.fixture
def clip() -> Frames:
    return np.random.default_rng(5).integers(0, 200, (4, 32, 16, 3), dtype=np.uint8)


def changed(before: Frames, after: Frames) -> np.ndarray:
    return (before != after).any(axis=2)


def test_nothing_is_changed_when_nothing_is_asked_for(clip: Frames) -> None:
    assert np.array_equal(augment(clip, Augmentation(**NOTHING), np.random.default_rng(0)), clip)


def test_a_clip_is_mirrored_as_a_whole_and_its_input_is_left_alone(clip: Frames) -> None:
    before = clip.copy()
    outcomes = [augment(clip, Augmentation(erase=0), np.random.default_rng(seed)) for seed in range(40)]
    mirrored = [np.array_equal(one, clip[:, :, ::-1]) for one in outcomes]
    assert all(flipped or np.array_equal(one, clip) for flipped, one in zip(mirrored, outcomes, strict=True))
    assert 5 < sum(mirrored) < 35
    assert np.array_equal(clip, before)


def test_each_frame_loses_a_rectangle_of_its_own_in_one_colour(clip: Frames) -> None:
    after = augment(clip, Augmentation(flip=0, erase=1), np.random.default_rng(3))
    boxes = []
    for frame, erased in zip(clip, after, strict=True):
        rows, columns = np.nonzero(changed(frame, erased))
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        assert len(np.unique(erased[top:bottom, left:right].reshape(-1, 3), axis=0)) == 1
        boxes.append((top, bottom, left, right))
    assert len(set(boxes)) == 4


def test_erasing_covers_every_place_and_the_released_fault_spares_the_upper_left() -> None:
    black = np.zeros((64, 32, 16, 3), np.uint8)
    for place, reaches in (("sampled", True), ("released", False)):
        how = Augmentation(flip=0, erase=1, erase_at=place)  # type: ignore[arg-type]
        after = np.concatenate([augment(black, how, np.random.default_rng(seed)) for seed in range(8)])
        covered = (after > 0).any(axis=(0, 3))
        assert covered[0, 0] == reaches
        if reaches:
            assert covered.all()


def test_the_erased_area_is_in_its_bounds() -> None:
    white = np.full((400, 64, 32, 3), 255, np.uint8)
    shares = (augment(white, Augmentation(flip=0, erase=1), np.random.default_rng(1)) < 255).any(3).mean((1, 2))
    assert shares.min() > 0.01
    assert shares.max() < 0.22
    assert shares.std() > 0.02


def test_about_half_of_the_frames_are_erased() -> None:
    white = np.full((400, 32, 16, 3), 255, np.uint8)
    erased = (augment(white, Augmentation(flip=0), np.random.default_rng(1)) < 255).any((1, 2, 3))
    assert 150 < erased.sum() < 250


def test_a_crop_is_the_same_window_for_every_frame(clip: Frames) -> None:
    same = np.repeat(clip[:1], 4, axis=0)
    after = augment(same, Augmentation(crop_padding=3, **NOTHING), np.random.default_rng(2))
    assert after.shape == same.shape
    assert (after == after[:1]).all()
    assert not np.array_equal(after, same)
    padded = np.pad(clip[0], ((3, 3), (3, 3), (0, 0)), mode="edge")
    windows = [padded[top : top + 32, left : left + 16] for top in range(7) for left in range(7)]
    assert any(np.array_equal(after[0], window) for window in windows)


def test_colour_changes_every_frame_alike(clip: Frames) -> None:
    same = np.repeat(clip[:1], 4, axis=0)
    after = augment(same, Augmentation(colour=0.3, **NOTHING), np.random.default_rng(2))
    assert (after == after[:1]).all()
    assert not np.array_equal(after, same)


@pytest.mark.parametrize(
    ("field", "value"),
    [("flip", 1.5), ("erase", -0.1), ("crop_padding", -1), ("erase_area", (0.3, 0.1)), ("erase_aspect", (0.0, 1.0))],
)
def test_values_that_make_no_sense_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Augmentation(**{field: value})  # type: ignore[arg-type]


def test_a_cast_changes_the_colours_of_a_whole_clip_alike(clip: Frames) -> None:
    how = Augmentation(**NOTHING, cast=0.2)  # type: ignore[arg-type]
    dim = clip // 2
    after = augment(dim, how, np.random.default_rng(2)).astype(float)
    factors = after.sum(axis=(1, 2)) / dim.astype(float).sum(axis=(1, 2))  # (T, 3)
    assert np.ptp(factors, axis=0).max() < 0.02
    assert np.ptp(factors[0]) > 0.05
    assert 0.75 < factors.min() < factors.max() < 1.25


def test_a_warp_moves_a_whole_clip_alike_and_no_farther_than_it_may() -> None:
    clip = np.zeros((3, 64, 32, 3), np.uint8)
    clip[:, 24:40, 12:20] = 200
    places = []
    for seed in range(20):
        after = augment(clip, Augmentation(**NOTHING, warp=0.1), np.random.default_rng(seed))  # type: ignore[arg-type]
        assert all(np.array_equal(after[0], other) for other in after[1:])
        rows, columns = np.nonzero(after[0, :, :, 0] > 100)
        places.append((rows.mean() - 31.5, columns.mean() - 15.5))
    assert np.abs(places).max(axis=0) == pytest.approx((3, 1.5), abs=3)
    assert np.std(places, axis=0).min() > 0.3


@pytest.mark.parametrize(("height", "width"), [(32, 16), (16, 64)])
def test_a_frame_at_its_edge_is_continued_by_a_warp(height: int, width: int) -> None:
    white = np.full((1, height, width, 3), 255, np.uint8)
    for seed in range(5):
        after = augment(white, Augmentation(**NOTHING, warp=0.2), np.random.default_rng(seed))  # type: ignore[arg-type]
        assert after.min() == 255


def test_shade_falls_on_each_frame_anew_and_keeps_colours() -> None:
    grey = np.full((40, 64, 32, 3), (60, 90, 30), np.uint8)
    after = augment(grey, Augmentation(**NOTHING, shade=0.1), np.random.default_rng(1)).astype(float)  # type: ignore[arg-type]
    assert len(np.unique(after[:, 5, 5, 0])) > 10
    assert np.abs(after[..., 1] / after[..., 0] - 1.5).max() < 0.1
    # Three fields of standard deviation 0.1, smoothed between their points.
    assert 0.08 < np.log(after[..., 1] / 90).std() < 0.1 * 3**0.5
