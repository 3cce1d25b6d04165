"""Which frames of a tracklet make a clip (method.md 1.4). Indices only; no pixels."""

import numpy as np


def dense_clips(frame_count: int, clip_length: int = 8) -> list[list[int]]:
    """Cut a tracklet into consecutive clips; the last one is filled by going round its own frames.

    Args:
        frame_count: frames of the tracklet, >= 1.
        clip_length: T, >= 1.

    Returns:
        ceil(frame_count / T) clips of T frame indices each; every frame is in at least one.

    Raises:
        ValueError: a count is less than 1.
    """
    _check_counts(frame_count, clip_length)
    clips = []
    for start in range(0, frame_count, clip_length):
        chunk = range(start, min(start + clip_length, frame_count))
        clips.append([chunk[position % len(chunk)] for position in range(clip_length)])
    return clips


def spread_evenly(frame_count: int, cap: int) -> list[int]:
    """Choose at most `cap` frames, evenly over the whole tracklet.

    Args:
        frame_count: frames of the tracklet, >= 1.
        cap: the most frames to choose, >= 1.

    Returns:
        Sorted distinct indices: all of them when there are no more than `cap`, else `cap` of them, the first and the
        last frame included (the middle one when `cap` is 1).

    Raises:
        ValueError: a count is less than 1.
    """
    _check_counts(frame_count, cap)
    if frame_count <= cap:
        return list(range(frame_count))
    if cap == 1:
        return [frame_count // 2]
    gaps = cap - 1
    return [(step * (frame_count - 1) + gaps // 2) // gaps for step in range(cap)]


def restricted_random_clip(frame_count: int, clip_length: int, rng: np.random.Generator) -> list[int]:
    """Draw a training clip by restricted random sampling: one random frame from each of T equal chunks.

    Args:
        frame_count: frames of the tracklet, >= 1.
        clip_length: T, >= 1.
        rng: where the T numbers are drawn from; untouched when the tracklet has no more than T frames.

    Returns:
        T frame indices in order; a tracklet shorter than T is taken whole, its last frame repeated.

    Raises:
        ValueError: a count is less than 1.
    """
    chunks = _restricted_chunks(frame_count, clip_length)
    if len(chunks[0]) == 1:
        return [chunk[0] for chunk in chunks]
    return [chunk[int(rng.integers(len(chunk)))] for chunk in chunks]


def restricted_first_clip(frame_count: int, clip_length: int) -> list[int]:
    """Take the first frame of each chunk of restricted random sampling (`rrs_test`): T frame indices in order.

    Raises:
        ValueError: a count is less than 1.
    """
    return [chunk[0] for chunk in _restricted_chunks(frame_count, clip_length)]


def _restricted_chunks(frame_count: int, clip_length: int) -> list[list[int]]:
    """T chunks of ceil(n / T) indices, padded with the last frame; chunks of one frame when n < T."""
    _check_counts(frame_count, clip_length)
    chunk_length = -(-frame_count // clip_length)
    padded = [min(index, frame_count - 1) for index in range(chunk_length * clip_length)]
    return [padded[start : start + chunk_length] for start in range(0, len(padded), chunk_length)]


def _check_counts(frame_count: int, other: int) -> None:
    if frame_count < 1 or other < 1:
        raise ValueError(f"got {frame_count} frames and a length of {other}, expected both >= 1")
