"""Purity: equal to its slow twin, blind to lengths, and low where two people share a tracklet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.purity import LEAST_FRAMES, find_purity


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = one.astype(float), other.astype(float)
    return float(a @ b) / (float(a @ a) ** 0.5 * float(b @ b) ** 0.5)


def slow_separations(frames: NDArray[np.float32]) -> list[float]:
    """Every pair of frames looked at, for every split."""
    separations = []
    for split in range(LEAST_FRAMES, len(frames) - LEAST_FRAMES + 1):
        same, different = [], []
        for i in range(len(frames)):
            for j in range(i):
                (same if (i < split) == (j < split) else different).append(cosine(frames[i], frames[j]))
        separations.append(float(np.mean(same) - np.mean(different)))
    return separations


def made_up(count: int, seed: int, split: int = 0, dimension: int = 12) -> NDArray[np.float32]:
    """Frames around one middle, and from `split` on around another."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((2, dimension))
    whose = (np.arange(count) >= split).astype(int)
    frames = middles[whose] + 0.3 * rng.standard_normal((count, dimension))
    return (frames * rng.uniform(0.5, 2, (count, 1))).astype(np.float32)


@given(count=st.integers(4, 20), seed=st.integers(0, 10_000), split=st.integers(0, 20))
def test_separations_equal_those_of_every_pair(count: int, seed: int, split: int) -> None:
    frames = made_up(count, seed, split)
    found = find_purity(frames)
    expected = slow_separations(frames)
    assert found is not None
    assert found.separations == pytest.approx(expected, abs=1e-9)
    assert found.split == LEAST_FRAMES + int(np.argmax(found.separations))
    assert found.purity == pytest.approx(min(1, max(0, 1 - max(expected))), abs=1e-9)


@pytest.mark.parametrize("split", [2, 5, 8])
def test_the_split_is_where_another_person_comes_in(split: int) -> None:
    found = find_purity(made_up(10, 4, split, dimension=64))
    alone = find_purity(made_up(10, 4, 0, dimension=64))
    assert found is not None
    assert alone is not None
    assert found.split == split
    assert found.purity < 0.5 < 0.9 < alone.purity


def test_equal_frames_are_pure() -> None:
    found = find_purity(np.tile(np.array([[3.0, 4.0]], np.float32), (6, 1)))
    assert found is not None
    assert found.purity == pytest.approx(1)


def test_the_length_of_descriptors_does_not_matter() -> None:
    frames = made_up(9, 1, 4)
    found, scaled = find_purity(frames), find_purity(frames * np.float32(1000))
    assert found is not None
    assert scaled is not None
    assert scaled.purity == pytest.approx(found.purity, abs=1e-6)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_frames_say_nothing(count: int) -> None:
    assert find_purity(made_up(count, 0)) is None


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_frame_without_a_direction_says_nothing(value: float) -> None:
    frames = made_up(6, 0)
    frames[2] = value
    assert find_purity(frames) is None
