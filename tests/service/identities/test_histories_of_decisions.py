"""Who decided of two tracklets, and who took it back, stays in the histories of both sides."""

from typing import Any

import pytest

from tests.commands import answer
from tests.service.identities.people import assert_explained, call, identity_of, new_identity
from tests.support import RunningService, upload

pytestmark = pytest.mark.usefixtures("silent_service")


@pytest.fixture
def ids(running_service: RunningService) -> list[str]:
    """Ids of three new tracklets."""
    return [upload(running_service, seed, 1)["id"] for seed in range(3)]


@pytest.fixture
def colleague(running_service: RunningService) -> dict[str, str]:
    """The headers of somebody else's requests."""
    made = call(running_service, "POST", "/admin/keys", {"name": "colleague", "scopes": ["read", "write"]}, 201)
    return {"Authorization": f"Bearer {made['secret']}"}


def told(running: RunningService, path: str) -> list[tuple[str, str]]:
    """Kind and person of the decisions in a history, newest first."""
    events = call(running, "GET", f"{path}/history")["items"]
    kinds = ("confirmed", "rejected", "withdrawn")
    return [(event["kind"], event["done_by"]) for event in events if event["kind"] in kinds]


def decide(
    running: RunningService, tracklet: str, verdict: str, by: dict[str, str] | None = None, **other: str
) -> list[dict[str, Any]]:
    """Say of a tracklet and another one, or an identity, that they are one person, or not."""
    body = {"tracklet_id": tracklet, "verdict": verdict, **other}
    return call(running, "POST", "/matches", body, 201, **(by or {}))["items"]


def test_a_rejection_and_who_took_it_back_are_in_the_histories_of_both_sides(
    running_service: RunningService, colleague: dict[str, str], ids: list[str]
) -> None:
    one = new_identity(running_service, f"one {ids[0]}", ids[0])
    other = new_identity(running_service, f"other {ids[0]}", ids[1])
    (match,) = decide(running_service, ids[0], "different", other_tracklet_id=ids[1])
    # What is said already is not said again.
    decide(running_service, ids[1], "different", colleague, other_tracklet_id=ids[0])
    call(running_service, "DELETE", f"/matches/{match['id']}", status=204, **colleague)
    for path in (f"/identities/{one}", f"/identities/{other}", f"/tracklets/{ids[0]}", f"/tracklets/{ids[1]}"):
        assert told(running_service, path) == [("withdrawn", "colleague"), ("rejected", match["decided_by"])]
    withdrawn, rejected, created = call(running_service, "GET", f"/identities/{one}/history")["items"]
    assert (rejected["identity_id"], rejected["other_id"]) == (one, other)
    assert rejected["details"] == {"name": f"one {ids[0]}", "other_name": f"other {ids[0]}"}
    assert sorted(rejected["tracklet_ids"]) == sorted(withdrawn["tracklet_ids"]) == match["tracklet_ids"]
    taken_back = {"verdict": "different", "decided_by": match["decided_by"]}
    assert taken_back.items() <= withdrawn["details"].items()
    assert created["kind"] == "created"
    assert_explained(running_service)


def test_tracklets_without_an_identity_have_a_history_too(
    running_service: RunningService, colleague: dict[str, str], ids: list[str]
) -> None:
    assert call(running_service, "GET", f"/tracklets/{ids[0]}/history") == {"items": [], "next_cursor": None}
    (match,) = decide(running_service, ids[0], "different", other_tracklet_id=ids[1])
    call(running_service, "DELETE", f"/matches/{match['id']}", status=204, **colleague)
    decide(running_service, ids[0], "same", colleague, other_tracklet_id=ids[1])
    page = call(running_service, "GET", f"/tracklets/{ids[1]}/history?limit=2")
    assert [event["kind"] for event in page["items"]] == ["confirmed", "created"]
    rest = call(running_service, "GET", f"/tracklets/{ids[1]}/history?cursor={page['next_cursor']}")
    assert [(event["kind"], event["identity_id"]) for event in rest["items"]] == [
        ("withdrawn", None),
        ("rejected", None),
    ]
    call(running_service, "DELETE", f"/tracklets/{ids[1]}", status=204)
    kinds = [event["kind"] for event in answer(running_service, "tracklets", "history", ids[1])["items"]]
    assert kinds == ["tracklet_deleted", "confirmed", "created", "withdrawn", "rejected"]
    call(running_service, "GET", f"/tracklets/{match['id']}/history", status=404)
    assert_explained(running_service)


def test_a_decision_about_an_identity_is_one_event(running_service: RunningService, ids: list[str]) -> None:
    ann = new_identity(running_service, f"Ann {ids[0]}", *ids[:2])
    decided = decide(running_service, ids[2], "different", identity_id=ann)
    (rejected,) = call(running_service, "GET", f"/tracklets/{ids[2]}/history")["items"]
    assert (rejected["kind"], rejected["identity_id"], rejected["other_id"]) == ("rejected", ann, None)
    assert sorted(rejected["tracklet_ids"]) == sorted(ids)
    for match in decided:
        call(running_service, "DELETE", f"/matches/{match['id']}", status=204)
    decide(running_service, ids[2], "same", identity_id=ann)
    kinds = [event["kind"] for event in call(running_service, "GET", f"/identities/{ann}/history")["items"]]
    assert kinds == ["confirmed", "assigned", "withdrawn", "withdrawn", "rejected", "created"]


def test_taking_a_confirmation_back_is_told_although_a_decision_came_between(
    running_service: RunningService, ids: list[str]
) -> None:
    (match,) = decide(running_service, ids[0], "same", other_tracklet_id=ids[1])
    made = call(running_service, "GET", f"/tracklets/{ids[0]}/history")["items"][-1]["identity_id"]
    decide(running_service, ids[2], "different", identity_id=made)
    call(running_service, "DELETE", f"/matches/{match['id']}", status=204)
    # A rejection moves nothing: both are where the confirmation had put them, and come apart.
    assert [identity_of(running_service, one) for one in ids[:2]] == [None, None]
    kinds = [event["kind"] for event in call(running_service, "GET", f"/identities/{made}/history")["items"]]
    assert kinds == ["deleted", "unassigned", "withdrawn", "rejected", "confirmed", "created"]
    assert_explained(running_service)
