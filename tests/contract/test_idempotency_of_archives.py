"""An archive under an `Idempotency-Key`: its key is claimed by its manifest, and its report kept with its last byte."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.keyed_requests import HELD, count, let_claims_run_out, new_key, no_answer_kept, trigger, waits
from tests.contract.outsider import connect, head, problem
from tests.service.ingest.archives import archive_of, fates
from tests.support import RunningService, pictures, wait_until

pytestmark = pytest.mark.usefixtures("silent_service")


def send(running: RunningService, content: bytes, gallery: str, key: str) -> httpx.Response:
    """POST /tracklets/batch under an idempotency key."""
    headers = {"Content-Type": "application/x-tar", "Idempotency-Key": key}
    with running.client() as client:
        return client.post("/tracklets/batch", params={"gallery": gallery}, content=content, headers=headers)


def archive(key: str, *seeds: int) -> bytes:
    """Tracklets whose external ids nobody else has; equal seeds have equal frames."""
    return archive_of({f"{key} {number}": pictures(seed, 2) for number, seed in enumerate(seeds)})


def test_a_report_comes_again_and_what_was_deleted_since_is_not_stored_again(running_service: RunningService) -> None:
    key = new_key()
    first = send(running_service, archive(key, 1, 2), "once", key)
    assert (first.status_code, first.json()["created"]) == (200, 2)
    with running_service.client() as client:
        assert client.delete(f"/tracklets/{first.json()['items'][0]['tracklet_id']}").status_code == 204
    before = running_service.footprint()
    again = send(running_service, archive(key, 1, 2), "once", key)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert running_service.footprint() == before


@pytest.mark.parametrize("other", ["manifest", "frames", "end", "gallery"])
def test_another_archive_under_the_key_is_refused_and_nothing_of_it_is_stored(
    running_service: RunningService, other: str
) -> None:
    key = new_key()
    content = archive(key, 1, 2)
    assert send(running_service, content, "other", key).json()["created"] == 2
    changed = {
        "manifest": archive(key, 1, 2, 3),
        "frames": archive(key, 1, 3),
        "end": content[:-1] + b"x",
        "gallery": content,
    }[other]
    before = running_service.footprint()
    refused = send(running_service, changed, "another" if other == "gallery" else "other", key)
    assert problem(refused, 422)["code"] == "idempotency_key_reused"
    assert running_service.footprint() == before


def test_an_archive_whose_answer_was_lost_is_reported_as_it_was(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    # Two of them have the same frames, and are told apart all the same.
    content = archive(key, 1, 1, 2, 1)
    with no_answer_kept(running_service):
        first = send(running_service, content, "lost", key)
    let_claims_run_out(running_service)
    refused = send(running_service, archive(key, 1), "lost", key)
    assert problem(refused, 422)["code"] == "idempotency_key_reused"
    second, third = (send(running_service, content, "lost", key) for _ in range(2))
    assert first.json() == second.json() == third.json()
    assert (first.json()["created"], "idempotent-replayed" in second.headers) == (4, False)
    assert count(running_service) == before + 4


def test_an_archive_that_broke_off_on_the_way_goes_on_under_its_key(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    content = archive(key, 1, 2)
    cut = content.index(pictures(2, 2)[0]) + 100
    with connect(running_service) as connection:
        length = f"Content-Length: {len(content)}"
        headers = (length, "Content-Type: application/x-tar", f"Idempotency-Key: {key}")
        connection.sendall(head(running_service, "POST", "/tracklets/batch?gallery=broken", *headers))
        connection.sendall(content[:cut])
        wait_until(lambda: count(running_service) == before + 1)
        # Whoever comes meanwhile is told so before its frames are read.
        refused = send(running_service, content, "broken", key)
        assert problem(refused, 409)["code"] == "idempotency_in_progress"
        assert int(refused.headers["retry-after"]) >= 1
    wait_until(lambda: running_service.service.batches.inside == 0)
    # What the first try stored is what the request created.
    wait_until(lambda: send(running_service, content, "broken", key).status_code == 200)
    found = send(running_service, content, "broken", key).json()
    assert (found["created"], found["existing"], found["complete"]) == (2, 0, True)
    assert count(running_service) == before + 2


def test_what_was_stored_under_a_key_that_never_ended_keeps_its_frames(running_service: RunningService) -> None:
    key = new_key()
    with no_answer_kept(running_service):
        assert send(running_service, archive(key, 1, 2), "frames", key).status_code == 200
    let_claims_run_out(running_service)
    # The manifest is the same, so this may go on; the frames of the second tracklet are not.
    found = send(running_service, archive(key, 1, 3), "frames", key).json()
    assert fates(found) == [(1, "created", None), (2, "failed", "external_id_conflict")]


def test_while_an_archive_is_stored_another_one_is_told_apart(running_service: RunningService) -> None:
    key = new_key()
    content = archive(key, 4)
    hold = f"PERFORM pg_advisory_xact_lock({HELD})"
    with ThreadPoolExecutor(1) as pool, trigger(running_service, "INSERT ON tracklets", hold) as connection:
        connection.execute(f"SELECT pg_advisory_lock({HELD})")
        first = pool.submit(send, running_service, content, "meanwhile", key)
        wait_until(lambda: waits(connection))
        same = send(running_service, content, "meanwhile", key)
        other = send(running_service, archive(key, 4, 5), "meanwhile", key)
        connection.execute(f"SELECT pg_advisory_unlock({HELD})")
        assert first.result().json()["created"] == 1
    assert problem(same, 409)["code"] == "idempotency_in_progress"
    assert problem(other, 422)["code"] == "idempotency_key_reused"


def test_what_is_no_archive_leaves_the_key_free(running_service: RunningService) -> None:
    key = new_key()
    problem(send(running_service, b"hello", "free", key), 422)
    assert send(running_service, archive(key, 1), "free", key).json()["created"] == 1
