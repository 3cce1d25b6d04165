"""The shapes of which a drawn person is made: rods, tubes of cloth, boxes and ovals, lit from one side."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.data.appearance import Colour
from model.data.clothing import AROUND, Texture
from model.data.skeleton import Point, View

_SHADE = 0.72
_COLUMNS = 40
_THIN = 2.5
_ANGLES = np.arcsin(np.linspace(-0.98, 0.98, _COLUMNS))

Level = tuple[float, float, float, float]
"""One height of a tube: half its width, half its depth, its height, how far forward its middle is."""


class Brush:
    """Draws shapes of a body into an RGBA layer.

    Args:
        layer: what is drawn into; where nothing is drawn it stays as it is.
        view: places body points in the layer.
        light: the side from which light comes, -1 left to 1 right.
    """

    def __init__(self, layer: Image.Image, view: View, light: float) -> None:
        self.view = view
        self._layer = layer
        self._pen = ImageDraw.Draw(layer)
        self._light = light
        lit = np.clip(np.cos(_ANGLES - light), 0, 1)
        self._shading = (0.55 + 0.45 * lit).astype(np.float32)[None, :, None]
        columns = (view.pose.facing - _ANGLES) / (2 * math.pi) + 0.5
        self._columns = (columns * AROUND).astype(int) % AROUND

    def rod(self, joints: Sequence[tuple[Point, float]], colour: Colour) -> None:
        """Draw a chain of joints with their radii as rods with round ends, dark on the side away from the light."""
        scale = self.view.scale
        seen = [(*self.view.at(point), radius * scale) for point, radius in joints]
        tones = ((1.0, 0.0, darker(colour)), (0.76, 0.22 * self._light, colour))
        # A strap of few pixels has no side that could lie in the dark.
        for share, shift, paint in tones if seen[0][2] > _THIN else ((1.0, 0.0, colour),):
            for x, y, radius in seen:
                x, radius = x + shift * radius, radius * share
                self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint)
            for (ax, ay, a), (bx, by, b) in itertools.pairwise(seen):
                length = math.hypot(bx - ax, by - ay)
                if length < 1:
                    continue
                across, down = (by - ay) / length * share, (ax - bx) / length * share
                ax, bx = ax + shift * a, bx + shift * b
                self._pen.polygon(
                    (
                        (ax + across * a, ay + down * a),
                        (bx + across * b, by + down * b),
                        (bx - across * b, by - down * b),
                        (ax - across * a, ay - down * a),
                    ),
                    fill=paint,
                )

    def tube(self, levels: Sequence[Level], texture: Texture) -> None:
        """Draw cloth around the body between the first level, on top, and the last."""
        facing, scale = self.view.pose.facing, self.view.scale
        wide, deep = math.cos(facing), math.sin(facing)
        outline = []
        for half, depth, up, forward in levels:
            x, y = self.view.at((0.0, forward, up))
            outline.append((x, y, math.hypot(half * wide, depth * deep) * scale))
        left = math.floor(min(x - half for x, _, half in outline))
        top, bottom = math.floor(outline[0][1]), math.ceil(outline[-1][1])
        size = (math.ceil(max(x + half for x, _, half in outline)) - left, bottom - top)
        if min(size) < 2:
            return
        edge = [(x - left + half, y - top) for x, y, half in outline]
        edge += [(x - left - half, y - top) for x, y, half in reversed(outline)]
        mask = Image.new("1", size)
        ImageDraw.Draw(mask).polygon(edge, fill=1)
        cloth = Image.fromarray((texture.take(self._columns, axis=1) * self._shading).astype(np.uint8))
        self._layer.paste(cloth.resize(size, Image.Resampling.NEAREST), (left, top), mask)

    def box(self, centre: Point, half: Point, colour: Colour) -> None:
        """Draw a box with half sizes right, forward, up, as the rectangle that it fills in the picture."""
        x, y = self.view.at(centre)
        facing, scale = self.view.pose.facing, self.view.scale
        wide = (abs(half[0] * math.cos(facing)) + abs(half[1] * math.sin(facing))) * scale
        tall = half[2] * scale
        frame = (x - wide, y - tall, x + wide, y + tall)
        self._pen.rounded_rectangle(frame, wide * 0.3, fill=darker(colour))
        inner = (x - wide * 0.8, y - tall * 0.8, x + wide * 0.8, y + tall * 0.5)
        self._pen.rectangle(inner, fill=colour)

    def oval(self, at: tuple[float, float], wide: float, tall: float, colour: Colour, *, until: float = 1.0) -> None:
        """Draw an ellipse around the pixel `at` with half sizes in pixels, down to a part of it.

        Args:
            until: 1 draws the whole ellipse, 0 the upper half, -1 nothing.
        """
        x, y = at
        frame = (x - wide, y - tall, x + wide, y + tall)
        if until >= 1:
            self._pen.ellipse(frame, fill=colour)
        else:
            cut = math.degrees(math.asin(until))
            self._pen.chord(frame, 180 - cut, 360 + cut, fill=colour)


def darker(colour: Colour) -> Colour:
    """Return the colour where light does not fall."""
    return int(colour[0] * _SHADE), int(colour[1] * _SHADE), int(colour[2] * _SHADE)
