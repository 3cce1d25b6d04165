"""Searches, lists, jobs and frames asked for in ways that make no sense."""

import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.contract.outsider import LONG, nothing_changes, problem, refused, upload
from tests.support import RunningService, frame_files, pictures

BAD_SEARCH_OPTIONS = {
    "k of zero": "k=0",
    "k of -1": "k=-1",
    "k of 1001": "k=1001",
    "k of 1e9": "k=1e9",
    "k of 10**30": "k=1" + "0" * 30,
    "k of 5,000 digits": "k=" + "1" * 5000,
    "k of 2.5": "k=2.5",
    "k in words": "k=abc",
    "k of nothing": "k=",
    "k of nan": "k=nan",
    "k twice": "k=1&k=2",
    "unknown k": "K=3",
    "unknown option": "top_k=3",
    "unknown option without value": "verbose",
    "option of no name": "=1",
    "gallery twice": "gallery=default&gallery=other",
    "gallery of nothing": "gallery=",
    "climbing gallery": "gallery=../default",
    "gallery with nul": "gallery=a%00",
    "long gallery": "gallery=" + "g" * 5000,
    "camera with nul": "camera_id=a%00",
    "camera of nothing": "camera_id=",
    "long camera": "camera_id=" + "c" * 5000,
    "1,000 cameras": "&".join(f"camera_id=c{number}" for number in range(1000)),
    "excluded camera with nul": "exclude_camera_id=a%00",
    "exclude_query_camera in words": "exclude_query_camera=perhaps",
    "exclude_query_camera of 2": "exclude_query_camera=2",
    "naive time": "started_after=2026-01-01T00:00:00",
    "date": "started_after=2026-01-01",
    "time in words": "ended_before=now",
    "time of 5,000 digits": "started_after=" + "1" * 5000,
    "score of nan": "min_score=nan",
    "score of infinity": "min_score=inf",
    "score of 1.5": "min_score=1.5",
    "score of 1e999": "min_score=-1e999",
    "score in words": "min_score=high",
}


@pytest.fixture(scope="module")
def stored(running_service: RunningService) -> dict:
    """A tracklet that is there."""
    with running_service.client() as client:
        answer = upload(client)
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.mark.parametrize("name", BAD_SEARCH_OPTIONS)
def test_a_bad_search_option_is_refused(running_service: RunningService, stored: dict, name: str) -> None:
    options = BAD_SEARCH_OPTIONS[name]
    refused(running_service, lambda client: client.get(f"/search?query_id={stored['id']}&{options}"), 422)
    files = frame_files(pictures(1, 1))
    refused(running_service, lambda client: client.post(f"/search?{options}", files=files), 422)


@pytest.mark.parametrize(
    "options",
    [
        {"k": "0"},
        {"k": ["1", "2"]},
        {"K": "1"},
        {"gallery": "A"},
        {"camera_id": "\0"},
        {"min_score": "nan"},
        {"camera_id": LONG},
    ],
    ids=["k of zero", "k twice", "unknown option", "gallery", "nul", "nan", "100,000 characters"],
)
def test_a_bad_search_option_in_the_form_is_refused(running_service: RunningService, options: dict) -> None:
    files = frame_files(pictures(1, 1))
    refused(running_service, lambda client: client.post("/search", data=options, files=files), 422)


def test_options_in_the_form_and_in_the_query_must_not_disagree(running_service: RunningService) -> None:
    files = frame_files(pictures(1, 1))
    refused(running_service, lambda client: client.post("/search?k=1", data={"k": "2"}, files=files), 422)


def test_a_search_by_frames_takes_no_query_id(running_service: RunningService, stored: dict) -> None:
    files = frame_files(pictures(1, 1))
    refused(running_service, lambda client: client.post(f"/search?query_id={stored['id']}", files=files), 422)


@pytest.mark.parametrize("query", ["", "?k=3", "?query_id="], ids=["bare", "only k", "empty"])
def test_a_search_without_a_query_is_refused(running_service: RunningService, query: str) -> None:
    refused(running_service, lambda client: client.get(f"/search{query}"), 422)


def test_two_queries_are_refused(running_service: RunningService, stored: dict) -> None:
    twice = f"/search?query_id={stored['id']}&query_id={uuid.uuid4()}"
    refused(running_service, lambda client: client.get(twice), 422)


def test_an_unknown_query_is_not_found(running_service: RunningService, stored: dict) -> None:
    unknown = {"query_id": str(uuid.uuid4())}
    elsewhere = {"query_id": stored["id"], "gallery": "elsewhere"}
    refused(running_service, lambda client: client.get("/search", params=unknown), 404)
    refused(running_service, lambda client: client.get("/search", params=elsewhere), 404)


def test_a_query_of_another_gallery_is_not_found(running_service: RunningService, stored: dict) -> None:
    with running_service.client() as client:
        assert upload(client, gallery="neighbour").status_code == 201
        params = {"query_id": stored["id"], "gallery": "neighbour"}
        assert problem(client.get("/search", params=params), 404)["code"]


def test_a_search_in_an_unknown_gallery_makes_no_gallery(running_service: RunningService) -> None:
    files = frame_files(pictures(1, 1))
    with nothing_changes(running_service), running_service.client() as client:
        answer = client.post("/search", params={"gallery": "unheard-of"}, files=files)
        # An empty ranking would hide a misspelt name.
        problem(answer, 404)


