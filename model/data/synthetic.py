"""Tracklets of people who do not exist, drawn by code: for demonstrations and tests that need no download.

A person keeps build, hair, clothes and bag wherever they are seen; a camera keeps place, light, colour cast, noise and
sharpness. What changes between frames is pose, place and the cut of the box. There is no occlusion, no change of
clothes and no crowd, so figures measured on these scenes say nothing about real ones.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model.data.appearance import draw_appearance
from model.data.figure import Pose, draw_person, weave
from model.data.folder import FolderTracklet
from model.data.viewpoint import PANORAMA_WIDTH, draw_viewpoint

WIDTH, HEIGHT = 128, 256
JPEG_QUALITY = 90
_STEP = 0.42  # radians of the walking cycle from frame to frame


def draw_tracklet(identity_seed: int, camera_seed: int, frames: int, *, tracklet_seed: int = 0) -> list[Image.Image]:
    """Draw the person `identity_seed` passing the camera `camera_seed`.

    Args:
        identity_seed: names the person, >= 0.
        camera_seed: names the camera, >= 0.
        frames: how many, >= 1.
        tracklet_seed: names the passing, >= 0: the same person before the same camera on another occasion.

    Returns:
        RGB pictures of 128 x 256 pixels, in their order in time; the same for the same seeds.

    Raises:
        ValueError: no frame is asked for.
    """
    if frames < 1:
        raise ValueError(f"a tracklet has at least one frame, got {frames}")
    rng = np.random.default_rng([0x7A, identity_seed, camera_seed, tracklet_seed])
    person, camera = draw_appearance(identity_seed), draw_viewpoint(camera_seed, WIDTH, HEIGHT)
    cloth = weave(person)
    # Most people follow the path one way or the other, a few cross it.
    facing = camera.facing + (math.pi if rng.random() < 0.5 else 0.0) + rng.normal(0, 0.5)
    phase, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.02)
    place, pace = rng.uniform(0, PANORAMA_WIDTH), 6 * math.sin(facing)
    size, centre = rng.uniform(0.86, 0.97), rng.normal(0, 5)
    images = []
    for number in range(frames):
        pose = Pose(phase + _STEP * number, facing + turn * number, camera.elevation)
        left = int(place + pace * number) % (PANORAMA_WIDTH - 2 * WIDTH)
        canvas = camera.background.crop((left, 0, left + 2 * WIDTH, 2 * HEIGHT))
        # The box of a detector never sits quite the same.
        tall = 2 * HEIGHT * size * rng.normal(1, 0.012)
        foot = (WIDTH + centre + rng.normal(0, 3), 2 * HEIGHT * 0.5 + tall * 0.49 + rng.normal(0, 3))
        _shadow(canvas, foot, tall)
        draw_person(canvas, person, cloth, pose, foot, tall)
        images.append(camera.expose(canvas.reduce(2), rng))
    return images


def write_scene(
    root: Path, *, people: int, cameras: int, tracklets: int = 1, frames: int = 8, seed: int = 0
) -> list[FolderTracklet]:
    """Write a folder data set in which every person passes every camera.

    Args:
        root: the folder to fill; made when it is not there.
        people: how many identities.
        cameras: how many cameras.
        tracklets: how many for each person and camera.
        frames: how many in each tracklet.
        seed: another seed gives other people and other cameras.

    Returns:
        What was written, in the order of writing.
    """
    written = []
    for person in range(people):
        for camera in range(cameras):
            for passing in range(tracklets):
                name = (f"person-{person + 1:03d}", f"camera-{camera + 1}", f"{passing + 1:03d}")
                folder = root.joinpath(*name)
                folder.mkdir(parents=True, exist_ok=True)
                images = draw_tracklet(
                    _seed(seed, person), _seed(seed, camera), frames, tracklet_seed=_seed(seed, passing)
                )
                paths = tuple(folder / f"{number:04d}.jpg" for number in range(1, frames + 1))
                for path, image in zip(paths, images, strict=True):
                    image.save(path, quality=JPEG_QUALITY)
                written.append(FolderTracklet(*name, paths))
    return written


def _seed(scene: int, number: int) -> int:
    """Return a seed that no other scene uses for another number."""
    return scene << 32 | number


def _shadow(canvas: Image.Image, foot: tuple[float, float], tall: float) -> None:
    x, y = foot
    wide, flat = tall * 0.13, tall * 0.022
    mask = Image.new("L", (int(2 * wide), int(2 * flat)))
    ImageDraw.Draw(mask).ellipse((0, 0, mask.width - 1, mask.height - 1), fill=110)
    left, top = int(x - wide), int(y - flat)
    canvas.paste((20, 20, 24), (left, top, left + mask.width, top + mask.height), mask)
