"""To which groups a drawn person belongs, by skin, build, clothing and hair."""

from model.data.appearance import Appearance, Colour

GROUPS: dict[str, tuple[str, ...]] = {
    "skin": ("lightest", "light", "middle", "dark", "darkest"),
    "build": ("slim", "middle", "heavy"),
    "upper garment": ("dark", "grey", "light", "coloured"),
    "lower garment": ("trousers", "shorts", "skirt", "long skirt"),
    "hair": ("short", "bob", "long", "tail", "curls", "bald"),
    "headwear": ("none", "cap", "beanie", "hood", "scarf"),
}
"""The groups of each trait, in the order in which they are told."""

_TERCILE = 0.4307
"""A third of a normal distribution lies above it, and a third below its negative."""
_DARK, _LIGHT = 80, 160
"""Brightness, 0 to 255: black and navy are below the one; white, beige and pink above the other."""
_COLOURED = 45
"""Between a colour's highest and lowest channel; greys have less."""


def groups_of(person: Appearance) -> dict[str, str]:
    """Return the person's group for every trait of `GROUPS`.

    Skin is cut into five bands of one width, build into thirds of what is drawn. What the hair is like is told of those
    too whose headwear hides it.
    """
    bands, (slim, middle, heavy) = GROUPS["skin"], GROUPS["build"]
    weight = person.body.weight
    return {
        "skin": bands[min(int(person.body.tone * len(bands)), len(bands) - 1)],
        "build": slim if weight < -_TERCILE else heavy if weight > _TERCILE else middle,
        "upper garment": _shade(person.clothes.upper_colour),
        "lower garment": person.clothes.lower,
        "hair": person.head.hair,
        "headwear": person.head.wears,
    }


def _shade(colour: Colour) -> str:
    dark, grey, light, coloured = GROUPS["upper garment"]
    # What is dark keeps little of its colour before a camera; navy counts as dark.
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    if brightness < _DARK:
        return dark
    if max(colour) - min(colour) >= _COLOURED:
        return coloured
    return light if brightness >= _LIGHT else grey
