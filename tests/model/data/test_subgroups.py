"""Groups of drawn people: everybody has one for each trait, and it is what the drawing was made from."""

from collections import Counter

import numpy as np

from model.data.appearance import draw_appearance
from model.data.subgroups import GROUPS, groups_of

PEOPLE = [draw_appearance(seed) for seed in range(1500)]


def test_everybody_has_a_known_group_of_every_trait_and_no_group_is_empty() -> None:
    found = [groups_of(person) for person in PEOPLE]
    assert all(list(one) == list(GROUPS) for one in found)
    for trait, names in GROUPS.items():
        assert {one[trait] for one in found} == set(names)


def test_skin_is_cut_into_fifths_and_build_into_thirds() -> None:
    for trait in ("skin", "build"):
        shares = Counter(groups_of(person)[trait] for person in PEOPLE)
        assert all(abs(count / len(PEOPLE) - 1 / len(GROUPS[trait])) < 0.05 for count in shares.values())


def test_darker_bands_have_darker_skin_and_heavier_builds_wider_waists() -> None:
    skin = [
        np.mean([sum(one.body.skin) for one in PEOPLE if groups_of(one)["skin"] == band]) for band in GROUPS["skin"]
    ]
    assert skin == sorted(skin, reverse=True)
    waists = [max(one.body.waist for one in PEOPLE if groups_of(one)["build"] == build) for build in GROUPS["build"]]
    assert waists == sorted(waists)


def test_groups_of_skin_and_clothes_are_independent() -> None:
    groups = [groups_of(person) for person in PEOPLE]
    for garment in GROUPS["upper garment"]:
        share = np.mean([one["upper garment"] == garment for one in groups])
        for band in GROUPS["skin"]:
            among = [one["upper garment"] == garment for one in groups if one["skin"] == band]
            assert abs(np.mean(among) - share) < 4 * (share * (1 - share) / len(among)) ** 0.5


def test_dark_clothes_are_darker_than_light_ones_and_coloured_ones_are_no_greys() -> None:
    for person in PEOPLE:
        colour, group = person.clothes.upper_colour, groups_of(person)["upper garment"]
        if group == "dark":
            assert sum(colour) < 450
        if group == "light":
            assert min(colour) > 100
        if group == "coloured":
            assert max(colour) - min(colour) >= 45
