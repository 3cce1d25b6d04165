"""What a drawn person looks like, chosen by a seed and the same under every camera and in every pose.

Body, head, clothes, bag and gait come from separate random streams, so that none of them gives away another: skin says
nothing about clothes. Shares of colours and garments are those of a street, where most wear black, grey and blue; the
shares were set by eye, not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Colour = tuple[int, int, int]
Hair = Literal["short", "bob", "long", "tail", "curls", "bald"]
Headwear = Literal["none", "cap", "beanie", "hood", "scarf"]
Pattern = Literal["plain", "stripes", "checks", "print", "yoke", "band"]
Upper = Literal["shirt", "open jacket", "closed jacket", "coat"]
Sleeves = Literal["none", "short", "long"]
Lower = Literal["trousers", "shorts", "skirt", "long skirt"]
BagKind = Literal["none", "backpack", "crossbody", "tote", "hand", "trolley"]
Choice = TypeVar("Choice", bound=str)
Palette = tuple[tuple[float, Colour], ...]

_SKIN: tuple[Colour, ...] = ((246, 216, 194), (230, 188, 154), (200, 150, 112), (148, 100, 70), (92, 62, 46))
_HAIR: Palette = (
    (0.40, (26, 22, 22)),
    (0.26, (58, 40, 30)),
    (0.13, (104, 72, 46)),
    (0.10, (188, 156, 100)),
    (0.08, (158, 156, 154)),
    (0.03, (136, 62, 34)),
)
_UPPER: Palette = (
    (0.24, (30, 30, 33)),
    (0.10, (70, 72, 76)),
    (0.09, (132, 134, 136)),
    (0.12, (226, 226, 222)),
    (0.12, (34, 44, 78)),
    (0.07, (66, 106, 160)),
    (0.06, (176, 158, 128)),
    (0.05, (168, 36, 42)),
    (0.04, (74, 84, 54)),
    (0.03, (48, 122, 84)),
    (0.03, (214, 150, 160)),
    (0.02, (222, 180, 56)),
    (0.02, (206, 104, 40)),
    (0.01, (104, 66, 130)),
)
_LOWER: Palette = (
    (0.22, (52, 66, 100)),
    (0.10, (104, 130, 164)),
    (0.30, (30, 30, 34)),
    (0.10, (72, 74, 80)),
    (0.07, (30, 38, 66)),
    (0.08, (172, 152, 122)),
    (0.05, (136, 136, 138)),
    (0.04, (216, 214, 208)),
    (0.03, (86, 84, 60)),
    (0.01, (140, 44, 50)),
)
_SHOES: Palette = (
    (0.42, (26, 26, 28)),
    (0.30, (222, 222, 220)),
    (0.11, (96, 66, 44)),
    (0.10, (120, 120, 124)),
    (0.03, (170, 44, 46)),
    (0.04, (44, 72, 130)),
)
_BAG: Palette = (
    (0.42, (28, 28, 30)),
    (0.15, (74, 76, 82)),
    (0.12, (34, 44, 76)),
    (0.12, (112, 76, 48)),
    (0.06, (214, 206, 190)),
    (0.05, (172, 42, 46)),
    (0.04, (52, 112, 84)),
    (0.04, (216, 164, 52)),
)


@dataclass(frozen=True)
class Body:
    """Build, in fractions of the standing height: half widths, half depth, height of the hips, size of the head.

    Attributes:
        weight: how heavy the build is, 0 the middle, in standard deviations of what is drawn.
        tone: place of the skin between the lightest, 0, and the darkest, 1.
    """

    shoulders: float
    waist: float
    hips: float
    depth: float
    legs: float
    head: float
    girth: float
    skin: Colour
    weight: float
    tone: float


@dataclass(frozen=True)
class Head:
    """Hair and what is worn on the head."""

    hair: Hair
    hair_colour: Colour
    beard: bool
    glasses: bool
    wears: Headwear
    wears_colour: Colour


@dataclass(frozen=True)
class Clothes:
    """Garments.

    Attributes:
        second: the other colour of a pattern.
        inner: what an open jacket shows.
        count: how often a pattern repeats.
        hem: height at which the upper garment ends, a fraction of the standing height.
        fit: factor of the width of trousers.
        legwear: colour of the legs below shorts or a skirt; None is bare skin.
    """

    upper: Upper
    upper_colour: Colour
    second: Colour
    inner: Colour
    pattern: Pattern
    count: int
    print_on_back: bool
    sleeves: Sleeves
    sleeve_colour: Colour
    hem: float
    lower: Lower
    lower_colour: Colour
    fit: float
    side_stripe: bool
    legwear: Colour | None
    shoes: Colour


@dataclass(frozen=True)
class Bag:
    """What is carried, and on which side: -1 left, 1 right."""

    kind: BagKind
    colour: Colour
    side: int


@dataclass(frozen=True)
class Gait:
    """How the person walks: radians of swing, radians of the cycle in one frame, forward lean, distance of the feet."""

    stride: float
    arms: float
    cadence: float
    lean: float
    stance: float


@dataclass(frozen=True)
class Appearance:
    """One person."""

    body: Body
    head: Head
    clothes: Clothes
    bag: Bag
    gait: Gait


def draw_appearance(identity_seed: int) -> Appearance:
    """Choose how the person `identity_seed` (>= 0) looks and walks."""
    body, head, clothes, bag, gait = (np.random.default_rng([0x1D, part, identity_seed]) for part in range(5))
    return Appearance(_body(body), _head(head), _clothes(clothes), _bag(bag), _gait(gait))


def _body(rng: np.random.Generator) -> Body:
    weight = float(np.clip(rng.normal(0, 1), -1.8, 2.5))
    shoulders = float(rng.uniform(0.112, 0.14)) + 0.006 * weight
    tone = float(rng.uniform(0, len(_SKIN) - 1))
    return Body(
        shoulders=shoulders,
        waist=0.092 + 0.013 * weight,
        hips=float(rng.uniform(0.094, 0.11)) + 0.009 * weight,
        depth=0.066 + 0.011 * weight,
        legs=float(rng.uniform(0.495, 0.54)),
        head=float(rng.uniform(0.92, 1.12)),
        girth=0.044 + 0.005 * weight,
        skin=_between(_SKIN[int(tone)], _SKIN[min(int(tone) + 1, len(_SKIN) - 1)], tone % 1),
        weight=weight,
        tone=tone / (len(_SKIN) - 1),
    )


def _head(rng: np.random.Generator) -> Head:
    return Head(
        hair=_pick(rng, {"short": 0.44, "bob": 0.12, "long": 0.18, "tail": 0.11, "curls": 0.07, "bald": 0.08}),
        hair_colour=_dye(rng, _HAIR),
        beard=bool(rng.random() < 0.14),
        glasses=bool(rng.random() < 0.2),
        wears=_pick(rng, {"none": 0.76, "cap": 0.11, "beanie": 0.06, "hood": 0.03, "scarf": 0.04}),
        wears_colour=_dye(rng, _UPPER),
    )


def _clothes(rng: np.random.Generator) -> Clothes:
    upper: Upper = _pick(rng, {"shirt": 0.55, "open jacket": 0.17, "closed jacket": 0.18, "coat": 0.1})
    patterns: dict[Pattern, float] = {
        "plain": 0.46,
        "stripes": 0.13,
        "checks": 0.09,
        "print": 0.17,
        "yoke": 0.09,
        "band": 0.06,
    }
    sleeves: dict[Sleeves, float] = {"none": 0.07, "short": 0.5, "long": 0.43}
    colour, second = _dye(rng, _UPPER), _dye(rng, _UPPER)
    if upper != "shirt":
        patterns, sleeves = {"plain": 0.72, "yoke": 0.16, "band": 0.12}, {"long": 1.0}
    hem = {"shirt": rng.uniform(0.46, 0.5), "coat": rng.uniform(0.26, 0.38)}.get(upper, rng.uniform(0.44, 0.51))
    return Clothes(
        upper=upper,
        upper_colour=colour,
        second=_apart(second, colour),
        inner=_apart(_dye(rng, _UPPER), colour),
        pattern=_pick(rng, patterns),
        count=int(rng.integers(3, 9)),
        print_on_back=bool(rng.random() < 0.35),
        sleeves=_pick(rng, sleeves),
        sleeve_colour=second if rng.random() < 0.08 else colour,
        hem=float(hem),
        lower=_pick(rng, {"trousers": 0.72, "shorts": 0.12, "skirt": 0.1, "long skirt": 0.06}),
        lower_colour=_dye(rng, _LOWER) if rng.random() < 0.92 else _dye(rng, _UPPER),
        fit=float(rng.choice([0.86, 1.0, 1.3], p=[0.35, 0.45, 0.2])),
        side_stripe=bool(rng.random() < 0.1),
        legwear=_dye(rng, _LOWER) if rng.random() < 0.3 else None,
        shoes=_dye(rng, _SHOES),
    )


def _bag(rng: np.random.Generator) -> Bag:
    shares: dict[BagKind, float] = {
        "none": 0.42,
        "backpack": 0.22,
        "crossbody": 0.13,
        "tote": 0.1,
        "hand": 0.09,
        "trolley": 0.04,
    }
    return Bag(_pick(rng, shares), _dye(rng, _BAG), int(rng.choice([-1, 1])))


def _gait(rng: np.random.Generator) -> Gait:
    return Gait(
        stride=float(rng.uniform(0.3, 0.52)),
        arms=float(rng.uniform(0.1, 0.42)),
        cadence=float(rng.uniform(0.34, 0.52)),
        lean=float(rng.uniform(-0.01, 0.05)),
        stance=float(rng.uniform(0.035, 0.06)),
    )


def _pick(rng: np.random.Generator, shares: Mapping[Choice, float]) -> Choice:
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))]


def _dye(rng: np.random.Generator, palette: Palette) -> Colour:
    """Pick a colour of the palette and vary it: no two dark jackets have quite the same black."""
    base = palette[rng.choice(len(palette), p=[share for share, _ in palette])][1]
    values = np.clip(np.array(base) * np.exp(rng.normal(0, 0.16)) + rng.normal(0, 6, 3), 8, 244)
    return int(values[0]), int(values[1]), int(values[2])


def _apart(colour: Colour, other: Colour) -> Colour:
    """Return `colour`, or white or black where it could hardly be seen beside `other`."""
    if sum(abs(a - b) for a, b in zip(colour, other, strict=True)) > 130:
        return colour
    return (222, 222, 220) if sum(other) < 400 else (36, 36, 40)


def _between(first: Colour, second: Colour, share: float) -> Colour:
    values = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return values[0], values[1], values[2]
