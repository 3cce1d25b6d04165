"""Which frames make a clip: the tables of method.md 1.4, and what must hold for any tracklet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.clips import dense_clips, restricted_first_clip, restricted_random_clip, spread_evenly

counts = st.integers(1, 500)
lengths = st.integers(1, 16)


def test_dense_clips_of_16_frames_are_exactly_two() -> None:
    assert dense_clips(16) == [list(range(8)), list(range(8, 16))]


def test_dense_clips_fill_the_last_chunk_cyclically() -> None:
    assert dense_clips(26)[-1] == [24, 25, 24, 25, 24, 25, 24, 25]
    assert dense_clips(3) == [[0, 1, 2, 0, 1, 2, 0, 1]]
    assert dense_clips(1) == [[0] * 8]
    assert dense_clips(9) == [list(range(8)), [8] * 8]


@given(frame_count=counts, clip_length=lengths)
def test_dense_clips_hold_every_frame_in_order(frame_count: int, clip_length: int) -> None:
    clips = dense_clips(frame_count, clip_length)
    assert all(len(clip) == clip_length for clip in clips)
    assert [index for clip in clips for index in clip][:frame_count] == list(range(frame_count))
    assert len(clips) == -(-frame_count // clip_length)


def test_restricted_sampling_of_9_frames_has_chunks_of_two_padded_with_the_last() -> None:
    assert restricted_first_clip(9, 8) == [0, 2, 4, 6, 8, 8, 8, 8]


def test_restricted_sampling_of_a_short_tracklet_repeats_its_last_frame() -> None:
    rng = np.random.default_rng(0)
    assert restricted_random_clip(3, 8, rng) == [0, 1, 2, 2, 2, 2, 2, 2]
    assert restricted_first_clip(3, 8) == [0, 1, 2, 2, 2, 2, 2, 2]


def test_restricted_sampling_of_T_frames_is_all_of_them() -> None:
    assert restricted_random_clip(8, 8, np.random.default_rng(0)) == list(range(8))


def test_restricted_first_frames_of_26() -> None:
    assert restricted_first_clip(26, 8) == [0, 4, 8, 12, 16, 20, 24, 25]


@given(frame_count=counts, clip_length=lengths, seed=st.integers(0, 2**32 - 1))
def test_a_random_clip_takes_one_frame_of_each_chunk(frame_count: int, clip_length: int, seed: int) -> None:
    clip = restricted_random_clip(frame_count, clip_length, np.random.default_rng(seed))
    width = -(-frame_count // clip_length)
    last = frame_count - 1
    assert len(clip) == clip_length
    for chunk, index in enumerate(clip):
        assert min(chunk * width, last) <= index <= min(chunk * width + width - 1, last)


def test_random_clips_reach_every_frame() -> None:
    rng = np.random.default_rng(0)
    assert {index for _ in range(200) for index in restricted_random_clip(26, 8, rng)} == set(range(26))


@given(frame_count=counts, cap=st.integers(1, 100))
def test_spread_frames_are_sorted_distinct_and_even(frame_count: int, cap: int) -> None:
    chosen = spread_evenly(frame_count, cap)
    assert len(chosen) == min(frame_count, cap)
    assert set(chosen) <= set(range(frame_count))
    steps = np.diff(chosen)
    assert (steps >= 1).all()
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (0, frame_count - 1)
        assert steps.max() - steps.min() <= 1


def test_one_spread_frame_is_the_middle_one() -> None:
    assert spread_evenly(11, 1) == [5]


@pytest.mark.parametrize(("frame_count", "length"), [(0, 8), (8, 0), (-1, 8)])
def test_counts_below_one_are_refused(frame_count: int, length: int) -> None:
    for function in (dense_clips, spread_evenly, restricted_first_clip):
        with pytest.raises(ValueError, match="expected both >= 1"):
            function(frame_count, length)
