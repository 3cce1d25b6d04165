"""Identities over HTTP: made, read, listed, renamed, deleted; tracklets given and taken; versions."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from service.store.database import conninfo
from tests.service.identities.people import (
    assert_explained,
    call,
    conflict,
    identity_of,
    new_identity,
    unchanged,
)
from tests.support import RunningService, blocked_by, search, upload, wait_until

NOBODY = uuid.UUID(int=0)
AT = ("started_at", "ended_at")


def fresh(running: RunningService, count: int, **metadata: object) -> list[str]:
    """Ids of new tracklets."""
    return [upload(running, seed, 1, **metadata)["id"] for seed in range(count)]


def appearances(running: RunningService, identity_id: str) -> list[dict[str, Any]]:
    """All appearances of an identity, one on each page."""
    found, cursor = [], ""
    while cursor is not None:
        page = call(running, "GET", f"/identities/{identity_id}/appearances?limit=1{cursor and f'&cursor={cursor}'}")
        found += page["items"]
        cursor = page["next_cursor"]
    return found


def test_an_identity_is_made_of_tracklets_and_found_by_searches_at_once(running_service: RunningService) -> None:
    one, two, three = fresh(running_service, 3)
    with running_service.client() as client:
        answer = client.post("/identities", json={"name": "Ann", "tracklet_ids": [one, two]})
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == f"/identities/{body['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (body["name"], body["tracklets"], body["merged_into"]) == ("Ann", 2, None)
    found = search(running_service, three, identity="Ann")["results"]
    assert {hit["tracklet_id"] for hit in found} == {one, two}
    assert {hit["identity"] for hit in found} == {"Ann"}
    assert_explained(running_service)


def test_a_name_is_taken_once_in_a_gallery_and_free_in_another(running_service: RunningService) -> None:
    upload(running_service, 1, 1, gallery="elsewhere")
    first = new_identity(running_service, "Bo")
    code, detail = conflict(running_service, "POST", "/identities", {"name": "Bo"})
    assert code == "identity_exists"
    assert first in detail
    new_identity(running_service, "Bo", gallery="elsewhere")
    call(running_service, "POST", "/identities", {"gallery": "nowhere", "name": "Bo"}, 404)


def test_details_say_which_cameras_saw_an_identity_and_when(running_service: RunningService) -> None:
    times = ["2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"]
    ids = [
        upload(running_service, 1, 1, camera_id="gate", started_at=times[1], ended_at=times[2], identity="Cem")["id"],
        upload(running_service, 2, 1, camera_id="gate", started_at=times[0], identity="Cem")["id"],
        upload(running_service, 3, 1, camera_id="hall", identity="Cem")["id"],
    ]
    (listed,) = [one for one in call(running_service, "GET", "/identities")["items"] if one["name"] == "Cem"]
    found = call(running_service, "GET", f"/identities/{listed['id']}")
    assert (found["tracklets"], found["first_seen"], found["last_seen"]) == (3, times[0], times[2])
    assert [(seen["camera_id"], seen["tracklets"], seen["last_seen"]) for seen in found["cameras"]] == [
        ("gate", 2, times[2]),
        ("hall", 1, None),
    ]
    pages = appearances(running_service, listed["id"])
    assert [one["tracklet_id"] for one in pages] == [ids[1], ids[0], ids[2]]
    assert [one["camera_id"] for one in pages] == ["gate", "gate", "hall"]


def test_appearances_are_told_by_one_clock(running_service: RunningService) -> None:
    offsets = {"gate": 0.0, "hall": -90.1234567, "yard": 3600.5}
    begun = datetime(2026, 1, 1, 10, tzinfo=UTC)
    stored = []
    for number in range(9):
        camera, started = sorted(offsets)[number % 3], begun + timedelta(seconds=31 * number)
        times = {"started_at": started.isoformat(), "ended_at": (started + timedelta(seconds=5)).isoformat()}
        given = {} if number == 7 else times
        stored.append(upload(running_service, number, 1, gallery="clocks", camera_id=camera, identity="Fay", **given))
    (fay,) = call(running_service, "GET", "/identities?gallery=clocks")["items"]
    by_their_own = [one["tracklet_id"] for one in appearances(running_service, fay["id"])]
    assert by_their_own == [one["id"] for one in stored if one["started_at"]] + [stored[7]["id"]]

    for camera, offset in offsets.items():
        call(running_service, "PUT", f"/cameras/clocks/{camera}", {"time_offset_seconds": offset})

    def moved(time: str | None, camera: str) -> datetime | None:
        return time and datetime.fromisoformat(time) + timedelta(microseconds=round(offsets[camera] * 1e6))

    expected = [
        (moved(one["started_at"], one["camera_id"]), moved(one["ended_at"], one["camera_id"]), one["id"])
        for one in stored
    ]
    expected.sort(key=lambda row: row[0] or datetime.max.replace(tzinfo=UTC))
    found = appearances(running_service, fay["id"])
    shown = [(*(one[at] and datetime.fromisoformat(one[at]) for at in AT), one["tracklet_id"]) for one in found]
    assert shown == expected
    assert shown != [row for identifier in by_their_own for row in expected if row[2] == identifier]
    assert {one["camera_id"]: one["time_offset_seconds"] for one in found} == offsets
    # The tracklets themselves are as they were uploaded.
    assert call(running_service, "GET", f"/tracklets/{stored[1]['id']}")["started_at"] == stored[1]["started_at"]
    details = call(running_service, "GET", f"/identities/{fay['id']}")
    first, last = expected[0][0], max(row[1] for row in expected if row[1])
    assert [datetime.fromisoformat(details[name]) for name in ("first_seen", "last_seen")] == [first, last]
    seen = {one["camera_id"]: datetime.fromisoformat(one["first_seen"]) for one in details["cameras"]}
    assert seen == {camera: moved(stored[n]["started_at"], camera) for n, camera in enumerate(sorted(offsets))}


def test_the_thumbnail_is_of_the_tracklet_nearest_to_the_mean(running_service: RunningService) -> None:
    ids = [upload(running_service, seed, 2, gallery="portraits", identity="Dee")["id"] for seed in range(7)]
    with running_service.database() as connection:
        rows = connection.execute(
            "SELECT tracklet_id::text, vector FROM descriptors JOIN tracklets ON tracklets.id = tracklet_id"
            " JOIN galleries ON galleries.id = gallery_id WHERE name = 'portraits' ORDER BY 1"
        ).fetchall()
    assert {identifier for identifier, _ in rows} == set(ids)
    vectors = np.stack([np.frombuffer(vector, "<f4").astype(np.float64) for _, vector in rows])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = rows[int((vectors @ vectors.mean(axis=0)).argmax())][0]
    (dee,) = call(running_service, "GET", "/identities?gallery=portraits")["items"]
    details = call(running_service, "GET", f"/identities/{dee['id']}")
    assert details["thumbnail_url"] == f"/tracklets/{nearest}/frames/1"
    empty = new_identity(running_service, "nobody yet", gallery="portraits")
    assert call(running_service, "GET", f"/identities/{empty}")["thumbnail_url"] is None


def test_lists_page_through_every_identity_newest_first(running_service: RunningService) -> None:
    upload(running_service, 1, 1, gallery="long")
    made = [new_identity(running_service, f"p{number}", gallery="long") for number in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = call(running_service, "GET", f"/identities?gallery=long&limit=2{cursor and f'&cursor={cursor}'}")
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_a_renamed_identity_keeps_its_tracklets_and_is_found_by_the_new_name(running_service: RunningService) -> None:
    ids = fresh(running_service, 2)
    eva = new_identity(running_service, "Eva", *ids)
    renamed = call(running_service, "PATCH", f"/identities/{eva}", {"name": "Eve"})
    assert (renamed["name"], renamed["tracklets"], renamed["version"]) == ("Eve", 2, 2)
    assert {hit["tracklet_id"] for hit in search(running_service, ids[0], identity="Eve")["results"]} == {ids[1]}
    assert search(running_service, ids[0], identity="Eva")["results"] == []
    new_identity(running_service, "Eva")
    assert conflict(running_service, "PATCH", f"/identities/{eva}", {"name": "Eva"})[0] == "identity_exists"
    event = call(running_service, "GET", f"/identities/{eva}/history")["items"][0]
    assert (event["kind"], event["details"]) == ("renamed", {"name": "Eve", "former_name": "Eva"})
    assert event["done_by"] == "TFCLIP_ADMIN_KEY"
    assert_explained(running_service)


def test_a_name_that_an_upload_takes_meanwhile_is_refused_and_nothing_is_renamed(
    running_service: RunningService,
) -> None:
    (one,) = fresh(running_service, 1)
    guy = new_identity(running_service, "Guy", one)
    insert = (
        "INSERT INTO identities (id, gallery_id, name) SELECT gen_random_uuid(), id, 'Guido' FROM galleries"
        " WHERE name = 'default'"
    )
    with psycopg.connect(conninfo(running_service.database_url)) as uploading, ThreadPoolExecutor(1) as threads:
        uploading.execute(insert)
        renaming = threads.submit(conflict, running_service, "PATCH", f"/identities/{guy}", {"name": "Guido"})
        wait_until(lambda: renaming.done() or blocked_by(running_service, uploading))
        uploading.commit()
        assert renaming.result(60)[0] == "identity_exists"
    (event,) = call(running_service, "GET", f"/identities/{guy}/history")["items"]
    assert event["kind"] == "created"
    assert call(running_service, "GET", f"/tracklets/{one}")["identity"] == "Guy"


@pytest.mark.parametrize("thing", ["identity", "tracklet"])
def test_a_change_of_another_version_than_the_one_that_was_read_is_refused(
    running_service: RunningService, thing: str
) -> None:
    (one,) = fresh(running_service, 1)
    fay = new_identity(running_service, f"Fay and her {thing}", one)
    path, first, second = {
        "identity": (f"/identities/{fay}", {"name": f"{thing} 1"}, {"name": f"{thing} 2"}),
        "tracklet": (f"/tracklets/{one}", {"labels": {"a": 1}}, {"labels": {"a": 2}}),
    }[thing]
    with running_service.client() as client:
        tag = client.get(path).headers["etag"]
        assert client.patch(path, json=first, headers={"If-Match": tag}).status_code == 200
        for stale in (tag, f"W/{client.get(path).headers['etag']}", "nonsense", '"99"'):
            refused = client.patch(path, json=second, headers={"If-Match": stale})
            assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
        now = client.get(path).headers["etag"]
        for fitting in (f"{tag}, {now}", "*"):
            assert client.patch(path, json=second, headers={"If-Match": fitting}).status_code == 200
        if thing == "identity":
            assert client.delete(path, headers={"If-Match": tag}).status_code == 412
            assert client.delete(path, headers={"If-Match": client.get(path).headers["etag"]}).status_code == 204


def test_a_deleted_identity_leaves_its_tracklets_and_its_history(running_service: RunningService) -> None:
    ids = fresh(running_service, 2)
    gus = new_identity(running_service, "Gus", *ids)
    call(running_service, "DELETE", f"/identities/{gus}", status=204)
    call(running_service, "GET", f"/identities/{gus}", status=404)
    assert [identity_of(running_service, one) for one in ids] == [None, None]
    assert {hit["tracklet_id"] for hit in search(running_service, ids[0], identity_known=False)["results"]} >= {ids[1]}
    assert [event["kind"] for event in call(running_service, "GET", f"/identities/{gus}/history")["items"]] == [
        "deleted",
        "created",
    ]
    new_identity(running_service, "Gus", *ids)
    assert_explained(running_service)


def test_tracklets_of_another_identity_are_moved_only_when_that_is_asked_for(running_service: RunningService) -> None:
    one, two, three = fresh(running_service, 3)
    hal, ida = new_identity(running_service, "Hal", one), new_identity(running_service, "Ida", two)
    with unchanged(running_service):
        problem = call(running_service, "POST", f"/identities/{hal}/tracklets", {"tracklet_ids": [two, three]}, 409)
    assert problem["code"] == "identity_conflict"
    assert [error["location"] for error in problem["errors"]] == [two]
    assert "Ida" in problem["errors"][0]["message"]
    body = {"tracklet_ids": [one, two, three], "move": True}
    assert call(running_service, "POST", f"/identities/{hal}/tracklets", body)["tracklets"] == 3
    assert call(running_service, "GET", f"/identities/{ida}")["tracklets"] == 0
    assert [identity_of(running_service, each) for each in (one, two, three)] == ["Hal"] * 3
    with unchanged(running_service):
        call(running_service, "POST", f"/identities/{hal}/tracklets", body)
        body = {"tracklet_ids": [one, str(NOBODY)]}
        assert str(NOBODY) in call(running_service, "POST", f"/identities/{ida}/tracklets", body, 404)["detail"]
        assert conflict(running_service, "POST", "/identities", {"name": "Jon", "tracklet_ids": [one]})
        call(running_service, "DELETE", f"/identities/{ida}/tracklets/{one}", status=404)
    call(running_service, "DELETE", f"/identities/{hal}/tracklets/{one}", status=204)
    assert identity_of(running_service, one) is None
    assert_explained(running_service)


def test_a_tracklet_of_another_gallery_is_not_there(running_service: RunningService) -> None:
    away = upload(running_service, 1, 1, gallery="away")["id"]
    kim = new_identity(running_service, "Kim")
    with unchanged(running_service):
        call(running_service, "POST", f"/identities/{kim}/tracklets", {"tracklet_ids": [away]}, 404)


def test_labels_and_identity_of_a_stored_tracklet_change_and_filters_follow(running_service: RunningService) -> None:
    one, two = (upload(running_service, seed, 1, labels={"bag": True}, gallery="edited")["id"] for seed in (1, 2))
    changed = call(running_service, "PATCH", f"/tracklets/{one}", {"labels": {"hat": "red"}, "identity": "Lea"})
    assert (changed["labels"], changed["identity"]) == ({"hat": "red"}, "Lea")
    options = {"gallery": "edited"}
    assert [hit["identity"] for hit in search(running_service, two, labels='{"hat": "red"}', **options)["results"]] == [
        "Lea"
    ]
    assert search(running_service, two, labels='{"bag": true}', **options)["results"] == []
    # What is left out stays; null takes the identity away.
    assert call(running_service, "PATCH", f"/tracklets/{one}", {"labels": {}})["identity"] == "Lea"
    assert call(running_service, "PATCH", f"/tracklets/{one}", {"identity": None})["labels"] == {}
    assert len(search(running_service, two, identity_known=False, **options)["results"]) == 1
    call(running_service, "PATCH", f"/tracklets/{two}", {"identity": "Lea"})
    (lea,) = call(running_service, "GET", "/identities?gallery=edited")["items"]
    kinds = [event["kind"] for event in call(running_service, "GET", f"/identities/{lea['id']}/history")["items"]]
    assert kinds == ["assigned", "unassigned", "assigned", "created"]
    for body in ({}, {"labels": None}, {"labels": {"a": []}}, {"camera_id": "c"}, {"labels": {"a": "x" * 1000}} | {}):
        status = 200 if body == {"labels": {"a": "x" * 1000}} else 422
        call(running_service, "PATCH", f"/tracklets/{two}", body, status)
    call(running_service, "PATCH", f"/tracklets/{two}", {"labels": {f"k{n}": "x" * 1000 for n in range(20)}}, 422)
    call(running_service, "PATCH", f"/tracklets/{NOBODY}", {"labels": {}}, 404)
    assert_explained(running_service, "edited")


def test_an_upload_makes_the_identity_that_it_names_and_a_deletion_is_in_its_history(
    running_service: RunningService,
) -> None:
    first = upload(running_service, 1, 1, identity="Mia", gallery="named")["id"]
    upload(running_service, 2, 1, identity="Mia", gallery="named")
    (mia,) = call(running_service, "GET", "/identities?gallery=named")["items"]
    assert mia["tracklets"] == 2
    call(running_service, "DELETE", f"/tracklets/{first}", status=204)
    assert [
        (event["kind"], event["tracklet_ids"] == [first])
        for event in call(running_service, "GET", f"/identities/{mia['id']}/history")["items"]
    ] == [("tracklet_deleted", True), ("assigned", False), ("created", True)]
    assert_explained(running_service, "named")
