"""A drawn person in words, as a witness would have it: for comparing what is seen with what is said."""

from model.data.appearance import Appearance, Clothes, Colour, Head
from model.data.subgroups import groups_of

_COLOURS: dict[str, Colour] = {
    "black": (30, 30, 33),
    "dark grey": (72, 74, 78),
    "grey": (132, 134, 136),
    "white": (224, 222, 218),
    "dark blue": (36, 46, 78),
    "blue": (66, 106, 160),
    "light blue": (120, 150, 186),
    "beige": (176, 158, 128),
    "brown": (104, 72, 46),
    "red": (168, 38, 44),
    "dark green": (74, 84, 54),
    "green": (48, 122, 84),
    "pink": (214, 150, 160),
    "yellow": (222, 180, 56),
    "orange": (206, 104, 40),
    "purple": (104, 66, 130),
}
_HAIR: dict[str, Colour] = {
    "black": (26, 22, 22),
    "dark brown": (58, 40, 30),
    "brown": (104, 72, 46),
    "blond": (188, 156, 100),
    "grey": (158, 156, 154),
    "red": (136, 62, 34),
}
_CUTS = {"short": "short {} hair", "bob": "a {} bob", "long": "long {} hair", "tail": "a {} ponytail"}
_CUTS |= {"curls": "{} curls", "bald": "a bald head"}
_BAGS = {"crossbody": "crossbody bag", "tote": "tote bag", "hand": "handbag", "trolley": "trolley case"}


def describe_person(person: Appearance) -> str:
    """Return one sentence about build, skin, hair, headwear, clothes, shoes and bag; colours by their nearest name."""
    groups = groups_of(person)
    who = {"middle": "person of medium build"}.get(groups["build"], f"{groups['build']} person")
    tone = {"lightest": "very light", "middle": "medium", "darkest": "very dark"}.get(groups["skin"], groups["skin"])
    sentence = f"A photo of a {who} with {tone} skin and {_head(person.head)}, wearing {_garments(person)}"
    if person.bag.kind != "none":
        bag = _BAGS.get(person.bag.kind, person.bag.kind)
        sentence += f", carrying {_with_article(f'{_name(person.bag.colour)} {bag}')}"
    return sentence + "."


def _head(head: Head) -> str:
    parts = [_CUTS[head.hair].format(_name(head.hair_colour, _HAIR))]
    parts += ["a beard"] * head.beard + ["glasses"] * head.glasses
    return " and ".join(parts)


def _garments(person: Appearance) -> str:
    head, clothes = person.head, person.clothes
    parts = [] if head.wears == "none" else [_with_article(f"{_name(head.wears_colour)} {head.wears}")]
    parts.append(_upper(clothes))
    lower = f"{_name(clothes.lower_colour)} {clothes.lower}"
    parts.append(lower if clothes.lower in ("trousers", "shorts") else _with_article(lower))
    return f"{', '.join(parts)} and {_name(clothes.shoes)} shoes"


def _upper(clothes: Clothes) -> str:
    colour, second = _name(clothes.upper_colour), _name(clothes.second)
    if clothes.upper == "open jacket":
        garment = f"an open {colour} jacket over {_with_article(f'{_name(clothes.inner)} shirt')}"
    elif clothes.upper == "shirt":
        sleeves = {"none": "sleeveless", "short": "short-sleeved", "long": "long-sleeved"}[clothes.sleeves]
        garment = f"a {sleeves} {colour} shirt"
    else:
        garment = _with_article(f"{colour} {clothes.upper.removeprefix('closed ')}")
    match clothes.pattern:
        case "stripes" | "checks":
            return f"{garment} with {second} {clothes.pattern}"
        case "print" | "band":
            return f"{garment} with {_with_article(f'{second} {clothes.pattern}')}"
        case "yoke":
            return f"{garment} with {second} shoulders"
    return garment


def _name(colour: Colour, names: dict[str, Colour] = _COLOURS) -> str:
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(colour, names[name], strict=True)))


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
