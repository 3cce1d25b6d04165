"""Time gaps, transit times and clocks: what the index lets through is what plain arithmetic on dates does."""

import uuid
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.gallery.filters import NO_RULES, Filters, Sighting
from service.gallery.index import GalleryIndex
from service.gallery.options import SearchOptions
from service.gallery.questions import Question
from service.gallery.times import microseconds
from service.store.cameras import Rules
from service.store.changes import IndexRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CAMERAS = ["a", "b", "c", "d"]
# Few different ones, so that bounds are met exactly and times touch.
SECONDS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 0.000001, 2.999999]
OFFSETS = [-3600.0, -2.0, -0.5, 0.0, 0.25, 1.0, 1.0, 86400.0]


def make_rows(rng: Random) -> list[IndexRow]:
    """Rows of the cameras; times may be missing."""
    found = []
    for number in range(rng.randint(1, 16)):
        started = rng.choice([None, *[NOON + timedelta(seconds=seconds) for seconds in SECONDS]])
        lasted = rng.choice([None, *SECONDS])
        ended = None if started is None or lasted is None else started + timedelta(seconds=lasted)
        vector = np.array([1, number], "<f4").tobytes()
        identity, frames = rng.choice([None, "p"]), rng.randint(1, 3)
        identifier, camera = uuid.UUID(int=number), rng.choice(CAMERAS)
        found.append(IndexRow(identifier, camera, started, ended, vector, identity=identity, frame_count=frames))
    return found


def make_rules(rng: Random) -> Rules:
    """Clocks that are off, and a matrix over some pairs of cameras."""
    offsets = {camera: rng.choice(OFFSETS) for camera in CAMERAS if rng.random() < 0.4}
    transits: dict[tuple[str, str], tuple[float, float | None]] = {}
    for pair in product(CAMERAS, CAMERAS):
        if rng.random() < 0.8:
            shortest, longest = sorted(rng.choices(SECONDS, k=2))
            transits[pair] = (rng.choice([0.0, shortest]), rng.choice([None, longest]))
    return Rules(1, None, offsets, transits)


def make_filters(rng: Random, rules: Rules) -> Filters:
    """Rules of the world, mostly without other filters and sometimes beside them."""
    started = NOON + timedelta(seconds=rng.choice(SECONDS))
    ended = rng.choice([None, *[started + timedelta(seconds=seconds) for seconds in SECONDS]])
    camera = rng.choice([*CAMERAS, "unheard of"])
    asked = rng.choice(["gap", "transit", "transit", "both", "neither"])
    seen = frozenset({Sighting.at(camera, microseconds(started), microseconds(ended))})

    def sometimes(values: list[Any], otherwise: Any) -> Any:
        return rng.choice(values) if rng.random() < 0.2 else otherwise

    return Filters(
        cameras=sometimes([frozenset("ab")], frozenset()),
        excluded_cameras=sometimes([frozenset({camera})], frozenset()),
        started_after=sometimes([NOON, started], None),
        ended_before=sometimes([NOON + timedelta(seconds=3), started], None),
        identity_known=sometimes([True, False], None),
        min_frames=sometimes([2], None),
        sightings=frozenset() if asked == "neither" else seen,
        min_gap_seconds=rng.choice(SECONDS) if asked in ("gap", "both") else None,
        feasible_transit=asked in ("transit", "both"),
        rules=rules,
    )


def passes(row: IndexRow, asked: Filters, world: Rules) -> bool:
    """The same in words."""
    shift = timedelta(seconds=world.offsets.get(row.camera, 0))
    started = None if row.started_at is None else row.started_at + shift
    ended = None if row.ended_at is None else row.ended_at + shift
    if asked.cameras and row.camera not in asked.cameras:
        return False
    if row.camera in asked.excluded_cameras:
        return False
    if asked.started_after is not None and (started is None or started < asked.started_after):
        return False
    if asked.ended_before is not None and (ended is None or ended > asked.ended_before):
        return False
    if asked.identity_known is not None and (row.identity is not None) != asked.identity_known:
        return False
    if asked.min_frames is not None and row.frame_count < asked.min_frames:
        return False
    return all(fits(row.camera, started, ended or started, one, asked, world) for one in asked.sightings)


