"""If-Match on what is done with an identity's tracklets: whoever saw another version changes nothing."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.client import ApiProblem, TfclipClient
from tests.contract.outsider import problem
from tests.support import ADMIN_KEY, RunningService, upload, wait_until

pytestmark = pytest.mark.usefixtures("silent_service")


@pytest.fixture
def client(running_service: RunningService) -> Iterator[httpx.Client]:
    """Speaks to the service as an administrator."""
    with running_service.client() as client:
        yield client


@pytest.fixture(scope="module")
def tracklets(running_service: RunningService) -> list[str]:
    """Ids of three tracklets."""
    return [upload(running_service, seed, frames=1)["id"] for seed in range(3)]


def new(client: httpx.Client, name: str, *tracklet_ids: str) -> str:
    """The path of a new identity."""
    body = {"name": f"{name} {uuid.uuid4().hex}", "tracklet_ids": tracklet_ids}
    answer = client.post("/identities", json=body)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def refuse_stale(client: httpx.Client, method: str, path: str, seen: httpx.Response, *stale: str, **body: Any) -> None:
    """Whoever saw another version than `seen` of the identity changes nothing of it."""
    for tag in ('"99"', "nonsense", f"W/{seen.headers['etag']}", *stale):
        refused = client.request(method, path, headers={"If-Match": tag}, **body)
        assert problem(refused, 412)["code"] == "precondition_failed"
    after = client.get(seen.request.url.path)
    assert (after.json(), after.headers["etag"]) == (seen.json(), seen.headers["etag"])


@pytest.fixture
def ann(client: httpx.Client, tracklets: list[str]) -> Iterator[str]:
    """The path of an identity that has the first tracklet."""
    path = new(client, "Ann", tracklets[0])
    yield path
    client.delete(path)


def test_tracklets_are_given_and_taken_as_the_caller_saw_the_identity(
    client: httpx.Client, ann: str, tracklets: list[str]
) -> None:
    seen = client.get(ann).headers["etag"]
    body = {"tracklet_ids": tracklets[1:2]}
    refuse_stale(client, "POST", f"{ann}/tracklets", client.get(ann), json=body)
    given = client.post(f"{ann}/tracklets", json=body, headers={"If-Match": seen})
    assert (given.status_code, given.json()["tracklets"]) == (200, 2)
    path = f"{ann}/tracklets/{tracklets[1]}"
    refuse_stale(client, "DELETE", path, client.get(ann), seen)
    assert client.get(ann).headers["etag"] == given.headers["etag"] != seen
    taken = {"headers": {"If-Match": given.headers["etag"]}}
    assert client.delete(path, **taken).status_code == 204
    # Sent again, since the answer was lost: it is gone, whatever the version.
    problem(client.delete(path, **taken), 404)
    assert client.get(ann).json()["tracklets"] == 1


def test_a_merge_and_its_undoing_go_by_the_identity_in_the_path(
    client: httpx.Client, ann: str, tracklets: list[str]
) -> None:
    ben = new(client, "Ben", tracklets[2])
    seen, body = client.get(ann), {"from_id": ben.rpartition("/")[2]}
    client.patch(ben, json={"name": f"Ben {uuid.uuid4().hex}"})
    others = client.get(ben).headers["etag"]
    refuse_stale(client, "POST", f"{ann}/merge", seen, others, json=body)
    merged = client.post(f"{ann}/merge", json=body, headers={"If-Match": seen.headers["etag"]})
    assert (merged.status_code, merged.json()["identity"]["tracklets"]) == (200, 2)
    body = {"event_id": merged.json()["event_id"]}
    refuse_stale(client, "POST", f"{ann}/unmerge", client.get(ann), seen.headers["etag"], json=body)
    undone = client.post(f"{ann}/unmerge", json=body, headers={"If-Match": merged.headers["etag"]})
    assert (undone.status_code, undone.json()["restored"]) == (200, [tracklets[2]])
    client.delete(ben)


def test_of_two_that_saw_the_same_identity_one_is_refused(
    running_service: RunningService, client: httpx.Client, ann: str, tracklets: list[str]
) -> None:
    seen = {"If-Match": client.get(ann).headers["etag"]}

    def give(tracklet_id: str) -> httpx.Response:
        with running_service.client() as own:
            return own.post(f"{ann}/tracklets", json={"tracklet_ids": [tracklet_id]}, headers=seen)

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with (
        running_service.database() as connection,
        running_service.database() as watching,
        ThreadPoolExecutor(2) as pool,
    ):
        connection.autocommit = False
        # Who has nothing left to do but to number its change waits for this; the other one has not looked yet.
        connection.execute("SELECT id FROM galleries WHERE name = 'default' FOR NO KEY UPDATE")
        answers = [pool.submit(give, one) for one in tracklets[1:]]
        wait_until(lambda: watching.execute(waiting).fetchone() == (1,))
        connection.rollback()
        assert sorted(answer.result().status_code for answer in answers) == [200, 412]
    assert client.get(ann).json()["tracklets"] == 2


def test_the_client_changes_only_the_version_that_it_names(
    running_service: RunningService, client: httpx.Client, ann: str, tracklets: list[str]
) -> None:
    ben, ann_id = new(client, "Ben").rpartition("/")[2], ann.rpartition("/")[2]
    with TfclipClient(running_service.url, ADMIN_KEY) as ours:
        given = ours.assign_tracklets(ann_id, [tracklets[1]], version=ours.get_identity(ann_id).version)
        ours.unassign_tracklet(ann_id, tracklets[1], version=given.version)
        now = ours.get_identity(ann_id).version
        merged = ours.merge_identities(ann_id, ben, version=now)
        stale: list[Callable[[], Any]] = [
            lambda: ours.assign_tracklets(ann_id, [tracklets[1]], version=now),
            lambda: ours.unassign_tracklet(ann_id, tracklets[0], version=now),
            lambda: ours.merge_identities(ann_id, new(client, "Eve").rpartition("/")[2], version=now),
            lambda: ours.unmerge_identities(ann_id, merged.event_id, version=now),
        ]
        for change in stale:
            with pytest.raises(ApiProblem) as refused:
                change()
            assert refused.value.code == "precondition_failed"
        assert ours.unmerge_identities(ann_id, merged.event_id, version=merged.identity.version).identity.id == ben
