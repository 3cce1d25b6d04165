"""Scenes of drawn people, written as folder data sets: who passes which cameras, and how hard each camera is."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from model.data.appearance import Appearance, draw_appearance
from model.data.folder import FolderTracklet
from model.data.synthetic import HEIGHT, check_drawing, draw_tracklet

_JPEG_QUALITY = 90
_NEIGHBOURS = 50
"""People who share cameras, one after another."""


def write_scene(
    root: Path,
    *,
    people: int,
    cameras: int,
    tracklets: int = 1,
    frames: int = 8,
    seed: int = 0,
    height: int = HEIGHT,
    difficulty: float = 1.0,
    passes: int | None = None,
    easiest: float | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[FolderTracklet]:
    """Write a folder data set in which every person passes every camera, or some of many.

    Args:
        root: the folder to fill; made when it is not there.
        people: how many identities.
        cameras: how many cameras.
        tracklets: how many for each person and camera.
        frames: how many in each tracklet.
        seed: another seed gives other people and other cameras; 0 to 2**29 - 1.
        height: of the frames in pixels, as for `draw_tracklet`.
        difficulty: as for `draw_tracklet`.
        passes: how many of the cameras each person passes; all of them when it is not given.
        easiest: each camera's difficulty is drawn between this and `difficulty`. All are of `difficulty` when it is not
            given.
        workers: processes that draw; what is written does not depend on it. With more than one, the calling script
            needs the usual `if __name__ == "__main__":`.
        progress: called with the number of tracklets written so far, after each.

    Returns:
        What was written, in the order of writing.

    Raises:
        ValueError: an argument lies outside its range.
    """
    counts = {"people": people, "cameras": cameras, "tracklets": tracklets, "workers": workers}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not 0 <= seed < 1 << 29:
        raise ValueError(f"seed must lie between 0 and {(1 << 29) - 1}, got {seed}")
    check_drawing(frames, height, difficulty)
    easiest = difficulty if easiest is None else easiest
    if not 0 <= easiest <= difficulty:
        raise ValueError(f"easiest must lie between 0 and difficulty ({difficulty}), got {easiest}")
    if passes is not None and not 1 <= passes <= cameras:
        raise ValueError(f"passes must lie between 1 and cameras ({cameras}), got {passes}")
    write = functools.partial(
        write_passing, root=root, frames=frames, seed=seed, height=height, difficulty=(easiest, difficulty)
    )
    jobs = [
        (person, camera, passing)
        for person in range(people)
        for camera in _passed(person, cameras, passes, seed)
        for passing in range(tracklets)
    ]
    # Processes are started afresh: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else None
    written: list[FolderTracklet] = []
    with pool or nullcontext():
        results: Iterator[FolderTracklet] = pool.map(write, jobs, chunksize=8) if pool else map(write, jobs)
        for tracklet in results:
            written.append(tracklet)
            if progress is not None:
                progress(len(written))
    return written


def _passed(person: int, cameras: int, passes: int | None, seed: int) -> list[int]:
    """Choose the cameras that a person passes.

    People come in neighbourhoods whose cameras are few, because drawing a camera costs as much as many frames.
    """
    if passes is None:
        return list(range(cameras))
    near = np.random.default_rng([0x9A, seed, person // _NEIGHBOURS]).permutation(cameras)[: 2 * passes]
    chosen = np.random.default_rng([0x9B, seed, person]).choice(near, passes, replace=False)
    return sorted(int(camera) for camera in chosen)


def scene_people(people: int, seed: int = 0) -> dict[str, Appearance]:
    """How the first `people` of the scene `seed` look, by the names of their folders."""
    return {_person_name(person): draw_appearance(_seed_in(seed, person)) for person in range(people)}


def _person_name(person: int) -> str:
    return f"person-{person + 1:03d}"


def _seed_in(scene: int, number: int) -> int:
    """The seed of a scene's person, camera or passing; no other scene uses it for another number."""
    return scene << 32 | number


def write_passing(
    numbers: tuple[int, int, int],
    *,
    root: Path,
    frames: int,
    seed: int,
    height: int,
    difficulty: tuple[float, float] = (1.0, 1.0),
) -> FolderTracklet:
    """Draw and write one tracklet of a scene.

    Args:
        numbers: of the person, the camera and the passing, from 0.
        difficulty: the least and the most that a camera of the scene has.
    """
    person, camera, passing = numbers
    name = (_person_name(person), f"camera-{camera + 1}", f"{passing + 1:03d}")
    folder = root.joinpath(*name)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [_seed_in(seed, number) for number in numbers]
    share = np.random.default_rng([0x9C, seeds[1]]).random()
    images = draw_tracklet(
        seeds[0],
        seeds[1],
        frames,
        tracklet_seed=seeds[2],
        height=height,
        difficulty=difficulty[0] + float(share) * (difficulty[1] - difficulty[0]),
    )
    paths = tuple(folder / f"{number:04d}.jpg" for number in range(1, frames + 1))
    for path, image in zip(paths, images, strict=True):
        image.save(path, quality=_JPEG_QUALITY)
    return FolderTracklet(*name, paths)
