"""A walking person, drawn with Pillow: a jointed body in three dimensions, seen from any side.

The body's own axes are right, forward and up, in fractions of an average standing height, with the origin on the ground
between the feet. Parts are drawn from the farthest to the nearest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from model.data.appearance import Appearance, Colour

_HIP, _KNEE_TO_HIP, _ANKLE_TO_KNEE = 0.52, 0.25, 0.23
_SHOULDER, _UPPER_ARM, _FOREARM = 0.81, 0.165, 0.15
_HEAD, _HEAD_WIDTH, _HEAD_HEIGHT = 0.915, 0.052, 0.07
_DEPTH_OF_BODY = 0.07
_STRIDE = 0.45  # radians to which a leg swings
_SHADE = 0.72
_UNDER_GARMENT = -1.0
"""Added to the nearness of the legs: coat and skirt hang over them, whichever leg is in front."""

Point = tuple[float, float, float]
Part = tuple[float, Callable[[], None]]


@dataclass(frozen=True)
class Pose:
    """How the person stands in one frame.

    Attributes:
        phase: of the walking cycle, radians.
        facing: radians; 0 looks at the camera, pi/2 walks to the right of the picture, pi shows the back.
        elevation: radians by which the camera looks down.
    """

    phase: float
    facing: float
    elevation: float


@dataclass(frozen=True)
class _View:
    """Where a body point falls in the picture."""

    pose: Pose
    scale: float
    origin: tuple[float, float]

    def at(self, point: Point) -> tuple[float, float]:
        right, forward, up = point
        across = forward * math.sin(self.pose.facing) - right * math.cos(self.pose.facing)
        down = self.nearness(point) * math.sin(self.pose.elevation) - up
        return self.origin[0] + across * self.scale, self.origin[1] + down * self.scale

    def nearness(self, point: Point) -> float:
        return point[1] * math.cos(self.pose.facing) + point[0] * math.sin(self.pose.facing)


def draw_person(
    image: Image.Image, person: Appearance, garment: Image.Image, pose: Pose, foot: tuple[float, float], height: float
) -> None:
    """Draw `person` into the RGB `image`.

    Args:
        garment: the upper garment's cloth, from `weave`.
        foot: x and y of the ground between the feet, pixels.
        height: pixels of an average standing height.
    """
    view = _View(pose, height * person.height, foot)
    pen = ImageDraw.Draw(image)
    parts = [
        *_legs(pen, person, view),
        *_arms(pen, person, view),
        (0.0, lambda: _torso(image, pen, person, garment, view)),
        (0.005, lambda: _head(pen, person, view)),
        *_bag(pen, person, view),
    ]
    if person.hair == "long":
        behind: Point = (0.0, -0.05, 0.0)
        parts.append((view.nearness(behind), lambda: _long_hair(pen, person, view)))
    for _, draw in sorted(parts, key=lambda part: part[0]):
        draw()


def weave(person: Appearance, size: tuple[int, int] = (96, 128)) -> Image.Image:
    """Make the cloth of the upper garment, shaded towards its sides as on a round body; RGB, (width, height)."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    second = np.zeros((height, width), bool)
    if person.pattern == "stripes":
        second = rows // (height // 8) % 2 == 1
    elif person.pattern == "halves":
        second = rows > height * 0.45
    elif person.pattern == "checks":
        second = (rows // (height // 8) + columns // (width // 6)) % 2 == 1
    cloth = np.where(second[..., None], person.second_colour, person.upper_colour).astype(np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)
    cloth *= (1 - (1 - _SHADE) * np.abs(across) ** 2.5)[None, :, None]
    return Image.fromarray(cloth.astype(np.uint8))


def _legs(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> list[Part]:
    sides = []
    for side, phase in ((-1, view.pose.phase), (1, view.pose.phase + math.pi)):
        swing = _STRIDE * math.sin(phase)
        bend = 0.12 + 0.75 * max(0.0, math.cos(phase))
        hip: Point = (side * person.waist * 0.5, 0.0, _HIP)
        knee = _reach(hip, _KNEE_TO_HIP, swing)
        sides.append((hip, knee, _reach(knee, _ANKLE_TO_KNEE, swing - bend)))
    drop = min(ankle[2] for _, _, ankle in sides) - 0.03
    covered = person.lower_colour
    calf = covered if person.lower == "trousers" else person.skin
    thigh = covered if person.lower != "skirt" else person.skin
    parts: list[Part] = []
    for hip, knee, ankle in (tuple(_lowered(p, drop) for p in side) for side in sides):
        toe: Point = (ankle[0], ankle[1] + 0.06, max(0.012, ankle[2] - 0.02))
        girth = 0.035 + 0.2 * (person.waist - 0.075)

        def draw(
            hip: Point = hip, knee: Point = knee, ankle: Point = ankle, toe: Point = toe, girth: float = girth
        ) -> None:
            _limb(pen, view, ankle, toe, 0.024, 0.018, person.shoes)
            _limb(pen, view, knee, ankle, girth * 0.85, girth * 0.65, calf)
            _limb(pen, view, hip, knee, girth * 1.25, girth * 0.9, thigh)

        parts.append((_UNDER_GARMENT + view.nearness(knee), draw))
    if person.lower == "skirt":
        parts.append((_UNDER_GARMENT / 2, lambda: _skirt(pen, person, view)))
    return parts


def _arms(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> list[Part]:
    parts: list[Part] = []
    for side, phase in ((-1, view.pose.phase + math.pi), (1, view.pose.phase)):
        swing = 0.7 * _STRIDE * math.sin(phase)
        shoulder: Point = (side * person.shoulders * 0.95, 0.0, _SHOULDER - 0.015)
        elbow = _reach(shoulder, _UPPER_ARM, swing)
        hand = _reach(elbow, _FOREARM, swing + 0.35)
        forearm = person.upper_colour if person.sleeves else person.skin

        def draw(
            shoulder: Point = shoulder, elbow: Point = elbow, hand: Point = hand, forearm: Colour = forearm
        ) -> None:
            _limb(pen, view, hand, _reach(hand, 0.03, 0.3), 0.02, 0.016, person.skin)
            _limb(pen, view, elbow, hand, 0.025, 0.02, forearm)
            _limb(pen, view, shoulder, elbow, 0.034, 0.027, person.upper_colour)
            if person.bag == "hand" and hand[0] > 0:
                _box(pen, view, (hand[0], hand[1], hand[2] - 0.1), (0.03, 0.08, 0.055), person.bag_colour)

        parts.append((view.nearness(elbow) * 1.5, draw))
    return parts


def _torso(image: Image.Image, pen: ImageDraw.ImageDraw, person: Appearance, cloth: Image.Image, view: _View) -> None:
    def edge(half: float, up: float) -> tuple[float, float]:
        seen = math.hypot(half * math.cos(view.pose.facing), _DEPTH_OF_BODY * math.sin(view.pose.facing))
        return seen * view.scale, view.at((0.0, 0.0, up))[1]

    flare = person.waist * (1.12 if person.hem < 0.45 else 1.0)
    middle = view.at((0.0, 0.0, _HIP))[0]
    profile = ((person.shoulders * 0.5, 0.85), (person.shoulders * 0.97, 0.825), (person.shoulders, 0.79))
    outline = [edge(*level) for level in (*profile, (person.waist, 0.62), (flare, person.hem))]
    points = [(middle + half, y) for half, y in outline] + [(middle - half, y) for half, y in reversed(outline)]
    left, right = math.floor(min(x for x, _ in points)), math.ceil(max(x for x, _ in points))
    top, bottom = math.floor(outline[0][1]), math.ceil(outline[-1][1])
    size = (max(1, right - left), max(1, bottom - top))
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in points], fill=1)
    image.paste(cloth.resize(size, Image.Resampling.NEAREST), (left, top), mask)
    if person.pattern == "print" and math.cos(view.pose.facing) > 0.2:
        _box(pen, view, (0.0, _DEPTH_OF_BODY, 0.72), (person.shoulders * 0.45, 0.005, 0.045), person.second_colour)


def _skirt(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> None:
    sway = 0.02 * math.sin(view.pose.phase * 2)
    waist, left = view.at((0.0, 0.0, 0.55)), view.at((0.0, 0.0, 0.31))
    half, flare = person.waist * view.scale, (person.waist * 1.35 + sway) * view.scale
    outline = [
        (waist[0] - half, waist[1]),
        (waist[0] + half, waist[1]),
        (left[0] + flare, left[1]),
        (left[0] - flare, left[1]),
    ]
    pen.polygon(outline, fill=person.lower_colour)


def _head(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> None:
    _limb(pen, view, (0.0, 0.0, 0.82), (0.0, 0.01, 0.87), 0.032, 0.028, person.skin)
    x, y = view.at((0.0, 0.01, _HEAD))
    wide, tall = _HEAD_WIDTH * view.scale, _HEAD_HEIGHT * view.scale
    to_camera, to_right = math.cos(view.pose.facing), math.sin(view.pose.facing)
    covering = person.skin if person.hair in ("bald", "cap") else person.hair_colour
    _ellipse(pen, x, y, wide * 1.06, tall * 1.04, covering)
    if to_camera > -0.35:
        narrow = 0.62 + 0.26 * max(0.0, to_camera)
        _ellipse(pen, x + to_right * wide * 0.4, y + tall * 0.2, wide * narrow, tall * 0.82, person.skin)
    if person.hair == "cap":
        dome = (x - wide * 1.12, y - tall * 1.12, x + wide * 1.12, y + tall * 0.7)
        pen.pieslice(dome, 180, 360, fill=person.hair_colour)
        if to_camera > -0.5:
            brim = x + to_right * wide * 1.2
            _ellipse(
                pen, brim, y - tall * 0.2, wide * (0.5 + 0.4 * max(0.0, to_camera)), tall * 0.14, person.hair_colour
            )


def _long_hair(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> None:
    _limb(
        pen, view, (0.0, -0.03, _HEAD), (0.0, -0.055, 0.77), _HEAD_WIDTH * 1.05, _HEAD_WIDTH * 0.9, person.hair_colour
    )


def _bag(pen: ImageDraw.ImageDraw, person: Appearance, view: _View) -> list[Part]:
    colour, strap = person.bag_colour, _darker(person.bag_colour)
    if person.bag == "backpack":
        centre: Point = (0.0, -_DEPTH_OF_BODY - 0.045, 0.7)
        front = [((side * 0.065, 0.07, 0.83), (side * 0.075, 0.07, 0.62)) for side in (-1, 1)]
        parts: list[Part] = [(view.nearness(centre), lambda: _box(pen, view, centre, (0.095, 0.05, 0.11), colour))]

        def straps() -> None:
            for top, bottom in front:
                _limb(pen, view, top, bottom, 0.012, 0.012, strap)

        if math.cos(view.pose.facing) > 0:
            parts.append((0.004, straps))
        return parts
    if person.bag == "shoulder":
        hip: Point = (person.waist + 0.03, 0.0, 0.5)
        forward = math.copysign(_DEPTH_OF_BODY, math.cos(view.pose.facing))

        def draw() -> None:
            over: Point = (-person.shoulders * 0.5, forward, 0.83)
            _limb(pen, view, over, (person.waist, forward, 0.55), 0.01, 0.01, strap)
            _box(pen, view, hip, (0.035, 0.08, 0.065), colour)

        return [(max(0.004, view.nearness(hip) + 0.01), draw)]
    return []


def _limb(
    pen: ImageDraw.ImageDraw,
    view: _View,
    start: Point,
    end: Point,
    start_radius: float,
    end_radius: float,
    colour: Colour,
) -> None:
    """Draw a rod with round ends, its lit side lighter."""
    (ax, ay), (bx, by) = view.at(start), view.at(end)
    length = math.hypot(bx - ax, by - ay) or 1.0
    across, down = (by - ay) / length, (ax - bx) / length
    for share, shift, paint in ((1.0, 0.0, _darker(colour)), (0.78, -0.2, colour)):
        a, b = start_radius * view.scale * share, end_radius * view.scale * share
        move = shift * start_radius * view.scale
        x0, x1 = ax + move, bx + move
        corners = [(x0 + across * a, ay + down * a), (x1 + across * b, by + down * b)]
        pen.polygon([*corners, (x1 - across * b, by - down * b), (x0 - across * a, ay - down * a)], fill=paint)
        _ellipse(pen, x0, ay, a, a, paint)
        _ellipse(pen, x1, by, b, b, paint)


def _box(pen: ImageDraw.ImageDraw, view: _View, centre: Point, half: Point, colour: Colour) -> None:
    """Draw a box with half sizes right, forward, up, as the rectangle that it fills in the picture."""
    x, y = view.at(centre)
    facing = view.pose.facing
    wide = (abs(half[0] * math.cos(facing)) + abs(half[1] * math.sin(facing))) * view.scale
    tall = half[2] * view.scale
    pen.rounded_rectangle(
        (x - wide, y - tall, x + wide, y + tall), wide * 0.25, fill=colour, outline=_darker(colour), width=2
    )


def _ellipse(pen: ImageDraw.ImageDraw, x: float, y: float, wide: float, tall: float, colour: Colour) -> None:
    pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=colour)


def _reach(start: Point, length: float, angle: float) -> Point:
    """Return the end of a limb that hangs from `start`, swung forward by `angle` radians."""
    return start[0], start[1] + length * math.sin(angle), start[2] - length * math.cos(angle)


def _lowered(point: Point, drop: float) -> Point:
    return point[0], point[1], point[2] - drop


def _darker(colour: Colour) -> Colour:
    return int(colour[0] * _SHADE), int(colour[1] * _SHADE), int(colour[2] * _SHADE)
