"""One external id is one tracklet, however often and however closely together it is sent."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.outsider import everything, nothing_changes, problem, upload
from tests.support import RunningService, pictures


def test_the_same_external_id_with_other_frames_is_refused_and_leaves_nothing(running_service: RunningService) -> None:
    with running_service.client() as client:
        assert upload(client, external_id="kept").status_code == 201
        with nothing_changes(running_service):
            assert upload(client, external_id="kept").status_code == 200
            problem(upload(client, external_id="kept", frames=pictures(2)), 409)
            problem(upload(client, external_id="kept", frames=pictures(2), camera_id="a camera of its own"), 409)


def test_one_external_id_may_be_used_in_two_galleries(running_service: RunningService) -> None:
    with running_service.client() as client:
        answers = [upload(client, external_id="both", gallery=gallery) for gallery in ("left", "right")]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_an_external_id_is_free_again_after_its_tracklet_is_deleted(running_service: RunningService) -> None:
    with running_service.client() as client:
        first = upload(client, external_id="freed")
        assert client.delete(first.headers["location"]).status_code == 204
        second = upload(client, external_id="freed", frames=pictures(3))
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("attempt", range(4))
def test_retries_at_the_same_time_store_one_tracklet(running_service: RunningService, attempt: int) -> None:
    before = everything(running_service)
    frames = pictures(100 + attempt)
    with running_service.client() as client, ThreadPoolExecutor(6) as pool:
        uploads = [pool.submit(upload, client, external_id=f"retry {attempt}", frames=frames) for _ in range(6)]
        answers = [one.result() for one in uploads]
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    _one_more(running_service, before, len(frames))


@pytest.mark.parametrize("attempt", range(4))
def test_of_different_tracklets_with_one_external_id_at_the_same_time_one_wins(
    running_service: RunningService, attempt: int
) -> None:
    before = everything(running_service)
    with running_service.client() as client, ThreadPoolExecutor(6) as pool:
        uploads = [
            pool.submit(upload, client, external_id=f"race {attempt}", frames=pictures(200 + 10 * attempt + number))
            for number in range(6)
        ]
        answers = [one.result() for one in uploads]
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409)
    _one_more(running_service, before, 3)


def _one_more(running: RunningService, before: dict[str, int], frames: int) -> None:
    """The losers left no file: the store holds one tracklet and its frames more than before."""
    after = everything(running)
    gained = {name: after[name] - before[name] for name in ("tracklets", "descriptors", "frames", "files", "index")}
    assert gained == {"tracklets": 1, "descriptors": 1, "frames": frames, "files": frames, "index": 1}
