"""Tracklets of people who do not exist, drawn by code: for demonstrations, tests and training without real people.

A person keeps build, hair, clothes, bag and gait wherever they are seen, but for what one passing varies in measures,
colours and folds (`occasion`); a camera keeps place, direction, light and faults. What changes between frames is pose,
place, the cut of the box and who or what stands in the way.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from model.data.appearance import draw_appearance
from model.data.figure import Figure, draw_person, dress
from model.data.occasion import on_occasion
from model.data.skeleton import Arms, Pose
from model.data.viewpoint import Viewpoint, draw_viewpoint

HEIGHT = 256
_SMALLEST = 32
_FINER = 1.5
"""Pixels of a person's height in the drawn scene over those in the frame: edges come out smooth."""
_SCENE = (0.72, 1.26)
"""Width and height of the drawn scene over the person's height: room for a box that sits badly."""
_FOOT = 1.09
"""Where the person stands in the scene, from its top, over the person's height."""
_PANORAMA = 1.4
"""Height of a camera's panorama over the person's height."""
_PASSER_REACH = 0.52
"""Farther than this from the person, in heights, nobody else reaches into the box."""
_PASSER_SEEDS = 1 << 62
"""From here on seeds name people in the way, who are nobody's identity."""


@dataclass(frozen=True)
class _Passer:
    """Somebody else in the picture: who, how they walk, and where, in the person's heights."""

    figure: Figure
    facing: float
    phase: float
    size: float
    offset: float
    drift: float
    before: bool


