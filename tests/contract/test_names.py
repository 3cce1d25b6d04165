"""A name has something to see and nothing around it, wherever it is given; names from before that can be read."""

import json
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from tests.contract.outsider import nothing_changes, problem, refused, upload
from tests.service.ingest.archives import fates, manifest, report, tar_of
from tests.support import RunningService, frame_files, pictures, search
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
FRAMES = frame_files(pictures(1, 1))
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
    "camera of a search": lambda client, name: client.get("/search", params={"query_id": NOBODY, "camera_id": name}),
    "identity of a search": lambda client, name: client.post(
        "/search/examples", json={"positive": [NOBODY], "identity": [name]}
    ),
    "label of a search": lambda client, name: client.get(
        "/search", params={"query_id": NOBODY, "labels": json.dumps({name: 1})}
    ),
    "camera of frames": lambda client, name: client.post("/search", data={"query_camera_id": name}, files=FRAMES),
    "camera of proposals": lambda client, name: client.get("/identities/proposals", params={"camera_id": name}),
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
        assert client.delete("/cameras/old/%20").status_code == 409
        assert client.delete(f"/tracklets/{one}").status_code == 204
        assert client.delete("/cameras/old/%20").status_code == 204
