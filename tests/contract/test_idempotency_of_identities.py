"""Identities, decisions and calibrations under an `Idempotency-Key`: sent twice, made once."""

import httpx
import pytest

from tests.contract.keyed_requests import count, let_claims_run_out, new_key, no_answer_kept
from tests.contract.outsider import problem
from tests.support import RunningService, upload

SAID = {"merge": ("event_id",), "unmerge": ("restored", "elsewhere", "gone"), "tracklets": ("id", "name")}
"""What the answer says of what was done, whatever became of it since."""


def post(running: RunningService, path: str, body: dict, key: str) -> httpx.Response:
    """Send a JSON body under an idempotency key."""
    with running.client() as client:
        return client.post(path, json=body, headers={"Idempotency-Key": key})


def assert_answered_alike(first: httpx.Response, second: httpx.Response) -> None:
    """The second answer is the first one, and says so."""
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.headers["location"] == second.headers["location"]


def test_an_identity_is_made_once(running_service: RunningService) -> None:
    key, before, events = new_key(), count(running_service, "identities"), count(running_service, "identity_events")
    body = {"name": f"Ann {key}", "tracklet_ids": [upload(running_service, seed=1)["id"]]}
    first, second = (post(running_service, "/identities", body, key) for _ in range(2))
    assert first.status_code == 201
    assert_answered_alike(first, second)
    assert first.headers["etag"] == second.headers["etag"]
    assert count(running_service, "identities") == before + 1
    assert count(running_service, "identity_events") == events + 1
    other = post(running_service, "/identities", body | {"name": f"Ben {key}"}, key)
    assert problem(other, 422)["code"] == "idempotency_key_reused"
    assert count(running_service, "identities") == before + 1


