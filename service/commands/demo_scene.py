"""The scene of `tfclip demo`: drawn people who pass some of its cameras, and others who pass one and are gone."""

from pathlib import Path

import numpy as np

from model.data.scene import write_passing

SCENE_SEED = 4242
"""Training draws scenes of seeds below 1000, and scenes of different seeds share neither people nor cameras: whoever is
in this one, the demo weights have never seen."""
CAMERAS, RETURNING, PASSING, FRAMES = 4, 16, 20, 8
_HEIGHT = 128


def passings() -> list[tuple[int, int]]:
    """Who passes which camera, as numbers from 0: the first `RETURNING` people two or three cameras, the rest one."""
    rng = np.random.default_rng(SCENE_SEED)
    seen = []
    for person in range(RETURNING + PASSING):
        count = int(rng.integers(2, CAMERAS)) if person < RETURNING else 1
        seen += [(person, int(camera)) for camera in sorted(rng.choice(CAMERAS, count, replace=False))]
    return seen


def write_demo_scene(root: Path) -> None:
    """Draw the scene as a folder data set below `root`."""
    for person, camera in passings():
        write_passing((person, camera, 0), root=root, frames=FRAMES, seed=SCENE_SEED, height=_HEIGHT)
