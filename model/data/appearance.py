"""What a drawn person looks like, chosen by a seed and the same under every camera and in every pose."""

import colorsys
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Colour = tuple[int, int, int]
Hair = Literal["short", "long", "bald", "cap"]
Pattern = Literal["plain", "stripes", "halves", "checks", "print"]
Lower = Literal["trousers", "shorts", "skirt"]
Bag = Literal["none", "backpack", "shoulder", "hand"]
Choice = TypeVar("Choice", bound=str)

_SKIN: tuple[Colour, ...] = ((245, 214, 190), (228, 184, 148), (196, 144, 104), (146, 98, 66), (94, 62, 44))
_HAIR: tuple[Colour, ...] = ((28, 24, 22), (60, 40, 28), (108, 72, 42), (188, 152, 92), (150, 148, 146), (140, 60, 32))
_SHOES: tuple[Colour, ...] = ((24, 24, 26), (84, 56, 36), (226, 226, 224), (150, 40, 44))
_MUTED_CLOTHES = 0.4
"""Share of garments that are black, grey or white: crowds wear mostly those, and they are what makes people alike."""


@dataclass(frozen=True)
class Appearance:
    """One person. Lengths are fractions of the standing height of an average person.

    Attributes:
        height: standing height, about 1.
        shoulders: half the width of the shoulders.
        waist: half the width of the waist; with the shoulders it makes the build.
        sleeves: whether the upper garment covers the arms.
        hem: height at which the upper garment ends.
    """

    height: float
    shoulders: float
    waist: float
    skin: Colour
    hair: Hair
    hair_colour: Colour
    upper_colour: Colour
    second_colour: Colour
    pattern: Pattern
    sleeves: bool
    hem: float
    lower: Lower
    lower_colour: Colour
    shoes: Colour
    bag: Bag
    bag_colour: Colour


def draw_appearance(identity_seed: int) -> Appearance:
    """Choose how the person `identity_seed` (>= 0) looks."""
    rng = np.random.default_rng([0x1D, identity_seed])
    hair: Hair = _pick(rng, ("short", "long", "bald", "cap"), (0.45, 0.3, 0.1, 0.15))
    return Appearance(
        height=float(rng.uniform(0.9, 1.03)),
        shoulders=float(rng.uniform(0.1, 0.14)),
        waist=float(rng.uniform(0.075, 0.13)),
        skin=_SKIN[rng.integers(len(_SKIN))],
        hair=hair,
        hair_colour=_garment(rng) if hair == "cap" else _HAIR[rng.integers(len(_HAIR))],
        upper_colour=_garment(rng),
        second_colour=_garment(rng),
        pattern=_pick(rng, ("plain", "stripes", "halves", "checks", "print"), (0.4, 0.15, 0.15, 0.1, 0.2)),
        sleeves=bool(rng.random() < 0.6),
        hem=float(rng.choice([0.5, 0.47, 0.36], p=[0.5, 0.35, 0.15])),
        lower=_pick(rng, ("trousers", "shorts", "skirt"), (0.65, 0.2, 0.15)),
        lower_colour=_garment(rng),
        shoes=_SHOES[rng.integers(len(_SHOES))],
        bag=_pick(rng, ("none", "backpack", "shoulder", "hand"), (0.4, 0.25, 0.2, 0.15)),
        bag_colour=_garment(rng),
    )


def _pick(rng: np.random.Generator, values: tuple[Choice, ...], shares: tuple[float, ...]) -> Choice:
    return values[rng.choice(len(values), p=shares)]


def _garment(rng: np.random.Generator) -> Colour:
    if rng.random() < _MUTED_CLOTHES:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.12), rng.choice([0.12, 0.3, 0.55, 0.9])
    else:
        hue, saturation, value = rng.random(), rng.uniform(0.45, 0.9), rng.uniform(0.35, 0.9)
    red, green, blue = colorsys.hsv_to_rgb(float(hue), float(saturation), float(value))
    return round(red * 255), round(green * 255), round(blue * 255)