def fits(
    camera: str, started: datetime | None, ended: datetime | None, seen: Sighting, asked: Filters, world: Rules
) -> bool:
    """Whether a row may answer a query that was seen there and then."""
    if started is None or ended is None:
        return False
    shift = timedelta(seconds=world.offsets.get(seen.camera or "", 0))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    query_started = epoch + timedelta(microseconds=seen.started) + shift
    query_ended = epoch + timedelta(microseconds=seen.ended) + shift
    ways = []
    if started >= query_ended:
        ways.append(((seen.camera, camera), started - query_ended))
    if query_started >= ended:
        ways.append(((camera, seen.camera), query_started - ended))
    overlap = not ways
    if asked.min_gap_seconds is not None:
        gap = timedelta(seconds=asked.min_gap_seconds)
        if overlap or max(way[1] for way in ways) < gap:
            return False
    if not asked.feasible_transit:
        return True
    if overlap:
        ways = [((seen.camera, camera), timedelta(0)), ((camera, seen.camera), timedelta(0))]

    def walkable(pair: tuple[Any, Any], gap: timedelta) -> bool:
        shortest, longest = world.transits.get(pair, (0.0, None))
        return timedelta(seconds=shortest) <= gap and (longest is None or gap <= timedelta(seconds=longest))

    return any(walkable(pair, gap) for pair, gap in ways)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_passes_is_what_plain_arithmetic_lets_through(seed: int) -> None:
    rng = Random(seed)
    stored = make_rows(rng)
    index = GalleryIndex(2)
    index.add(stored)
    worlds = [make_rules(rng) for _ in range(20)]
    asked = [make_filters(rng, rules) for rules in worlds]
    questions = [Question(np.array([1, 0], np.float32), len(stored), filters) for filters in asked]
    for filters, world, hits in zip(asked, worlds, index.search_many(questions), strict=True):
        expected = {row.tracklet_id for row in stored if passes(row, filters, world)}
        assert {hit.tracklet_id for hit in hits} == expected


def test_several_queries_must_all_be_far_enough_away() -> None:
    times = [NOON + timedelta(seconds=seconds) for seconds in (0, 10, 20)]
    index = GalleryIndex(2)
    index.add([IndexRow(uuid.UUID(int=n), "a", at, None, b"\0\0\x80?" * 2) for n, at in enumerate(times)])
    seen = [Sighting.at("b", microseconds(at), microseconds(None)) for at in (times[0], times[1])]
    asked = SearchOptions("g", 3, min_time_gap_seconds=5).filters(seen, NO_RULES)
    assert [hit.tracklet_id.int for hit in index.search(np.ones(2, np.float32), 3, asked)] == [2]


def test_filters_that_look_at_no_times_are_equal_whatever_the_clocks_say() -> None:
    assert Filters(min_frames=2, rules=Rules(1)) == Filters(min_frames=2, rules=Rules(2))
    assert Filters(started_after=NOON, rules=Rules(1)) != Filters(started_after=NOON, rules=Rules(1))


@pytest.mark.parametrize(
    ("options", "seen", "location"),
    [
        ({"min_time_gap_seconds": 0.0}, Sighting("a"), "min_time_gap_seconds"),
        ({"feasible_transit": True}, Sighting("a"), "feasible_transit"),
        ({"feasible_transit": True}, Sighting.at(None, 0, 0), "feasible_transit"),
    ],
)
def test_a_rule_that_asks_for_what_is_not_known_of_the_query_is_refused(
    options: dict[str, Any], seen: Sighting, location: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SearchOptions("g", 3, **options).filters([seen], NO_RULES)
    assert [error.location for error in refused.value.errors] == [location]


def test_a_gap_asks_for_no_camera() -> None:
    SearchOptions("g", 3, min_time_gap_seconds=1).filters([Sighting.at(None, 0, 0)], NO_RULES)
