"""Matches that people confirm or reject, and taking that back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service.identities.people import (
    assert_explained,
    call,
    conflict,
    identity_of,
    new_identity,
    unchanged,
)
from tests.support import RunningService, upload, wait_until


@pytest.fixture
def ids(running_service: RunningService) -> list[str]:
    """Ids of four new tracklets."""
    return [upload(running_service, seed, 1)["id"] for seed in range(4)]


def decide(running: RunningService, one: str, other: str, verdict: str, status: int = 201) -> dict:
    """Say of two tracklets that they are one person, or not."""
    body = {"tracklet_id": one, "other_tracklet_id": other, "verdict": verdict}
    return call(running, "POST", "/matches", body, status)


def test_a_confirmed_match_makes_one_identity_and_taking_it_back_removes_it(
    running_service: RunningService, ids: list[str]
) -> None:
    first = decide(running_service, ids[0], ids[1], "same")
    made = call(running_service, "GET", f"/identities/{first['identity_id']}")
    assert made["tracklets"] == 2
    assert identity_of(running_service, ids[0]) == identity_of(running_service, ids[1]) == made["name"]
    # A third one joins the identity that is there.
    second = decide(running_service, ids[2], ids[1], "same")
    assert second["identity_id"] == first["identity_id"]
    assert_explained(running_service)
    call(running_service, "DELETE", f"/matches/{second['items'][0]['id']}", status=204)
    assert [identity_of(running_service, one) for one in ids[:3]] == [made["name"], made["name"], None]
    call(running_service, "DELETE", f"/matches/{first['items'][0]['id']}", status=204)
    assert [identity_of(running_service, one) for one in ids[:3]] == [None] * 3
    call(running_service, "GET", f"/identities/{first['identity_id']}", status=404)
    call(running_service, "DELETE", f"/matches/{first['items'][0]['id']}", status=404)
    assert_explained(running_service)


def test_taking_a_match_back_leaves_what_somebody_moved_since(running_service: RunningService, ids: list[str]) -> None:
    match = decide(running_service, ids[0], ids[1], "same")
    name = f"moved {ids[0][:8]}"
    other = new_identity(running_service, name)
    body = {"tracklet_ids": [ids[0]], "move": True}
    call(running_service, "POST", f"/identities/{other}/tracklets", body)
    call(running_service, "DELETE", f"/matches/{match['items'][0]['id']}", status=204)
    assert [identity_of(running_service, one) for one in ids[:2]] == [name, None]
    assert_explained(running_service)


def test_a_rejected_match_keeps_two_tracklets_out_of_one_identity(
    running_service: RunningService, ids: list[str]
) -> None:
    rejected = decide(running_service, ids[1], ids[0], "different")
    assert rejected["identity_id"] is None
    (match,) = rejected["items"]
    assert match["tracklet_ids"] == sorted(ids[:2])
    one = new_identity(running_service, f"one {ids[0][:8]}", ids[0])
    other = new_identity(running_service, f"other {ids[0][:8]}", ids[1])
    with unchanged(running_service):
        for method, path, body in (
            ("POST", f"/identities/{one}/merge", {"from_id": other}),
            ("POST", f"/identities/{one}/tracklets", {"tracklet_ids": [ids[1]], "move": True}),
            ("PATCH", f"/tracklets/{ids[1]}", {"identity": f"one {ids[0][:8]}"}),
            ("POST", "/matches", {"tracklet_id": ids[0], "other_tracklet_id": ids[1], "verdict": "same"}),
        ):
            code, detail = conflict(running_service, method, path, body)
            assert code == "identity_conflict"
            assert "merge" in detail if path == "/matches" else match["id"] in detail
    call(running_service, "DELETE", f"/matches/{match['id']}", status=204)
    call(running_service, "POST", f"/identities/{one}/merge", {"from_id": other})
    with unchanged(running_service):
        assert decide(running_service, ids[0], ids[1], "different", 409)["code"] == "identity_conflict"
    assert_explained(running_service)


def test_a_later_verdict_replaces_the_earlier_one(running_service: RunningService, ids: list[str]) -> None:
    first = decide(running_service, ids[0], ids[1], "different")["items"][0]
    again = decide(running_service, ids[1], ids[0], "different")["items"][0]
    assert again == first
    confirmed = decide(running_service, ids[0], ids[1], "same")
    assert [match["id"] for match in confirmed["items"]] == [first["id"]]
    assert identity_of(running_service, ids[0]) == identity_of(running_service, ids[1]) is not None
    listed = call(running_service, "GET", "/matches?verdict=same&limit=1")
    assert listed["items"] == confirmed["items"]


def test_a_tracklet_is_confirmed_or_rejected_to_be_of_an_identity(
    running_service: RunningService, ids: list[str]
) -> None:
    identity = new_identity(running_service, f"Nia {ids[0][:8]}", *ids[:2])
    empty = new_identity(running_service, f"nobody {ids[0][:8]}")

    def body(tracklet: str, verdict: str, of: str = identity) -> dict:
        return {"tracklet_id": tracklet, "identity_id": of, "verdict": verdict}

    confirmed = call(running_service, "POST", "/matches", body(ids[2], "same"), 201)
    assert (confirmed["identity_id"], len(confirmed["items"])) == (identity, 1)
    rejected = call(running_service, "POST", "/matches", body(ids[3], "different"), 201)
    assert {tuple(match["tracklet_ids"]) for match in rejected["items"]} == {
        tuple(sorted((ids[3], one))) for one in ids[:3]
    }
    with unchanged(running_service):
        assert conflict(running_service, "POST", "/matches", body(ids[3], "same"))[0] == "identity_conflict"
        assert conflict(running_service, "POST", "/matches", body(ids[0], "different"))[0] == "identity_conflict"
        assert conflict(running_service, "POST", "/matches", body(ids[0], "same", empty))[0] == "identity_conflict"
    with running_service.client() as client:
        cursor, seen = "", []
        while cursor is not None:
            page = client.get("/matches", params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2}).json()
            seen += [match["id"] for match in page["items"]]
            cursor = page["next_cursor"]
    assert len(seen) == len(set(seen))
    assert {match["id"] for match in confirmed["items"] + rejected["items"]} <= set(seen)
    # A decision goes with its tracklet.
    call(running_service, "DELETE", f"/tracklets/{ids[3]}", status=204)
    left = call(running_service, "GET", "/matches?limit=500")["items"]
    assert not {match["id"] for match in rejected["items"]} & {match["id"] for match in left}
    assert_explained(running_service)


def test_a_match_of_one_thing_or_of_three_is_refused(running_service: RunningService, ids: list[str]) -> None:
    with unchanged(running_service):
        for body in (
            {"tracklet_id": ids[0], "verdict": "same"},
            {"tracklet_id": ids[0], "other_tracklet_id": ids[0], "verdict": "same"},
            {"tracklet_id": ids[0], "other_tracklet_id": ids[1], "identity_id": ids[2], "verdict": "same"},
            {"tracklet_id": ids[0], "other_tracklet_id": ids[1], "verdict": "perhaps"},
        ):
            call(running_service, "POST", "/matches", body, 422)
        call(
            running_service, "POST", "/matches", {"tracklet_id": ids[0], "identity_id": ids[0], "verdict": "same"}, 404
        )


@pytest.mark.parametrize("verdict", ["different", "same"])
def test_a_decision_about_an_identity_is_about_the_tracklets_that_a_deletion_beside_it_leaves(
    running_service: RunningService, ids: list[str], verdict: str
) -> None:
    identity = new_identity(running_service, f"ann {ids[0][:8]}", *ids[:3])
    body = {"tracklet_id": ids[3], "identity_id": identity, "verdict": verdict}
    with ThreadPoolExecutor(1) as thread, running_service.database() as deleting:
        deleting.autocommit = False
        # As DELETE /tracklets does before its COMMIT, and this is the identity's oldest.
        deleting.execute("DELETE FROM tracklets WHERE id = %s", (ids[0],))
        decided = thread.submit(call, running_service, "POST", "/matches", body, 201)
        with running_service.database() as other:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: other.execute(waiting).fetchone()[0])
        deleting.commit()
    pairs = {tuple(match["tracklet_ids"]) for match in decided.result()["items"]}
    left = ids[1:3] if verdict == "different" else ids[1:2]
    assert pairs == {tuple(sorted((one, ids[3]))) for one in left}
