"""What differs when a drawn person passes again, and what does not."""

import numpy as np

from model.data.appearance import draw_appearance
from model.data.occasion import on_occasion


def test_without_difficulty_a_person_is_seen_as_chosen() -> None:
    person = draw_appearance(5)
    assert on_occasion(person, np.random.default_rng(1), difficulty=0) == person


def test_garments_stay_the_same_and_measures_and_colours_vary() -> None:
    person = draw_appearance(5)
    seen = [on_occasion(person, np.random.default_rng(seed)) for seed in range(60)]
    kinds = {(one.clothes.upper, one.clothes.pattern, one.clothes.lower, one.head.hair, one.bag.kind) for one in seen}
    assert len(kinds) == 1
    widths = np.log([one.body.shoulders / person.body.shoulders for one in seen])
    assert 0.05 < widths.std() < 0.2
    assert abs(widths.mean()) < 0.05
    colours = np.array([one.clothes.lower_colour for one in seen], dtype=float)
    assert (colours.std(axis=0) > 3).all()
    assert np.abs(colours.mean(axis=0) - person.clothes.lower_colour).max() < 15


def test_passings_differ_less_than_people() -> None:
    def colours(person: int, occasion: int) -> np.ndarray:
        clothes = on_occasion(draw_appearance(person), np.random.default_rng([person, occasion])).clothes
        return np.array([*clothes.upper_colour, *clothes.lower_colour, *clothes.shoes], dtype=float)

    rows = np.array([[colours(person, occasion) for occasion in range(2)] for person in range(60)])
    same = np.linalg.norm(rows[:, 0] - rows[:, 1], axis=1)
    others = np.linalg.norm(rows[:, 0] - np.roll(rows[:, 1], 1, axis=0), axis=1)
    assert same.mean() < 0.5 * others.mean()
