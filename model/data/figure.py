"""A walking person, drawn with Pillow from the farthest part to the nearest."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops

from model.data.appearance import Appearance, Gait
from model.data.brush import Brush, Level
from model.data.clothing import Texture, folds, plain, weave
from model.data.face import draw_head, draw_long_hair
from model.data.skeleton import SHOULDER, Point, Pose, Skeleton, View, stand

_UNDER_GARMENT = -1.0
"""Added to the nearness of the legs: coat and skirt hang over them, whichever leg is in front."""

Part = tuple[float, Callable[[], None]]


@dataclass(frozen=True)
class Figure:
    """A person ready to be drawn often.

    Attributes:
        upper: unrolled upper garment.
        lower: unrolled skirt or seat of the trousers.
        gait: what the clothes leave of the person's gait.
        folds: how cloth and light fall on this occasion, by the size of the layer.
    """

    person: Appearance
    upper: Texture
    lower: Texture
    gait: Gait
    folds: Callable[[int, int], Image.Image]


def dress(person: Appearance, rng: np.random.Generator | None = None, strength: float = 1.0) -> Figure:
    """Make the cloth of a person's clothes, and how it falls.

    Args:
        rng: of one passing; without it cloth always falls the same.
        strength: of folds and shade.
    """
    seed = 0 if rng is None else int(rng.integers(1 << 62))

    @functools.lru_cache(maxsize=2)
    def falls(width: int, height: int) -> Image.Image:
        return folds(width, height, np.random.default_rng(seed), strength)

    gait = person.gait
    if person.clothes.lower == "long skirt":
        gait = replace(gait, stride=gait.stride * 0.5)
    return Figure(person, weave(person.clothes), plain(person.clothes.lower_colour), gait, falls)


def draw_person(
    image: Image.Image, figure: Figure, pose: Pose, foot: tuple[float, float], height: float, light: float = 0.0
) -> None:
    """Draw a person into the RGB `image`.

    Args:
        foot: x and y of the ground between the feet, pixels.
        height: pixels of the standing height.
        light: the side from which light comes, -1 left to 1 right.
    """
    person = figure.person
    # Arms, bags and strides reach no farther than this to either side; the layer is no larger than what they need.
    reach, below = math.ceil(height * 0.34), math.ceil(height * 0.09)
    size = (2 * reach, math.ceil(height * 1.06) + below)
    layer = Image.new("RGBA", size)
    skeleton = stand(person.body, figure.gait, pose)
    view = View(pose, height, (reach, size[1] - below + skeleton.drop * height))
    brush = Brush(layer, view, light)
    parts = [
        *_legs(brush, figure, skeleton),
        *_arms(brush, person, skeleton),
        (0.0, lambda: _torso(brush, figure)),
        (0.005, lambda: draw_head(brush, person)),
        *_bag(brush, person, skeleton),
    ]
    if person.head.hair in ("long", "tail") and person.head.wears not in ("hood", "scarf"):
        parts.append((view.nearness((0.0, -0.05, 0.0)), lambda: draw_long_hair(brush, person)))
    for _, draw in sorted(parts, key=lambda part: part[0]):
        draw()
    drawn = layer.getbbox()
    if drawn is None:
        return
    cloth = ImageChops.multiply(layer.crop(drawn), figure.folds(*size).crop(drawn))
    image.paste(cloth, (round(foot[0]) - reach + drawn[0], round(foot[1]) - size[1] + below + drawn[1]), cloth)


def _legs(brush: Brush, figure: Figure, skeleton: Skeleton) -> list[Part]:
    person = figure.person
    body, clothes = person.body, person.clothes
    bare = clothes.legwear or body.skin
    parts: list[Part] = []
    for side, (hip, knee, ankle, toe) in zip((-1, 1), skeleton.legs, strict=True):

        def draw(
            side: int = side, hip: Point = hip, knee: Point = knee, ankle: Point = ankle, toe: Point = toe
        ) -> None:
            heel: Point = (ankle[0], ankle[1] - 0.012, ankle[2] - 0.016)
            brush.rod(((heel, 0.027), (toe, 0.02)), clothes.shoes)
            thigh, calf, shin = body.girth * 1.45, body.girth * 1.02, body.girth * 0.66
            if clothes.lower == "trousers":
                fit = clothes.fit
                loose = shin * (fit if fit > 1 else 1.0) * fit
                brush.rod(((ankle, loose), (knee, calf * fit), (hip, thigh)), clothes.lower_colour)
                if clothes.side_stripe:
                    out = [(p[0] + side * r * 0.8, p[1], p[2]) for p, r in ((hip, thigh), (knee, calf), (ankle, loose))]
                    brush.rod([(point, 0.008) for point in out], clothes.second)
                return
            brush.rod(((ankle, shin), (knee, calf), (hip, thigh)), bare)
            if clothes.lower == "shorts":
                low = _between(hip, knee, 0.85)
                brush.rod(((low, calf * 1.3), (hip, thigh * 1.05)), clothes.lower_colour)

        parts.append((_UNDER_GARMENT + brush.view.nearness(knee), draw))
    waist: Level = (body.waist, body.depth, 0.6, 0.0)
    sway = 0.012 * math.sin(brush.view.pose.phase * 2)
    if clothes.lower in ("skirt", "long skirt"):
        end, flare = (0.31, 1.22) if clothes.lower == "skirt" else (0.1, 1.4)
        hem: Level = (body.hips * flare + sway, body.depth * 1.5 * flare, end, 0.0)
        levels = [waist, (body.hips, body.depth * 1.1, 0.5, 0.0), hem]
    else:
        levels = [waist, (body.hips, body.depth * 1.1, 0.51, 0.0), (body.hips * 0.86, body.depth, 0.46, 0.0)]
    parts.append((_UNDER_GARMENT / 2, lambda: brush.tube(levels, figure.lower)))
    return parts


def _torso(brush: Brush, figure: Figure) -> None:
    body, clothes, lean = figure.person.body, figure.person.clothes, figure.person.gait.lean
    coat = clothes.upper == "coat"
    loose = 1.0 if clothes.upper == "shirt" else 1.1
    levels: list[Level] = [
        (body.shoulders * 0.45, body.depth * 0.6, SHOULDER + 0.035, lean),
        (body.shoulders * 0.92, body.depth * 0.9, SHOULDER + 0.01, lean),
        (body.shoulders * 1.02, body.depth * loose, SHOULDER - 0.035, lean),
        (body.shoulders * 0.88, body.depth * 1.12 * loose, 0.71, lean * 0.7),
        (body.waist * loose, body.depth * loose, 0.6, 0.0),
        (body.hips * 1.04 * loose, body.depth * 1.18 * loose, 0.5, 0.0),
    ]
    if coat or clothes.hem < 0.5:
        flare = 1.18 if coat else 1.05
        levels.append((body.hips * flare * loose, body.depth * 1.25 * flare, clothes.hem, 0.0))
    brush.tube(levels, figure.upper)


def _arms(brush: Brush, person: Appearance, skeleton: Skeleton) -> list[Part]:
    clothes, skin, girth = person.clothes, person.body.skin, person.body.girth
    loose = 1.0 if clothes.upper == "shirt" else 1.13
    upper, elbow_radius, wrist = girth * 0.98 * loose, girth * 0.75 * loose, girth * 0.6 * loose
    parts: list[Part] = []
    for side, (shoulder, elbow, hand) in zip((-1, 1), skeleton.arms, strict=True):

        def draw(side: int = side, shoulder: Point = shoulder, elbow: Point = elbow, hand: Point = hand) -> None:
            brush.rod(((hand, 0.021),), skin)
            if clothes.sleeves == "long":
                brush.rod(((hand, wrist), (elbow, elbow_radius), (shoulder, upper)), clothes.sleeve_colour)
            else:
                brush.rod(((hand, girth * 0.52), (elbow, girth * 0.68), (shoulder, girth * 0.85)), skin)
            if clothes.sleeves == "short":
                low = _between((elbow[0], *shoulder[1:]), elbow, 0.72)
                brush.rod(((low, girth * 0.92), (shoulder, girth * 1.0)), clothes.sleeve_colour)
            if person.bag.kind == "hand" and side == person.bag.side:
                brush.box((hand[0], hand[1], hand[2] - 0.1), (0.03, 0.085, 0.07), person.bag.colour)

        parts.append((brush.view.nearness(elbow) * 1.5, draw))
    return parts


def _bag(brush: Brush, person: Appearance, skeleton: Skeleton) -> list[Part]:
    bag, body, view = person.bag, person.body, brush.view
    front = math.copysign(body.depth * 1.1, math.cos(view.pose.facing))
    if bag.kind == "backpack":
        centre: Point = (0.0, -body.depth - 0.05, 0.69)
        parts: list[Part] = [(view.nearness(centre), lambda: brush.box(centre, (0.1, 0.055, 0.125), bag.colour))]

        def straps() -> None:
            for side in (-1, 1):
                brush.rod(
                    (((side * 0.065, body.depth, 0.83), 0.014), ((side * 0.08, body.depth, 0.63), 0.014)), bag.colour
                )

        if math.cos(view.pose.facing) > -0.2:
            parts.append((0.004, straps))
        return parts
    if bag.kind == "crossbody":
        hip: Point = (bag.side * (body.hips + 0.03), 0.02, 0.51)

        def slung() -> None:
            brush.rod(
                (((-bag.side * 0.06, front, 0.83), 0.011), ((bag.side * body.waist, front, 0.55), 0.011)), bag.colour
            )
            brush.box(hip, (0.035, 0.085, 0.065), bag.colour)

        return [(max(0.004, view.nearness(hip) + 0.01), slung)]
    if bag.kind == "tote":
        side: Point = (bag.side * (body.shoulders + 0.035), -0.02, 0.57)

        def hanging() -> None:
            brush.rod((((bag.side * body.shoulders * 0.85, 0.0, 0.83), 0.01), (side, 0.01)), bag.colour)
            brush.box(side, (0.032, 0.1, 0.1), bag.colour)

        return [(view.nearness(side) * 1.6, hanging)]
    if bag.kind == "trolley":
        behind: Point = (bag.side * (body.shoulders + 0.04), -0.2, 0.17)
        hand = skeleton.arms[(bag.side + 1) // 2][2]

        def rolling() -> None:
            brush.rod(((hand, 0.008), (behind, 0.008)), (60, 60, 62))
            brush.box(behind, (0.07, 0.05, 0.15), bag.colour)

        return [(_UNDER_GARMENT + view.nearness(behind) if view.nearness(behind) < 0 else 0.1, rolling)]
    return []


def _between(start: Point, end: Point, share: float) -> Point:
    right, forward, up = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return right, forward, up
