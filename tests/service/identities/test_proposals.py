"""Proposals cluster tracklets without an identity, say like whom they are, and change nothing."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.settings import Settings
from tests.service.identities.people import call, new_identity, unchanged
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    upload,
    wait_until,
)

MOST = 20
PEOPLE = 3


@pytest.fixture(scope="module")
def running_service(postgres) -> Iterator[RunningService]:
    """A service that clusters few tracklets at most."""
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings: Settings = make_settings(folder / "data", url, max_proposal_tracklets=MOST)
        with run_service(settings) as running:
            yield running


def place(running: RunningService, tracklets: dict[str, tuple[int, float]]) -> None:
    """Give tracklets of gallery `default` descriptors near the axis of a person, turned a little; re-load the index."""
    with running.database() as connection:
        (length,) = connection.execute("SELECT max(dimension) FROM models").fetchone()
        for tracklet, (person, turn) in tracklets.items():
            vector = np.zeros(length, "<f4")
            vector[person], vector[100 + uuid.UUID(tracklet).int % 100] = np.cos(turn), np.sin(turn)
            connection.execute(
                "UPDATE descriptors SET vector = %s WHERE tracklet_id = %s", (vector.tobytes(), tracklet)
            )
            with connection.transaction():
                for kind in ("deleted", "added"):
                    connection.execute(
                        "WITH counted AS (UPDATE galleries SET change = change + 1 WHERE name = 'default'"
                        " RETURNING id, change) INSERT INTO changes (gallery_id, number, kind, tracklet_id)"
                        " SELECT id, change, %s, %s FROM counted",
                        (kind, tracklet),
                    )
        (last,) = connection.execute("SELECT change FROM galleries WHERE name = 'default'").fetchone()
    wait_until(lambda: running.service.galleries.find("default").index.applied == last)


def propose(running: RunningService, **options: Any) -> dict[str, Any]:
    """Ask for proposals; the answer."""
    with unchanged(running), running.client() as client:
        answer = client.get("/identities/proposals", params={"threshold": 0.9, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def ids(running_service: RunningService) -> Iterator[list[str]]:
    """Four tracklets of each of three people, one person after another; nothing else is stored."""
    made = [upload(running_service, seed, 2, camera_id=f"c{seed % 2}")["id"] for seed in range(4 * PEOPLE)]
    place(running_service, {one: (n // 4, 0.05 + 0.05 * (n % 4)) for n, one in enumerate(made)})
    yield made
    for one in made:
        call(running_service, "DELETE", f"/tracklets/{one}", status=204)


def groups(answer: dict[str, Any]) -> set[frozenset[str]]:
    """The clusters' tracklets."""
    return {frozenset(item["tracklet_ids"]) for item in answer["items"]}


def test_tracklets_of_one_person_are_proposed_together_and_accepting_makes_an_identity(
    running_service: RunningService, ids: list[str]
) -> None:
    answer = propose(running_service)
    assert groups(answer) == {frozenset(ids[n : n + 4]) for n in (0, 4, 8)}
    assert (answer["tracklets"], answer["found"], answer["generation"]) == (12, 3, 1)
    for item in answer["items"]:
        assert item["like"] is None
        assert 0.9 < item["similarity"] <= 1
        assert item["thumbnail_url"] == f"/tracklets/{item['tracklet_ids'][0]}/frames/1"
    assert len(propose(running_service, limit=1)["items"]) == 1
    first = answer["items"][0]["tracklet_ids"]
    identity = new_identity(running_service, f"accepted {ids[0][:8]}", *first)
    assert groups(propose(running_service)) == groups(answer) - {frozenset(first)}
    # One more of that person, alone: proposed because it is like somebody who is known.
    person = ids.index(first[0]) // 4
    call(running_service, "DELETE", f"/identities/{identity}/tracklets/{first[0]}", status=204)
    (single,) = [item for item in propose(running_service)["items"] if len(item["tracklet_ids"]) == 1]
    assert (single["tracklet_ids"], single["similarity"]) == ([first[0]], None)
    assert single["like"]["identity_id"] == identity
    turns = {one: 0.05 + 0.05 * (n % 4) for n, one in enumerate(ids) if n // 4 == person}
    expected = np.mean([cosine(first[0], one, turns) for one in first[1:]])
    assert single["like"]["similarity"] == pytest.approx(expected, abs=1e-6)


def cosine(one: str, other: str, turns: dict[str, float]) -> float:
    """Of two descriptors as `place` makes them."""
    same = uuid.UUID(one).int % 100 == uuid.UUID(other).int % 100
    product = np.cos(turns[one]) * np.cos(turns[other])
    return float(product + same * np.sin(turns[one]) * np.sin(turns[other]))


def test_what_was_rejected_is_not_proposed(running_service: RunningService, ids: list[str]) -> None:
    body = {"tracklet_id": ids[0], "other_tracklet_id": ids[1], "verdict": "different"}
    call(running_service, "POST", "/matches", body, 201)
    for cluster in groups(propose(running_service)):
        assert not {ids[0], ids[1]} <= cluster
    identity = new_identity(running_service, f"not he {ids[0][:8]}", *ids[4:6])
    item = next(item for item in propose(running_service)["items"] if ids[6] in item["tracklet_ids"])
    assert item["like"]["identity_id"] == identity
    call(running_service, "POST", "/matches", {**body, "tracklet_id": ids[6], "other_tracklet_id": ids[4]}, 201)
    item = next(item for item in propose(running_service)["items"] if ids[6] in item["tracklet_ids"])
    assert item["like"] is None


def test_too_many_are_refused_with_what_to_do_and_a_filter_narrows_them(
    running_service: RunningService, ids: list[str]
) -> None:
    more = [upload(running_service, seed, 1, camera_id="c0")["id"] for seed in range(MOST - len(ids) + 1)]
    with running_service.client() as client:
        answer = client.get("/identities/proposals")
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_tracklets")
        assert "TFCLIP_MAX_PROPOSAL_TRACKLETS" in answer.json()["detail"]
    narrowed = propose(running_service, camera_id="c1")
    assert narrowed["tracklets"] == 6
    assert groups(narrowed) == {frozenset(ids[n : n + 4 : 2]) for n in (1, 5, 9)}
    for one in more:
        call(running_service, "DELETE", f"/tracklets/{one}", status=204)
    assert propose(running_service, started_after="2026-01-01T00:00:00Z")["items"] == []
    with running_service.client() as client:
        assert client.get("/identities/proposals?gallery=nowhere").status_code == 404
        assert client.get("/identities/proposals?threshold=nan").status_code == 422
