"""Nothing crosses a gallery: whatever is asked of one, with ids of another, shows nothing of the other."""

import re
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support import RunningService, frame_files, pictures, upload, wait_until


@dataclass(frozen=True)
class Place:
    """A gallery of a test, and what names something in it."""

    name: str
    tracklet: str
    another: str
    camera: str
    identity: str
    names: frozenset[str]


def furnish(running: RunningService, client: httpx.Client, seed: int) -> Place:
    """A gallery with two tracklets, a matrix, and a job that is over."""
    gallery, camera = f"g{uuid.uuid4().hex[:12]}", f"camera-{uuid.uuid4().hex}"
    names, ids = {camera}, []
    for number in range(2):
        own = {"external_id": uuid.uuid4().hex, "identity": uuid.uuid4().hex}
        stored = upload(
            running, seed, gallery=gallery, camera_id=camera, started_at="2025-01-01T00:00:00Z", **own,
            labels={own["identity"]: number},
        )  # fmt: skip
        ids.append(stored["id"])
        names |= {stored["id"], *own.values()}
    matrix = {"cameras": [camera], "min_seconds": [[0]], "max_seconds": [[None]]}
    assert client.put(f"/galleries/{gallery}/transits", json=matrix).status_code == 200
    job = client.post("/admin/reindex", json={"gallery": gallery}).json()["id"]
    wait_until(lambda: client.get(f"/jobs/{job}").json()["finished_at"])
    identities = [one["id"] for one in client.get("/identities", params={"gallery": gallery}).json()["items"]]
    return Place(gallery, ids[0], ids[1], camera, identities[0], frozenset(names | {gallery, job, *identities}))


@pytest.fixture(scope="module")
def places(running_service: RunningService) -> tuple[Place, Place]:
    """Two galleries that hold the same pictures."""
    with running_service.client() as client:
        return furnish(running_service, client, 1), furnish(running_service, client, 1)


def shown(answer: httpx.Response, place: Place) -> list[str]:
    """What an answer shows of a gallery."""
    return [one for one in place.names if one in answer.text]


def parameters_of(path: str, operation: dict[str, Any]) -> set[str]:
    """Names of the parameters that an operation takes, of its form and its JSON body, too."""
    names = {one["name"] for one in operation.get("parameters", [])}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        names |= set(content["schema"].get("properties", {}))
    return names | ({"gallery"} if path.startswith("/galleries/{name}") else set())


def test_every_read_of_one_gallery_shows_nothing_of_another(
    running_service: RunningService, places: tuple[Place, Place]
) -> None:
    here, other = places
    values = {"gallery": here.name, "name": here.name, "query_id": here.tracklet, "tracklet_id": here.tracklet}
    values |= {"position": "0", "against": here.another, "format": "json", "identity_id": here.identity}
    walked = []
    with running_service.client() as client:
        for path, operations in client.get("/openapi.json").json()["paths"].items():
            operation = operations.get("get")
            if operation is None or not parameters_of(path, operation) & {
                "gallery",
                "tracklet_id",
                "query_id",
                "identity_id",
            }:
                continue
            given = {
                one["name"]: values[one["name"]]
                for one in operation.get("parameters", [])
                if one["in"] == "query" and (one.get("required") or one["name"] == "gallery")
            }
            # A name is a camera's below its gallery.
            named = values | ({"name": here.camera} if path == "/cameras/{gallery}/{name}" else {})
            address = re.sub(r"\{(\w+)\}", lambda found, named=named: named[found[1]], path)
            answer = client.get(address, params=given)
            assert answer.status_code == 200, f"{address}: {answer.text}"
            assert shown(answer, other) == [], address
            walked.append(path)
    assert {"/search", "/tracklets", "/cameras", "/jobs", "/galleries/{name}", "/admin/integrity"} <= set(walked)
    assert {"/cameras/{gallery}/{name}", "/tracklets/{tracklet_id}/history"} <= set(walked)


def test_an_id_of_another_gallery_is_of_no_use(running_service: RunningService, places: tuple[Place, Place]) -> None:
    here, other = places
    with running_service.client() as client:
        before = {place.name: client.get(f"/galleries/{place.name}/transits").json() for place in places}
        gone = [
            client.get("/search", params={"gallery": here.name, "query_id": other.tracklet}),
            client.get("/search/export", params={"gallery": here.name, "query_id": other.tracklet, "format": "csv"}),
            client.post("/search/examples", json={"gallery": here.name, "positive": [here.tracklet, other.tracklet]}),
            client.get(f"/tracklets/{here.tracklet}/evidence", params={"against": other.tracklet}),
            client.post(f"/identities/{here.identity}/tracklets", json={"tracklet_ids": [other.tracklet]}),
            client.post(f"/identities/{here.identity}/merge", json={"from_id": other.identity}),
        ]
        for place, pair in ((here, (here, other)), (here, (other, other)), (other, (here, other))):
            asked = {"tracklet_id": pair[0].tracklet, "other_tracklet_id": pair[1].another}
            gone.append(client.post("/verify", json={"gallery": place.name, **asked}))
        decided = {"gallery": here.name, "tracklet_id": here.tracklet, "verdict": "same"}
        gone.append(client.post("/matches", json={**decided, "other_tracklet_id": other.tracklet}))
        gone.append(client.post("/matches", json={**decided, "identity_id": other.identity}))
        assert [answer.status_code for answer in gone] == [404] * len(gone), [answer.text for answer in gone]
        batch = client.post("/search/batch", json={"queries": [{"gallery": here.name, "query_id": other.tracklet}]})
        assert [one["problem"]["code"] for one in batch.json()["items"]] == ["not_found"]
        matrix = {"cameras": [other.camera], "min_seconds": [[5]], "max_seconds": [[None]]}
        assert client.put(f"/galleries/{here.name}/transits", json=matrix).status_code == 422
        assert client.delete(f"/cameras/{here.name}/{other.camera}").status_code == 404
        found = client.post("/search", data={"gallery": here.name, "k": "100"}, files=frame_files(pictures(1)))
        assert len(found.json()["results"]) == 2
        assert shown(found, other) == []
        for option in ("camera_id", "identity"):
            value = other.camera if option == "camera_id" else min(other.names)
            given = {"gallery": here.name, "query_id": here.tracklet, option: value}
            assert client.get("/search", params=given).json()["results"] == []
        # The same camera name is another camera.
        client.put(f"/cameras/{here.name}/{other.camera}", json={"place": "here"})
        cameras = client.get("/cameras", params={"gallery": other.name}).json()["items"]
        assert [one["place"] for one in cameras] == [None]
        assert client.delete(f"/cameras/{here.name}/{other.camera}").status_code == 204
        after = {place.name: client.get(f"/galleries/{place.name}/transits").json() for place in places}
        assert after == before


def test_equal_external_ids_of_two_galleries_are_two_tracklets(running_service: RunningService) -> None:
    galleries = [f"g{uuid.uuid4().hex[:12]}" for _ in range(2)]
    stored = [upload(running_service, 1, gallery=gallery, external_id="same") for gallery in galleries]
    assert stored[0]["id"] != stored[1]["id"]
