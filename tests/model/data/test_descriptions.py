"""Drawn people in words."""

import dataclasses

from model.data.appearance import Bag, draw_appearance
from model.data.descriptions import describe_person

PERSON = draw_appearance(3)


def test_a_description_names_what_is_drawn() -> None:
    body = dataclasses.replace(PERSON.body, weight=1.5, tone=0.95)
    head = dataclasses.replace(
        PERSON.head,
        hair="tail",
        hair_colour=(60, 42, 30),
        beard=False,
        glasses=True,
        wears="cap",
        wears_colour=(210, 104, 38),
    )
    clothes = dataclasses.replace(
        PERSON.clothes,
        upper="shirt",
        upper_colour=(28, 30, 31),
        sleeves="short",
        pattern="stripes",
        second=(220, 224, 220),
        lower="long skirt",
        lower_colour=(170, 36, 40),
        shoes=(220, 220, 222),
    )
    person = dataclasses.replace(PERSON, body=body, head=head, clothes=clothes, bag=Bag("tote", (50, 120, 82), 1))
    assert describe_person(person) == (
        "A photo of a heavy person with very dark skin and a dark brown ponytail and glasses, wearing an orange cap, a "
        "short-sleeved black shirt with white stripes, a red long skirt and white shoes, carrying a green tote bag."
    )


def test_people_are_told_apart_by_their_descriptions() -> None:
    said = [describe_person(draw_appearance(seed)) for seed in range(400)]
    assert len(set(said)) > 390
    assert max(len(one.split()) for one in said) < 50


def test_what_is_not_worn_or_carried_is_not_said() -> None:
    head = dataclasses.replace(PERSON.head, wears="none", beard=False, glasses=False)
    said = describe_person(dataclasses.replace(PERSON, head=head, bag=Bag("none", (1, 2, 3), 1)))
    assert "none" not in said
    assert "carrying" not in said