@pytest.mark.parametrize("path", ["/tracklets", "/identities", "/matches", "/cameras", "/changes", "/calibrations"])
def test_a_list_of_an_unknown_gallery_is_not_found(running_service: RunningService, path: str) -> None:
    refused(running_service, lambda client: client.get(path, params={"gallery": "unheard-of"}), 404)


def test_a_list_over_all_galleries_knows_its_galleries_but_for_jobs(running_service: RunningService) -> None:
    unknown = {"gallery": "unheard-of"}
    refused(running_service, lambda client: client.get("/admin/generations", params=unknown), 404)
    with running_service.client() as client:
        # Jobs outlive their galleries.
        assert client.get("/jobs", params=unknown).json()["items"] == []


BAD_LISTS = {
    "limit of 501": "limit=501",
    "limit of zero": "limit=0",
    "limit of -1": "limit=-1",
    "limit of 1e2": "limit=1e2",
    "limit in words": "limit=all",
    "limit twice": "limit=1&limit=2",
    "limit of 10**30": "limit=1" + "0" * 30,
    "unknown option": "offset=1",
    "gallery with nul": "gallery=%00",
    "gallery twice": "gallery=a&gallery=b",
    "empty cursor": "cursor=",
    "cursor of rubbish": "cursor=rubbish",
    "cursor with nul": "cursor=%00",
    "cursor of base64 json": "cursor=eyJhIjogMX0=",
    "cursor of json": "cursor=%7B%7D",
    "cursor of a number": "cursor=99999999999999999999999999",
    "cursor of sql": "cursor=%27%3B--",
    "cursor of a path": "cursor=../../x",
    "cursor beyond ascii": "cursor=%C3%A9%F0%9F%98%80",
    "cursor that is not utf-8": "cursor=%ff",
    "long cursor": "cursor=" + "a" * 5000,
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_a_bad_list_option_is_refused(running_service: RunningService, name: str) -> None:
    refused(running_service, lambda client: client.get(f"/tracklets?{BAD_LISTS[name]}"), 400, 422)


def test_a_damaged_cursor_pages_on_or_is_refused(running_service: RunningService) -> None:
    with running_service.client() as client:
        for seed in range(3):
            assert upload(client, gallery="paged", frames=pictures(seed, 1)).status_code == 201
        cursor = client.get("/tracklets", params={"gallery": "paged", "limit": 1}).json()["next_cursor"]
        damaged = [cursor[:end] for end in range(1, len(cursor))]
        damaged += [cursor[:place] + "A" + cursor[place + 1 :] for place in range(len(cursor))]
        for value in damaged:
            answer = client.get("/tracklets", params={"gallery": "paged", "limit": 1, "cursor": value})
            if answer.status_code != 200:
                problem(answer, 400, 422)


def test_a_cursor_of_another_gallery_shows_nothing_of_it(running_service: RunningService) -> None:
    with running_service.client() as client:
        for gallery in ("mine", "mine", "yours", "yours"):
            assert upload(client, gallery=gallery).status_code == 201
        cursor = client.get("/tracklets", params={"gallery": "mine", "limit": 1}).json()["next_cursor"]
        answer = client.get("/tracklets", params={"gallery": "yours", "cursor": cursor})
        if answer.status_code == 200:
            assert {item["gallery"] for item in answer.json()["items"]} <= {"yours"}
        else:
            problem(answer, 400, 422)


NOT_IDS = {
    "word": "abc",
    "number": "1",
    "short": "00000000-0000-0000-0000-00000000000",
    "long": "00000000-0000-0000-0000-0000000000000",
    "not hex": "00000000-0000-0000-0000-00000000000g",
    "nul": "%00",
    "nul at the end": "00000000-0000-0000-0000-000000000000%00",
    "not utf-8": "%ff%fe",
    "surrogate": "%ed%a0%80",
    "digits of another script": "%D9%A0" * 32,
    "5,000 characters": "a" * 5000,
    "blank": "%20",
    "markup": "%3Cscript%3E",
}
RESOURCES: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "read a tracklet": lambda client, identifier: client.get(f"/tracklets/{identifier}"),
    "delete a tracklet": lambda client, identifier: client.delete(f"/tracklets/{identifier}"),
    "read a frame": lambda client, identifier: client.get(f"/tracklets/{identifier}/frames/0"),
    "search": lambda client, identifier: client.get(f"/search?query_id={identifier}"),
    "read a job": lambda client, identifier: client.get(f"/jobs/{identifier}"),
    "revoke a key": lambda client, identifier: client.delete(f"/admin/keys/{identifier}"),
}


@pytest.mark.parametrize("name", NOT_IDS)
@pytest.mark.parametrize("resource", RESOURCES)
def test_what_is_no_id_is_refused(running_service: RunningService, resource: str, name: str) -> None:
    with running_service.client() as client:
        problem(RESOURCES[resource](client, NOT_IDS[name]), 404, 422)


@pytest.mark.parametrize("resource", RESOURCES)
def test_an_id_that_nothing_has_is_not_found(running_service: RunningService, resource: str) -> None:
    refused(running_service, lambda client: RESOURCES[resource](client, str(uuid.uuid4())), 404)
    refused(running_service, lambda client: RESOURCES[resource](client, str(uuid.UUID(int=0))), 404)


@pytest.mark.parametrize("position", ["2", "-1", "1e3", str(2**31), str(2**63), "9" * 5000, "a", "0.5", "%00", "0%00"])
def test_a_frame_position_out_of_range_is_refused(running_service: RunningService, stored: dict, position: str) -> None:
    url = f"/tracklets/{stored['id']}/frames/{position}"
    refused(running_service, lambda client: client.get(url), 404, 422)
