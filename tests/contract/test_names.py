"""A name has something to see and nothing around it, wherever it is given; names from before that can be read."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from service.client import TfclipClient
from tests.contract.outsider import nothing_changes, problem, refused, upload
from tests.service.ingest.archives import fates, manifest, report, tar_of
from tests.support import ADMIN_KEY, RunningService, frame_files, pictures, search
from tests.support import upload as store

BAD_NAMES = {
    "a blank": " ",
    "a tab": "\t",
    "an ideographic space": "\u3000",
    "a joiner of nothing": "\u200d",
    "a mark on nothing": "\u0301",
    "Braille without a dot": "\u2800",
    "before": " Ann",
    "after": "Ann\u00a0",
    "a direction before": "\u200eAnn",
    "no width after": "Ann\u200b",
    "a line break": "Ann\n",
    "an escape sequence": "Ann\x1b[2J",
}
SAID = ("must have a visible character", "must not begin or end with white space", "without control characters")
NOBODY = "00000000-0000-0000-0000-000000000000"

WAYS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "camera of an upload": lambda client, name: upload(client, camera_id=name),
    "identity of an upload": lambda client, name: upload(client, identity=name),
    "external id of an upload": lambda client, name: upload(client, external_id=name),
    "label of an upload": lambda client, name: upload(client, labels={name: 1}),
    "camera in a path": lambda client, name: client.put(f"/cameras/default/{quote(name)}", json={}),
    "identity": lambda client, name: client.post("/identities", json={"name": name}),
    "renamed identity": lambda client, name: client.patch(f"/identities/{NOBODY}", json={"name": name}),
    "identity of a tracklet": lambda client, name: client.patch(f"/tracklets/{NOBODY}", json={"identity": name}),
    "label of a tracklet": lambda client, name: client.patch(f"/tracklets/{NOBODY}", json={"labels": {name: 1}}),
    "key": lambda client, name: client.post("/admin/keys", json={"name": name, "scopes": ["read"]}),
    "model": lambda client, name: client.post(
        "/admin/models", params={"name": name}, content=b"", headers={"Content-Type": "application/octet-stream"}
    ),
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_with_nothing_to_see_or_with_something_unseen_around_it_is_refused(
    running_service: RunningService, name: str
) -> None:
    with nothing_changes(running_service), running_service.client() as client:
        for way, send in WAYS.items():
            body = problem(send(client, BAD_NAMES[name]), 422)
            assert any(said in body["detail"] for said in SAID), (way, body["detail"])


def test_names_of_every_script_are_kept_as_they_were_sent(running_service: RunningService) -> None:
    # A mark and a variation selector at the end, and a joiner within.
    for name in ("Ame\u0301lie, Zoe\u0301", "\u2764\ufe0f", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\uae40"):
        kept = store(running_service, 8, 1, gallery="scripts", external_id=name, identity=name, camera_id=name)
        assert (kept["external_id"], kept["identity"], kept["camera_id"]) == (name, name, name)


def test_a_camera_whose_name_is_a_step_in_a_path_is_reached_all_the_same(running_service: RunningService) -> None:
    with running_service.client() as client, TfclipClient(running_service.url, ADMIN_KEY) as ours:
        ours.create_gallery("steps")
        for name in (".", "..", "a/../b", "..."):
            made = client.put(f"/cameras/steps/{quote(name, safe='').replace('.', '%2E')}", json={})
            address = made.headers["location"]
            assert client.get(address).json()["name"] == name
            assert ours.put_camera("steps", name, place="Gate") == ours.get_camera("steps", name)
            assert client.get(address).json()["place"] == "Gate"
            ours.delete_camera("steps", name)
            problem(client.get(address), 404)


def test_prose_is_free_but_not_blank(running_service: RunningService) -> None:
    with nothing_changes(running_service), running_service.client() as client:
        for field in ("description", "purpose", "legal_basis"):
            body = problem(client.post("/galleries", json={"name": "prose", field: "\u3000 "}), 422)
            assert body["errors"] == [{"location": f"body.{field}", "message": "must have a visible character"}]


def test_a_place_is_not_blank(running_service: RunningService) -> None:
    refused(running_service, lambda client: client.put("/cameras/default/hall", json={"place": " "}), 422)


def test_lines_of_a_manifest_with_bad_names_fail_alone(running_service: RunningService) -> None:
    lines = [
        {"external_id": "1", "frames": ["1.jpg"], "camera_id": " "},
        {"external_id": "2", "frames": ["1.jpg"], "identity": "Ann "},
        {"external_id": " 3", "frames": ["1.jpg"]},
        {"external_id": "4", "frames": ["1.jpg"], "labels": {"\u200b": 1}},
        {"external_id": "5", "frames": ["1.jpg"]},
    ]
    found = report(running_service, tar_of([manifest(lines), ("1.jpg", pictures(7, 1)[0])]), "manifest")
    assert fates(found) == [(line, "failed", "invalid_request") for line in range(1, 5)] + [(5, "created", None)]
    assert all(any(said in item["problem"]["detail"] for said in SAID) for item in found["items"][:4])


def test_prose_is_kept_as_it_was_sent(running_service: RunningService) -> None:
    with running_service.client() as client:
        made = client.post("/galleries", json={"name": "prose", "purpose": " as I like it "})
    assert made.json()["purpose"] == " as I like it "


def test_names_from_before_can_be_read_and_left(running_service: RunningService) -> None:
    """As an earlier version stored them: the database takes any text."""
    one, other = (
        store(running_service, seed, gallery="old", camera_id=camera, identity="Ann", external_id=f"{seed}")["id"]
        for seed, camera in ((21, "left"), (22, "right"))
    )
    with running_service.database() as connection:
        connection.execute("UPDATE cameras SET name = ' ' WHERE name = 'left'")
        connection.execute("UPDATE identities SET name = 'Ann ' WHERE name = 'Ann'")
        connection.execute("UPDATE tracklets SET external_id = ' ', labels = '{\" \": 1}' WHERE id = %s", (one,))
    with running_service.client() as client:
        stored = client.get(f"/tracklets/{one}").json()
        assert (stored["camera_id"], stored["identity"], stored["labels"]) == (" ", "Ann ", {" ": 1})
        assert client.get("/tracklets", params={"gallery": "old"}).json()["items"][1] == stored
        assert search(running_service, other, gallery="old")["results"][0]["camera_id"] == " "
        (person,) = client.get("/identities", params={"gallery": "old"}).json()["items"]
        seen = client.get(f"/identities/{person['id']}").json()["cameras"]
        assert [one["camera_id"] for one in seen] == [" ", "right"]
        assert client.patch(f"/identities/{person['id']}", json={"name": "Ann"}).json()["name"] == "Ann"
        matrix = {"cameras": [" ", "right"], "min_seconds": [[0, 1], [1, 0]], "max_seconds": [[None, 9], [9, None]]}
        assert client.put("/galleries/old/transits", json=matrix).json() == matrix
        assert client.get("/galleries/old/transits").json() == matrix
        cameras = client.get("/cameras", params={"gallery": "old"}).json()["items"]
        assert [one["name"] for one in cameras] == [" ", "right"]
        moved = client.put("/cameras/old/%20", json={"time_offset_seconds": 5})
        assert (moved.status_code, moved.json()["time_offset_seconds"]) == (200, 5)
        assert client.delete("/cameras/old/%20").status_code == 409
        assert client.delete(f"/tracklets/{one}").status_code == 204
        assert client.delete("/cameras/old/%20").status_code == 204
        problem(client.put("/cameras/old/%20", json={}), 422)


@pytest.fixture
def old(running_service: RunningService) -> dict[str, Any]:
    """A tracklet whose names an earlier version stored, in a gallery of its own."""
    gallery = f"g{uuid.uuid4().hex[:12]}"
    store(running_service, 31, gallery=gallery, camera_id="left", identity="Ann", external_id="1", labels={"a": 1})
    store(running_service, 32, gallery=gallery, camera_id="right", external_id="2")
    with running_service.database() as connection:
        mine = "gallery_id = (SELECT id FROM galleries WHERE name = %s)"
        connection.execute(f"UPDATE cameras SET name = ' ' WHERE name = 'left' AND {mine}", [gallery])
        connection.execute(f"UPDATE identities SET name = 'Ann ' WHERE {mine}", [gallery])
        connection.execute(
            f"UPDATE tracklets SET external_id = ' 1', labels = '{{\" \": 1}}' WHERE external_id = '1' AND {mine}",
            [gallery],
        )
    with running_service.client() as client:
        # The index reads a row anew that was changed.
        (stored,) = [
            one
            for one in client.get("/tracklets", params={"gallery": gallery}).json()["items"]
            if one["external_id"] == " 1"
        ]
        again = client.patch(f"/tracklets/{stored['id']}", json={"labels": stored["labels"]})
    assert again.status_code == 200
    return again.json()


def test_names_from_before_can_be_searched_for(running_service: RunningService, old: dict[str, Any]) -> None:
    def found(**filters: object) -> list[str]:
        answer = client.post(
            "/search", params={"gallery": old["gallery"]} | filters, files=frame_files(pictures(31, 2))
        )
        assert answer.status_code == 200, answer.text
        return [one["tracklet_id"] for one in answer.json()["results"]]

    with running_service.client() as client:
        for one in ({"camera_id": " "}, {"identity": "Ann "}, {"labels": '{" ": 1}'}):
            assert found(**one) == [old["id"]], one
        assert old["id"] not in found(exclude_camera_id=" ")
        assert old["id"] not in found(query_camera_id=" ", exclude_query_camera=True)
        asked = {"gallery": old["gallery"], "camera_id": " "}
        assert client.get("/identities/proposals", params=asked).status_code == 200
        problem(client.get("/search", params={"query_id": old["id"], "camera_id": "a\n"}), 422)


def test_a_tracklet_keeps_the_names_that_it_has_from_before(
    running_service: RunningService, old: dict[str, Any]
) -> None:
    path = f"/tracklets/{old['id']}"
    with running_service.client() as client:
        changed = client.patch(path, json={"labels": old["labels"] | {"b": 2}, "identity": "Ann "})
        assert (changed.status_code, changed.json()["labels"]) == (200, {" ": 1, "b": 2})
        assert changed.json()["identity"] == "Ann "
        for new in ({"labels": {" ": 1, "b ": 2}}, {"identity": "Ann  "}, {"labels": {" ": 1}, "identity": " "}):
            problem(client.patch(path, json=new), 422)
        assert client.get(path).json() == changed.json()


def test_an_upload_from_before_may_be_sent_again(running_service: RunningService, old: dict[str, Any]) -> None:
    frames = pictures(31, 3)
    said = {"camera_id": " ", "external_id": " 1", "identity": "Ann ", "labels": {" ": 1}}

    def send(metadata: dict[str, Any], files: list[bytes]) -> httpx.Response:
        form = {"metadata": json.dumps({"gallery": old["gallery"]} | metadata)}
        return client.post("/tracklets", data=form, files=frame_files(files))

    with running_service.client() as client:
        again = send(said, frames)
        assert (again.status_code, again.json()["id"]) == (200, old["id"])
        problem(send(said, pictures(33, 1)), 409)
        with nothing_changes(running_service):
            problem(send(said | {"external_id": " 3"}, frames), 422)
            problem(send(said | {"gallery": "never-made"}, frames), 422)
