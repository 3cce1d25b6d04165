"""The head of a drawn person: skull, face, hair and what is worn over it, as seen from one side."""

import math

from model.data.appearance import Appearance, Colour
from model.data.brush import Brush, darker

_MIDDLE, _WIDTH, _HEIGHT = 0.92, 0.05, 0.066
_HOOD = 1.22


def draw_head(brush: Brush, person: Appearance) -> None:
    """Draw neck, face, short hair and headwear; hair that hangs is `draw_long_hair`."""
    body, head, lean = person.body, person.head, person.gait.lean
    to_camera, to_right = math.cos(brush.view.pose.facing), math.sin(brush.view.pose.facing)
    nape = 0.81 if to_camera > 0 else 0.84
    brush.rod((((0.0, lean, nape), 0.034), ((0.0, lean + 0.01, 0.87), 0.03)), body.skin)
    x, y = brush.view.at((0.0, lean + 0.015, _MIDDLE))
    wide, tall = _WIDTH * body.head * brush.view.scale, _HEIGHT * body.head * brush.view.scale
    covered = {"hood": person.clothes.upper_colour, "scarf": head.wears_colour}.get(head.wears)
    if covered:
        _covering(brush, (x, y), wide, tall, covered, long=head.wears == "scarf")
    elif head.hair == "curls" and head.wears == "none":
        brush.oval((x - to_right * wide * 0.15, y - tall * 0.15), wide * 1.5, tall * 1.32, head.hair_colour)
    else:
        brush.oval((x, y), wide, tall * 1.02, darker(body.skin))
    if not covered and head.hair not in ("curls", "bald"):
        hangs = head.hair in ("bob", "long")
        until = 0.85 if hangs else 0.2 - 0.5 * to_camera
        back = x - to_right * wide * 0.14
        brush.oval((back, y), wide * (1.2 if hangs else 1.1), tall * 1.08, darker(head.hair_colour), until=until)
        brush.oval((back, y - tall * 0.06), wide * 0.95, tall * 0.96, head.hair_colour, until=until - 0.15)
    if to_camera > -0.4:
        narrow = wide * (0.6 + 0.26 * max(0.0, to_camera))
        _face(brush, person, (x + to_right * wide * 0.42, y + tall * 0.2), narrow, tall * 0.82)
    if head.wears in ("cap", "beanie"):
        crown = tall * (1.12 if head.wears == "cap" else 1.22)
        brush.oval((x, y - tall * 0.1), wide * 1.16, crown, head.wears_colour, until=0.0)
        if head.wears == "beanie":
            brush.oval((x, y - tall * 0.12), wide * 1.16, tall * 0.2, darker(head.wears_colour))
        elif to_camera > -0.5:
            brim = wide * (0.5 + 0.45 * max(0.0, to_camera))
            brush.oval((x + to_right * wide * 1.15, y - tall * 0.14), brim, tall * 0.15, darker(head.wears_colour))


def draw_long_hair(brush: Brush, person: Appearance) -> None:
    """Draw hair that hangs down the back, loose or in a tail."""
    thick = _WIDTH * person.body.head * (1.12 if person.head.hair == "long" else 0.42)
    back = -0.03 if person.head.hair == "long" else -0.055
    end = 0.76 if person.head.hair == "long" else 0.8
    brush.rod((((0.0, back, _MIDDLE), thick), ((0.0, back - 0.025, end), thick * 0.85)), person.head.hair_colour)


def _covering(brush: Brush, at: tuple[float, float], wide: float, tall: float, colour: Colour, *, long: bool) -> None:
    x, y = at
    brush.oval((x, y), wide * _HOOD, tall * _HOOD, darker(colour))
    brush.oval((x, y - tall * 0.1), wide * 1.05, tall * 1.05, colour)
    brush.oval((x, y + tall * 1.15), wide * (1.5 if long else 1.3), tall * (0.8 if long else 0.5), colour)


def _face(brush: Brush, person: Appearance, at: tuple[float, float], wide: float, tall: float) -> None:
    x, y = at
    skin = person.body.skin
    brush.oval(at, wide, tall, skin)
    shade: Colour = darker(skin)
    if person.head.beard:
        brush.oval((x, y + tall * 0.64), wide * 0.74, tall * 0.36, person.head.hair_colour)
    else:
        brush.oval((x, y + tall * 0.5), wide * 0.35, tall * 0.08, shade)
    eyes = ((30, 30, 32), 0.15) if person.head.glasses else (shade, 0.07)
    brush.oval((x, y - tall * 0.12), wide * 0.8, tall * eyes[1], eyes[0])
