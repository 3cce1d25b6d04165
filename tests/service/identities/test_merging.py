"""Merges, and taking them back without loss."""

import pytest

from tests.service.identities.people import (
    assert_explained,
    assignment,
    call,
    conflict,
    identity_of,
    new_identity,
    unchanged,
)
from tests.support import RunningService, search, upload


@pytest.fixture
def ids(running_service: RunningService) -> list[str]:
    """Ids of five new tracklets."""
    return [upload(running_service, seed, 1)["id"] for seed in range(5)]


@pytest.fixture
def pair(running_service: RunningService, ids: list[str]) -> tuple[str, str]:
    """Two identities: of the first two tracklets, and of the next two."""
    suffix = ids[0][:8]
    return (
        new_identity(running_service, f"kept {suffix}", *ids[:2]),
        new_identity(running_service, f"other {suffix}", *ids[2:4]),
    )


def merge(running: RunningService, kept: str, other: str) -> int:
    """Merge; the event."""
    return call(running, "POST", f"/identities/{kept}/merge", {"from_id": other})["event_id"]


def unmerge(running: RunningService, kept: str, event: int) -> dict:
    """Undo a merge; the answer."""
    return call(running, "POST", f"/identities/{kept}/unmerge", {"event_id": event})


def test_a_merge_and_its_undoing_leave_everything_as_it_was(
    running_service: RunningService, ids: list[str], pair: tuple[str, str]
) -> None:
    kept, other = pair
    before = assignment(running_service, "default")
    answer = call(running_service, "POST", f"/identities/{kept}/merge", {"from_id": other})
    assert (answer["identity"]["id"], answer["identity"]["tracklets"]) == (kept, 4)
    name = answer["identity"]["name"]
    assert {hit["tracklet_id"] for hit in search(running_service, ids[4], identity=name)["results"]} == set(ids[:4])
    assert_explained(running_service)
    # The other one can be read, and changed no more.
    shown = call(running_service, "GET", f"/identities/{other}")
    assert (shown["merged_into"], shown["tracklets"], shown["thumbnail_url"]) == (kept, 0, None)
    for method, path, body in (
        ("PATCH", f"/identities/{other}", {"name": "x"}),
        ("DELETE", f"/identities/{other}", None),
        ("POST", f"/identities/{other}/tracklets", {"tracklet_ids": ids[:1]}),
        ("POST", f"/identities/{other}/merge", {"from_id": kept}),
        ("POST", f"/identities/{kept}/merge", {"from_id": other}),
    ):
        assert conflict(running_service, method, path, body)[0] == "identity_merged"
    listed = {one["id"] for one in call(running_service, "GET", "/identities?limit=500")["items"]}
    assert kept in listed
    assert other not in listed
    assert other in {one["id"] for one in call(running_service, "GET", "/identities?limit=500&merged=true")["items"]}

    undone = unmerge(running_service, kept, answer["event_id"])
    assert (undone["identity"]["id"], undone["identity"]["merged_into"]) == (other, None)
    assert (set(undone["restored"]), undone["elsewhere"], undone["gone"]) == (set(ids[2:4]), [], [])
    assert assignment(running_service, "default") == before
    assert_explained(running_service)
    code, _ = conflict(running_service, "POST", f"/identities/{kept}/unmerge", {"event_id": answer["event_id"]})
    assert code == "merge_undone"
    kinds = [event["kind"] for event in call(running_service, "GET", f"/identities/{other}/history")["items"]]
    assert kinds == ["unmerged", "merged", "created"]


def test_what_was_assigned_since_stays_and_what_was_deleted_is_gone(
    running_service: RunningService, pair: tuple[str, str], ids: list[str]
) -> None:
    kept, other = pair
    more = [upload(running_service, seed, 1)["id"] for seed in range(10, 14)]
    call(running_service, "POST", f"/identities/{other}/tracklets", {"tracklet_ids": more})
    event = merge(running_service, kept, other)
    third = new_identity(running_service, f"third {ids[0][:8]}")
    body = {"tracklet_ids": [more[0]], "move": True}
    call(running_service, "POST", f"/identities/{third}/tracklets", body)
    call(running_service, "DELETE", f"/identities/{kept}/tracklets/{more[1]}", status=204)
    # Taken away and given back: somebody said so after the merge.
    call(running_service, "DELETE", f"/identities/{kept}/tracklets/{more[2]}", status=204)
    call(running_service, "POST", f"/identities/{kept}/tracklets", {"tracklet_ids": [more[2], ids[4]]})
    call(running_service, "DELETE", f"/tracklets/{more[3]}", status=204)
    undone = unmerge(running_service, kept, event)
    assert set(undone["restored"]) == set(ids[2:4])
    assert set(undone["elsewhere"]) == set(more[:3])
    assert undone["gone"] == [more[3]]
    with running_service.database() as connection:
        rows = connection.execute("SELECT id::text, name FROM identities").fetchall()
    names = dict(rows)
    assert [identity_of(running_service, one) for one in more[:3]] == [names[third], None, names[kept]]
    assert identity_of(running_service, ids[4]) == names[kept]
    assert_explained(running_service)


def test_merges_are_undone_in_reverse_order(
    running_service: RunningService, pair: tuple[str, str], ids: list[str]
) -> None:
    kept, other = pair
    third = new_identity(running_service, f"third {ids[0][:8]}", ids[4])
    before = assignment(running_service, "default")
    first = merge(running_service, kept, other)
    second = merge(running_service, third, kept)
    assert len({identity_of(running_service, one) for one in ids}) == 1
    # An upload that names one of them is of the person that they all are now.
    name = call(running_service, "GET", f"/identities/{other}")["name"]
    late = upload(running_service, 20, 1, identity=name)
    assert late["identity"] == call(running_service, "GET", f"/identities/{third}")["name"]
    assert conflict(running_service, "POST", f"/identities/{kept}/unmerge", {"event_id": first})[0] == "identity_merged"
    unmerge(running_service, third, second)
    unmerge(running_service, kept, first)
    assert assignment(running_service, "default") == {**before, late["id"]: third}
    assert_explained(running_service)


def test_deleting_an_identity_frees_the_names_of_those_merged_into_it(
    running_service: RunningService, pair: tuple[str, str], ids: list[str]
) -> None:
    kept, other = pair
    name = call(running_service, "GET", f"/identities/{other}")["name"]
    event = merge(running_service, kept, other)
    assert conflict(running_service, "POST", "/identities", {"name": name})[0] == "identity_exists"
    call(running_service, "DELETE", f"/identities/{kept}", status=204)
    call(running_service, "GET", f"/identities/{other}", status=404)
    call(running_service, "POST", f"/identities/{kept}/unmerge", {"event_id": event}, 404)
    new_identity(running_service, name, *ids[:4])
    assert_explained(running_service)


def test_what_cannot_be_merged_is_refused_and_nothing_changes(
    running_service: RunningService, pair: tuple[str, str]
) -> None:
    kept, other = pair
    upload(running_service, 1, 1, gallery="apart")
    foreign = new_identity(running_service, f"foreign {kept}", gallery="apart")
    with unchanged(running_service):
        call(running_service, "POST", f"/identities/{kept}/merge", {"from_id": kept}, 422)
        call(running_service, "POST", f"/identities/{kept}/merge", {"from_id": foreign}, 404)
        call(running_service, "POST", f"/identities/{kept}/unmerge", {"event_id": 2**62}, 404)
        (created,) = call(running_service, "GET", f"/identities/{other}/history")["items"]
        call(running_service, "POST", f"/identities/{other}/unmerge", {"event_id": created["id"]}, 404)
