"""What one passing shows of a person: posture, perspective and light change what could be measured.

A real crop gives nobody's shoulders to the millimetre and no garment's colour to the shade. Whoever learns from people
who are drawn alike every time learns to measure both, and finds nobody on a street.
"""

from dataclasses import replace

import numpy as np

from model.data.appearance import Appearance, Colour


def on_occasion(person: Appearance, rng: np.random.Generator, difficulty: float = 1.0) -> Appearance:
    """Vary a person as one passing does.

    Args:
        person: as chosen.
        rng: of the passing.
        difficulty: 1 is a street; at 0 the person is seen exactly as chosen.
    """

    def scaled(value: float, spread: float) -> float:
        return value * float(np.exp(rng.normal(0, spread * difficulty)))

    light = rng.normal(0, 0.08 * difficulty, 3)

    def seen(colour: Colour) -> Colour:
        # Each garment reflects its own share of sky and ground.
        factor = np.exp(rng.normal(0, 0.13 * difficulty) + 0.5 * light + rng.normal(0, 0.04 * difficulty, 3))
        values = np.clip(np.array(colour) * factor + rng.normal(0, 7 * difficulty, 3), 4, 250)
        return int(values[0]), int(values[1]), int(values[2])

    body, head, clothes, bag, gait = person.body, person.head, person.clothes, person.bag, person.gait
    width = scaled(1, 0.09)
    body = replace(
        body,
        shoulders=scaled(body.shoulders * width, 0.04),
        waist=scaled(body.waist * width, 0.05),
        hips=scaled(body.hips * width, 0.05),
        depth=scaled(body.depth * width, 0.08),
        legs=scaled(body.legs, 0.025),
        head=scaled(body.head, 0.08),
        girth=scaled(body.girth * width, 0.1),
        skin=seen(body.skin),
    )
    clothes = replace(
        clothes,
        upper_colour=(upper := seen(clothes.upper_colour)),
        sleeve_colour=upper if clothes.sleeve_colour == clothes.upper_colour else seen(clothes.sleeve_colour),
        second=seen(clothes.second),
        inner=seen(clothes.inner),
        lower_colour=seen(clothes.lower_colour),
        shoes=seen(clothes.shoes),
        legwear=None if clothes.legwear is None else seen(clothes.legwear),
        hem=scaled(clothes.hem, 0.025),
        fit=scaled(clothes.fit, 0.08),
    )
    return Appearance(
        body=body,
        head=replace(head, hair_colour=seen(head.hair_colour), wears_colour=seen(head.wears_colour)),
        clothes=clothes,
        bag=replace(bag, colour=seen(bag.colour)),
        gait=replace(
            gait,
            stride=scaled(gait.stride, 0.15),
            arms=scaled(gait.arms, 0.3),
            cadence=scaled(gait.cadence, 0.1),
            lean=gait.lean + float(rng.normal(0, 0.015 * difficulty)),
        ),
    )
