"""What a question asks of a row beside its vector, in a form that can be compared: equal masks are equal `Filters`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.gallery.times import NO_TIME
from service.store.cameras import Rules

NO_RULES = Rules()

Pair = tuple[str, str, str]
"""One label: key, kind of value, and the value as text. Two labels are equal to PostgreSQL when their pairs are."""


@dataclass(frozen=True)
class Sighting:
    """Where and when a query was seen, by its camera's own clock.

    Attributes:
        camera: None when it is not known.
        started, ended: microseconds since 1970; an end that is not known is the start, a start is `NO_TIME` then.
    """

    camera: str | None
    started: int = NO_TIME
    ended: int = NO_TIME

    @classmethod
    def at(cls, camera: str | None, started: int, ended: int) -> "Sighting":
        """The sighting of a row or a question that may lack its end, or both times."""
        return cls(camera, started, started if NO_TIME in (started, ended) else ended)


@dataclass(frozen=True)
class Filters:
    """Which rows may answer. Every given filter must hold.

    Attributes:
        cameras: seen by one of these; empty means any.
        excluded_cameras: seen by none of these.
        started_after: started at this moment or later.
        ended_before: ended at this moment or earlier.
        identities: is one of these persons; empty means any or none.
        identity_known: whether it has an identity; None means either.
        labels: has all of these labels (PostgreSQL's `@>`): JSON strings, numbers, booleans and nulls by key.
        min_frames: has at least so many frames.
        sightings: of the queries, whose times are known, for the two that follow; they must hold for each.
        min_gap_seconds: the times from first to last frame of row and query lie at least so far apart.
        feasible_transit: whoever walks as fast as `rules` say could be both. Rows without a start pass neither.
        rules: of the gallery, wherever times are looked at: they tell whose clock is wrong by how much.

    Raises:
        ValueError: a label is a list or an object.
    """

    cameras: frozenset[str] = frozenset()
    excluded_cameras: frozenset[str] = frozenset()
    started_after: datetime | None = None
    ended_before: datetime | None = None
    identities: frozenset[str] = frozenset()
    identity_known: bool | None = None
    # Python takes 1 for True and cannot hash a dict: `pairs` is compared in its place.
    labels: Mapping[str, Any] = field(default_factory=dict, compare=False)
    min_frames: int | None = None
    sightings: frozenset[Sighting] = frozenset()
    min_gap_seconds: float | None = None
    feasible_transit: bool = False
    rules: Rules = NO_RULES
    pairs: frozenset[Pair] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pairs = label_pairs(self.labels)
        if len(pairs) != len(self.labels):
            raise ValueError(f"labels {dict(self.labels)!r}: expected strings, numbers, booleans and nulls")
        object.__setattr__(self, "pairs", frozenset(pairs))
        if not self.looks_at_times:
            # Whatever the clocks say, these are equal to others that do not look at them.
            object.__setattr__(self, "rules", NO_RULES)

    def allows(self, identity: str | None, labels: Mapping[str, Any]) -> bool:
        """Whether a row passes by what can change of it, if by the rest it does."""
        return (
            (not self.identities or identity in self.identities)
            and (self.identity_known is None or (identity is not None) == self.identity_known)
            and self.pairs <= set(label_pairs(labels))
        )

    @property
    def looks_at_times(self) -> bool:
        """Whether times decide."""
        return bool(self.sightings) or self.started_after is not None or self.ended_before is not None


def label_pairs(labels: Mapping[str, Any]) -> list[Pair]:
    """The labels that are no list and no object, as pairs.

    A number is written out in full, since to PostgreSQL 1, 1.0 and 1e0 are one number, and 1e30 is 10 ** 30 although
    Python's float is not.
    """
    pairs = []
    for key, value in labels.items():
        if isinstance(value, str):
            pairs.append((key, "string", value))
        elif value is None or isinstance(value, bool):
            pairs.append((key, "constant", str(value)))
        elif isinstance(value, int | float):
            text = f"{Decimal(repr(value)):f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            pairs.append((key, "number", "0" if text == "-0" else text))
    return pairs