def draw_tracklet(
    identity_seed: int,
    camera_seed: int,
    frames: int,
    *,
    tracklet_seed: int = 0,
    height: int = HEIGHT,
    difficulty: float = 1.0,
) -> list[Image.Image]:
    """Draw the person `identity_seed` passing the camera `camera_seed`.

    Args:
        identity_seed: names the person, 0 to 2**62 - 1.
        camera_seed: names the camera, >= 0.
        frames: how many, >= 1.
        tracklet_seed: names the passing, >= 0: the same person before the same camera on another occasion.
        height: of the frames in pixels, even and >= 32; they are half as wide.
        difficulty: 1 is a street; towards 0 the cameras' faults, what stands in the way, bad boxes and what varies from
            passing to passing fade out.

    Returns:
        RGB pictures in their order in time; the same for the same arguments.

    Raises:
        ValueError: an argument lies outside its range.
    """
    check_drawing(frames, height, difficulty)
    _check_seeds(identity_seed, camera_seed, tracklet_seed)
    rng = np.random.default_rng([0x7A, identity_seed, camera_seed, tracklet_seed])
    unit = height * _FINER
    camera = _viewpoint(camera_seed, round(unit * _PANORAMA), difficulty)
    occasion = np.random.default_rng([0x7B, identity_seed, camera_seed, tracklet_seed])
    figure = dress(on_occasion(draw_appearance(identity_seed), occasion, difficulty), occasion, difficulty)
    gait = figure.gait
    # Most people follow the path one way, some come back, a few cross it.
    facing = camera.facing + (math.pi if rng.random() < 0.3 else 0.0) + rng.normal(0, 0.4)
    phase, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.015)
    arms: Arms = ("swing", "pocket", "phone")[rng.choice(3, p=[0.8, 0.1, 0.1])]
    place, lines = rng.random(), camera.lines * math.exp(rng.normal(0, 0.2 * difficulty))
    exposure, change = rng.normal(1, 0.1 * difficulty), rng.normal(0, 0.01 * difficulty)
    passers = _passers(rng, facing, difficulty)
    zoom, shift = _cut(rng, difficulty)
    images = []
    for number in range(frames):
        scene = _stage(camera, place, number * math.sin(facing) * gait.stride * 0.25, unit)
        pose = Pose(phase + gait.cadence * number, facing + turn * number, camera.elevation, arms)
        foot = (unit * _SCENE[0] / 2, unit * _FOOT)
        for passer in passers:
            if not passer.before:
                _draw_passer(scene, passer, number, unit, camera)
        _shadow(scene, foot, unit, camera.light)
        draw_person(scene, figure, pose, foot, unit, camera.light)
        for passer in passers:
            if passer.before:
                _draw_passer(scene, passer, number, unit, camera)
        _stand_before(scene, camera, place, number * math.sin(facing) * gait.stride * 0.3, unit)
        box = _box(rng, zoom, shift, unit, difficulty)
        curve = camera.brightness(max(0.4, exposure + change * number))
        images.append(camera.expose(scene, box, (height // 2, height), curve, lines, rng))
    return images


def _check_seeds(identity: int, camera: int, tracklet: int) -> None:
    if not 0 <= identity < _PASSER_SEEDS:
        raise ValueError(f"identity_seed must lie between 0 and {_PASSER_SEEDS - 1}, got {identity}")
    for name, seed in (("camera_seed", camera), ("tracklet_seed", tracklet)):
        if seed < 0:
            raise ValueError(f"{name} must not be negative, got {seed}")


def check_drawing(frames: int, height: int, difficulty: float) -> None:
    """Raise ValueError for what `draw_tracklet` cannot draw, whoever it is of."""
    if frames < 1:
        raise ValueError(f"a tracklet has at least one frame, got {frames}")
    if height < _SMALLEST or height % 2:
        raise ValueError(f"height must be even and at least {_SMALLEST} pixels, got {height}")
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must lie between 0 and 1, got {difficulty}")


@functools.lru_cache(maxsize=16)
def _viewpoint(camera_seed: int, height: int, difficulty: float) -> Viewpoint:
    """Keep the cameras of the scene that is being drawn: a camera costs as much as many frames."""
    return draw_viewpoint(camera_seed, height, difficulty)


def _stage(camera: Viewpoint, place: float, walked: float, unit: float) -> Image.Image:
    """Cut from the panorama what lies behind the person, who walked so many of their heights."""
    width, height = round(unit * _SCENE[0]), round(unit * _SCENE[1])
    panorama = camera.background
    left = int(place * panorama.width + walked * unit) % (panorama.width - width)
    top = panorama.height - height - int((panorama.height - height) * (place * 7 % 1))
    return panorama.crop((left, top, left + width, top + height))


def _stand_before(scene: Image.Image, camera: Viewpoint, place: float, walked: float, unit: float) -> None:
    panorama = camera.foreground
    left = int(place * panorama.width + walked * unit) % (panorama.width - scene.width)
    part = panorama.crop((left, panorama.height - scene.height, left + scene.width, panorama.height))
    filled = part.getbbox()
    if filled is not None:
        part = part.crop(filled)
        scene.paste(part, filled[:2], part)


def _passers(rng: np.random.Generator, facing: float, difficulty: float) -> list[_Passer]:
    """Choose who else walks through the picture."""
    passers = []
    for _ in range(2):
        seed, before = int(rng.integers(1 << 61)) + _PASSER_SEEDS, rng.random() < 0.4
        # Companions keep their place beside the person, others come past.
        along = rng.random() < 0.5
        direction = facing + (rng.normal(0, 0.2) if along else math.pi + rng.normal(0, 0.6))
        drift = rng.normal(0, 0.004) if along else 0.06 * (math.sin(direction) - math.sin(facing)) * rng.uniform(0.4, 1)
        side = 1 if rng.random() < 0.5 else -1
        phase, offset = rng.uniform(0, 2 * math.pi), side * rng.uniform(0.2, 0.42)
        size = rng.uniform(0.95, 1.12) if before else rng.uniform(0.78, 1.0)
        if rng.random() < 0.22 * difficulty:
            figure = dress(draw_appearance(seed))
            passers.append(_Passer(figure, direction, phase, size, offset, drift, before))
    return passers


def _draw_passer(scene: Image.Image, passer: _Passer, number: int, unit: float, camera: Viewpoint) -> None:
    offset = passer.offset + passer.drift * number
    if abs(offset) < _PASSER_REACH:
        pose = Pose(passer.phase + passer.figure.gait.cadence * number, passer.facing, camera.elevation)
        foot = (unit * (_SCENE[0] / 2 + offset), unit * (_FOOT + (0.05 if passer.before else -0.06)))
        draw_person(scene, passer.figure, pose, foot, unit * passer.size, camera.light)


def _cut(rng: np.random.Generator, difficulty: float) -> tuple[float, tuple[float, float]]:
    """Choose how the detector cuts this tracklet: height of the box, its shift, in the person's heights."""
    zoom, shift = rng.normal(1.08, 0.035 * difficulty), rng.normal(0, 0.015 * difficulty, 2)
    part, kind = rng.uniform(0.62, 0.9), rng.random()
    if kind < 0.1 * difficulty:  # the feet are cut off
        return zoom * part, (float(shift[0]), -0.5 * (1.08 - zoom * part))
    if kind < 0.14 * difficulty:  # the box starts below the top of the head
        return zoom * 0.9, (float(shift[0]), 0.09)
    if kind < 0.2 * difficulty:  # the box sits beside the person
        return zoom, (0.1 * math.copysign(1, shift[0]), float(shift[1]))
    return zoom, (float(shift[0]), float(shift[1]))


def _box(
    rng: np.random.Generator, zoom: float, shift: tuple[float, float], unit: float, difficulty: float
) -> tuple[float, float, float, float]:
    """Return where the detector sees the person in one frame, in pixels of the scene."""
    jitter, stretch = rng.normal(0, 0.01 * difficulty, 3), rng.normal(1, 0.06 * difficulty)
    tall = zoom * (1 + jitter[2]) * unit
    wide = tall * 0.5 * min(1.25, max(0.8, stretch))
    x = unit * (_SCENE[0] / 2 + shift[0] + jitter[0])
    y = unit * (_FOOT - 0.49 + shift[1] + jitter[1])
    width, height = round(unit * _SCENE[0]), round(unit * _SCENE[1])
    return max(0.0, x - wide / 2), max(0.0, y - tall / 2), min(width, x + wide / 2), min(height, y + tall / 2)


def _shadow(scene: Image.Image, foot: tuple[float, float], unit: float, light: float) -> None:
    x, y = foot[0] - light * unit * 0.1, foot[1]
    wide, flat = unit * 0.17, unit * 0.024
    mask = Image.new("L", (int(2 * wide), int(2 * flat)))
    ImageDraw.Draw(mask).ellipse((0, 0, mask.width - 1, mask.height - 1), fill=100)
    left, top = int(x - wide), int(y - flat)
    scene.paste((20, 20, 24), (left, top, left + mask.width, top + mask.height), mask)