def test_an_identity_whose_answer_was_lost_is_found_again(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service, "identities")
    body = {"name": f"Ann {key}", "tracklet_ids": [upload(running_service, seed=2)["id"]]}
    with no_answer_kept(running_service):
        first = post(running_service, "/identities", body, key)
        assert first.status_code == 201
    let_claims_run_out(running_service)
    events = count(running_service, "identity_events")
    problem(post(running_service, "/identities", body | {"name": "Ben"}, key), 422)
    again, replayed = (post(running_service, "/identities", body, key) for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert_answered_alike(again, replayed)
    assert count(running_service, "identities") == before + 1
    assert count(running_service, "identity_events") == events
    # Without the key the name is taken, as ever.
    problem(post(running_service, "/identities", body, new_key()), 409)


@pytest.mark.parametrize("verdict", ["same", "different"])
def test_a_match_is_decided_once(running_service: RunningService, verdict: str) -> None:
    ids = [upload(running_service, seed=seed)["id"] for seed in (3, 4)]
    body = {"tracklet_id": ids[0], "other_tracklet_id": ids[1], "verdict": verdict}
    tables = ("match_decisions", "identities", "identity_events")
    key, before = new_key(), [count(running_service, table) for table in tables]
    with no_answer_kept(running_service):
        lost = post(running_service, "/matches", body, key)
        assert lost.status_code == 201, lost.text
    made = [count(running_service, table) for table in tables]
    # The decision is an event, and so is the identity that it makes.
    expected = [1, 1, 2] if verdict == "same" else [1, 0, 1]
    assert [now - then for now, then in zip(made, before, strict=True)] == expected
    let_claims_run_out(running_service)
    first, second = (post(running_service, "/matches", body, key) for _ in range(2))
    assert first.json() == lost.json()
    assert_answered_alike(first, second)
    other = post(
        running_service, "/matches", body | {"verdict": "same" if verdict == "different" else "different"}, key
    )
    assert problem(other, 422)["code"] == "idempotency_key_reused"
    assert [count(running_service, table) for table in tables] == made
    with running_service.client() as client:
        assert client.get(first.headers["location"]).json() == first.json()["items"][0]


def test_a_calibration_is_started_once(running_service: RunningService) -> None:
    upload(running_service, seed=5)
    key, before = new_key(), count(running_service, "jobs")
    body = {"match_fpir": 0.02}
    with no_answer_kept(running_service):
        lost = post(running_service, "/admin/calibrations", body, key)
        assert lost.status_code == 202, lost.text
    let_claims_run_out(running_service)
    first, second = (post(running_service, "/admin/calibrations", body, key) for _ in range(2))
    assert first.json()["id"] == lost.json()["id"]
    assert_answered_alike(first, second)
    other = post(running_service, "/admin/calibrations", {"match_fpir": 0.03}, key)
    assert problem(other, 422)["code"] == "idempotency_key_reused"
    assert count(running_service, "jobs") == before + 1


def two_people(running: RunningService, key: str) -> tuple[str, str, list[str]]:
    """Two identities of a tracklet each, and the tracklets."""
    ids = [upload(running, seed=seed, frames=1)["id"] for seed in (6, 7)]
    ann, ben = (
        post(running, "/identities", {"name": f"{name} {key}", "tracklet_ids": [one]}, new_key()).json()["id"]
        for name, one in zip(("Ann", "Ben"), ids, strict=True)
    )
    return ann, ben, ids


def test_an_assignment_that_moved_nothing_moves_nothing_when_sent_again(running_service: RunningService) -> None:
    key = new_key()
    ann, _, ids = two_people(running_service, key)
    path, body = f"/identities/{ann}/tracklets", {"tracklet_ids": ids[:1]}
    with no_answer_kept(running_service):
        first = post(running_service, path, body, key)
        assert (first.status_code, first.json()["tracklets"]) == (200, 1)
    let_claims_run_out(running_service)
    with running_service.client() as client:
        assert client.get(f"/identities/{ann}").json()["version"] == first.json()["version"] == 1
        assert client.delete(f"{path}/{ids[0]}").status_code == 204
        again = post(running_service, path, body, key)
        assert (again.status_code, again.json()["tracklets"]) == (200, 0)
        history = client.get(f"/identities/{ann}/history").json()["items"]
    told = [(event["kind"], event["tracklet_ids"]) for event in history]
    assert told == [("unassigned", ids[:1]), ("assigned", []), ("created", ids[:1])]


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("what", ["merge", "unmerge", "tracklets"])
def test_what_is_done_to_an_identity_is_done_once(running_service: RunningService, what: str, lost: bool) -> None:
    key = new_key()
    ann, ben, ids = two_people(running_service, key)
    body, other = {"from_id": ben}, {"from_id": ann}
    if what == "tracklets":
        body, other = {"tracklet_ids": ids, "move": True}, {"tracklet_ids": ids}
    if what == "unmerge":
        event = post(running_service, f"/identities/{ann}/merge", body, new_key()).json()["event_id"]
        body, other = {"event_id": event}, {"event_id": event + 1}
    path, events = f"/identities/{ann}/{what}", count(running_service, "identity_events")
    if lost:
        with no_answer_kept(running_service):
            first = post(running_service, path, body, key)
        let_claims_run_out(running_service)
    else:
        first = post(running_service, path, body, key)
    assert first.status_code == 200, first.text
    made = count(running_service, "identity_events")
    assert made > events
    # Somebody takes it back, or does it again, and that stays.
    if what == "merge":
        undo = {"event_id": first.json()["event_id"]}
        assert post(running_service, f"/identities/{ann}/unmerge", undo, new_key()).status_code == 200
    elif what == "unmerge":
        assert post(running_service, f"/identities/{ann}/merge", {"from_id": ben}, new_key()).status_code == 200
    else:
        back = {"tracklet_ids": ids[1:], "move": True}
        assert post(running_service, f"/identities/{ben}/tracklets", back, new_key()).status_code == 200
    made = count(running_service, "identity_events")
    second, third = (post(running_service, path, body, key) for _ in range(2))
    assert second.status_code == 200, second.text
    assert ("idempotent-replayed" in second.headers) is not lost
    assert (third.content, third.headers["idempotent-replayed"]) == (second.content, "true")
    assert third.headers["etag"] == second.headers["etag"]
    for said in SAID[what]:
        assert second.json()[said] == first.json()[said], said
    assert count(running_service, "identity_events") == made
    with running_service.client() as client:
        history = client.get(f"/identities/{ann}/history").json()["items"]
    # By which the answer that was lost is found again is for nobody to see.
    assert "made_by" not in {name for event in history for name in event["details"]}
    assert problem(post(running_service, path, other, key), 422)["code"] == "idempotency_key_reused"
