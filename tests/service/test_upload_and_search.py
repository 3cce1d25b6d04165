"""The whole path over HTTP: upload, read, list, search, delete."""

import hashlib
import json
import uuid

import numpy as np
import pytest

from tests.support import RunningService, frame_files, picture, pictures, search, upload


def test_an_upload_can_be_read_back_with_its_frames(running_service: RunningService) -> None:
    contents = pictures(1, 4)
    metadata = {
        "camera_id": "gate",
        "gallery": "readback",
        "external_id": "gate/1",
        "identity": "p1",
        "started_at": "2026-01-02T03:04:05.123456+01:00",
        "ended_at": "2026-01-02T03:04:06+01:00",
        "labels": {"door": "left", "count": 2, "ratio": 0.5, "seen": True, "none": None},
    }
    with running_service.client() as client:
        answer = client.post("/tracklets", data={"metadata": json.dumps(metadata)}, files=frame_files(contents))
        assert answer.status_code == 201
        body = answer.json()
        assert answer.headers["location"] == f"/tracklets/{body['id']}"
        read = client.get(answer.headers["location"]).json()
        assert read == {name: value for name, value in body.items() if name != "model_id"}
        assert read["camera_id"] == "gate"
        assert read["labels"] == metadata["labels"]
        assert read["started_at"] == "2026-01-02T02:04:05.123456Z"
        assert read["frame_count"] == 4
        for url, content in zip(read["frame_urls"], contents, strict=True):
            frame = client.get(url)
            assert frame.content == content
            assert frame.headers["content-type"] == "image/jpeg"
    folder = running_service.data_directory / "frames" / "readback"
    assert {path.name for path in folder.iterdir()} == {hashlib.sha256(content).hexdigest() for content in contents}


def test_a_search_ranks_like_brute_force_over_the_stored_descriptors(fresh_service: RunningService) -> None:
    ids = [upload(fresh_service, seed)["id"] for seed in range(12)]
    with fresh_service.database() as connection:
        rows = connection.execute("SELECT tracklet_id::text, vector FROM descriptors").fetchall()
    vectors = {row[0]: np.frombuffer(row[1], "<f4").astype(np.float64) for row in rows}
    query = vectors[ids[0]]
    cosines = {
        other: float(query @ vector / np.linalg.norm(query) / np.linalg.norm(vector))
        for other, vector in vectors.items()
        if other != ids[0]
    }
    with fresh_service.client() as client:
        answer = client.get("/search", params={"query_id": ids[0], "k": 5}).json()
    expected = sorted(cosines, key=lambda other: (-cosines[other], other))[:5]
    assert [result["tracklet_id"] for result in answer["results"]] == expected
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3, 4, 5]
    for result in answer["results"]:
        # The index compares float32 unit vectors; the cosine above is of the raw ones.
        assert result["score"] == pytest.approx(cosines[result["tracklet_id"]], abs=1e-6)
    assert answer["query_id"] == ids[0]
    assert answer["generation"] == 1


def test_the_query_is_never_in_its_own_ranking(fresh_service: RunningService) -> None:
    twins = [upload(fresh_service, 7)["id"] for _ in range(3)]
    with fresh_service.client() as client:
        results = client.get("/search", params={"query_id": twins[0], "k": 1000}).json()["results"]
    assert [result["tracklet_id"] for result in results] == sorted(twins[1:])
    assert [result["score"] for result in results] == pytest.approx([1.0, 1.0])


def test_filters_let_exactly_the_named_tracklets_through(fresh_service: RunningService) -> None:
    stored = {}
    for number in range(8):
        hour = f"2026-01-01T{number:02d}:00:00Z"
        timed = {"started_at": hour, "ended_at": f"2026-01-01T{number:02d}:30:00Z"} if number < 6 else {}
        stored[number] = upload(fresh_service, number, camera_id=f"c{number % 3}", **timed)["id"]
    query = upload(fresh_service, 99, camera_id="c1")["id"]

    def found(**options: object) -> set[int]:
        with fresh_service.client() as client:
            answer = client.get("/search", params={"query_id": query, **options})
        assert answer.status_code == 200, answer.text
        by_id = {identifier: number for number, identifier in stored.items()}
        return {by_id[result["tracklet_id"]] for result in answer.json()["results"]}

    assert found() == set(range(8))
    assert found(camera_id="c0") == {0, 3, 6}
    assert found(camera_id=["c0", "c2"]) == {0, 2, 3, 5, 6}
    assert found(exclude_camera_id=["c0", "c2"]) == {1, 4, 7}
    assert found(exclude_query_camera=True) == {0, 2, 3, 5, 6}
    assert found(started_after="2026-01-01T02:00:00Z") == {2, 3, 4, 5}
    assert found(ended_before="2026-01-01T02:30:00Z") == {0, 1, 2}
    assert found(started_after="2026-01-01T03:00:00+02:00", ended_before="2026-01-01T04:00:00Z") == {1, 2, 3}
    assert found(camera_id="c0", exclude_camera_id="c0") == set()
    assert found(camera_id="nowhere") == set()
    assert found(min_score=1) == set()


def test_a_search_by_frames_equals_the_search_by_the_stored_tracklet_and_stores_nothing(
    fresh_service: RunningService,
) -> None:
    for seed in range(6):
        upload(fresh_service, seed)
    stored = upload(fresh_service, 50)
    before = fresh_service.footprint()
    with fresh_service.client() as client:
        by_frames = client.post("/search", data={"k": "4"}, files=frame_files(pictures(50))).json()
        in_query = client.post("/search", params={"k": 4}, files=frame_files(pictures(50))).json()
        by_id = client.get("/search", params={"query_id": stored["id"], "k": 3}).json()
    assert by_frames["query_id"] is None
    assert by_frames["results"][0]["tracklet_id"] == stored["id"]
    assert in_query["results"] == by_frames["results"]
    assert [r["tracklet_id"] for r in by_frames["results"][1:]] == [r["tracklet_id"] for r in by_id["results"]]
    assert fresh_service.footprint() == before


def test_the_same_external_id_with_the_same_frames_gives_the_same_tracklet(fresh_service: RunningService) -> None:
    metadata = json.dumps({"camera_id": "c1", "external_id": "x/1"})
    with fresh_service.client() as client:
        first = client.post("/tracklets", data={"metadata": metadata}, files=frame_files(pictures(1)))
        before = fresh_service.footprint()
        again = client.post("/tracklets", data={"metadata": metadata}, files=frame_files(pictures(1)))
        other = client.post("/tracklets", data={"metadata": metadata}, files=frame_files(pictures(2)))
        reordered = client.post("/tracklets", data={"metadata": metadata}, files=frame_files(pictures(1)[::-1]))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (409, "external_id_conflict")
    assert reordered.status_code == 409
    assert fresh_service.footprint() == before


def test_lists_are_newest_first_and_pages_join_without_gap_or_repeat(fresh_service: RunningService) -> None:
    ids = [upload(fresh_service, seed)["id"] for seed in range(7)]
    seen: list[str] = []
    cursor = None
    with fresh_service.client() as client:
        while True:
            page = client.get("/tracklets", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
            assert len(page["items"]) <= 3
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert seen == ids[::-1]


def test_a_deleted_tracklet_is_gone_everywhere_at_once(fresh_service: RunningService) -> None:
    kept, doomed = upload(fresh_service, 1), upload(fresh_service, 2)
    empty_before = fresh_service.footprint()
    with fresh_service.client() as client:
        assert client.delete(f"/tracklets/{doomed['id']}").status_code == 204
        results = client.get("/search", params={"query_id": kept["id"]}).json()["results"]
        assert results == []
        assert client.get(f"/tracklets/{doomed['id']}").status_code == 404
        assert client.get(doomed["thumbnail_url"]).status_code == 404
        assert client.get("/search", params={"query_id": doomed["id"]}).status_code == 404
        assert client.delete(f"/tracklets/{doomed['id']}").status_code == 404
    after = fresh_service.footprint()
    assert after["index"] == empty_before["index"] - 1
    assert after["files"] == empty_before["files"] - 3
    assert (after["tracklets"], after["descriptors"], after["frames"]) == (1, 1, 3)


def test_frames_that_two_tracklets_share_stay_until_both_are_deleted(fresh_service: RunningService) -> None:
    first, second = upload(fresh_service, 5), upload(fresh_service, 5)
    with fresh_service.client() as client:
        client.delete(f"/tracklets/{first['id']}")
        assert client.get(second["frame_urls"][0]).status_code == 200
        assert fresh_service.footprint()["files"] == 3
        client.delete(f"/tracklets/{second['id']}")
    assert fresh_service.footprint()["files"] == 0


def test_nothing_crosses_a_gallery(fresh_service: RunningService) -> None:
    ours = upload(fresh_service, 1, gallery="ours")
    upload(fresh_service, 1, gallery="theirs")
    with fresh_service.client() as client:
        alone = client.get("/search", params={"query_id": ours["id"], "gallery": "ours"}).json()
        foreign = client.get("/search", params={"query_id": ours["id"], "gallery": "theirs"})
        listed = client.get("/tracklets", params={"gallery": "ours"}).json()["items"]
    assert alone["results"] == []
    assert foreign.status_code == 404
    assert [item["id"] for item in listed] == [ours["id"]]


def test_png_and_webp_are_kept_as_they_came(running_service: RunningService) -> None:
    files = [
        ("frames", ("a.png", picture(1, format="PNG"), "image/png")),
        ("frames", ("b.webp", picture(2, format="WEBP"), "image/webp")),
    ]
    with running_service.client() as client:
        body = client.post("/tracklets", data={"metadata": '{"camera_id": "c"}'}, files=files).json()
        types = [client.get(url).headers["content-type"] for url in body["frame_urls"]]
    assert types == ["image/png", "image/webp"]


def test_an_unknown_query_is_not_found(running_service: RunningService) -> None:
    with running_service.client() as client:
        answer = client.get("/search", params={"query_id": str(uuid.uuid4())})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_filters_by_identity_labels_and_frames(fresh_service: RunningService) -> None:
    query = upload(fresh_service, 1)["id"]
    ann = upload(fresh_service, 2, identity="Ann", labels={"direction": "in", "n": 1})["id"]
    bob = upload(fresh_service, 3, identity="Bob", labels={"direction": "out", "bag": True})["id"]
    long = upload(fresh_service, 4, frames=5, labels={"direction": "in"})["id"]

    def found(**options: object) -> set[str]:
        return {result["tracklet_id"] for result in search(fresh_service, query, **options)["results"]}

    assert found() == {ann, bob, long}
    assert found(identity=["Ann", "Cyd"]) == {ann}
    assert found(identity_known=True) == {ann, bob}
    assert found(identity_known=False) == {long}
    assert found(labels='{"direction": "in"}') == {ann, long}
    assert found(labels='{"direction": "in", "n": 1.0}') == {ann}
    assert found(labels='{"bag": true}') == {bob}
    assert found(min_frames=4) == {long}
    assert found(identity_known=True, labels='{"bag": true}', exclude_camera_id="c1") == set()
    with fresh_service.client() as client:
        for labels in ("in", "[1]", '{"a": {"b": 1}}', '{"a": 1'):
            answer = client.get("/search", params={"query_id": query, "labels": labels})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
            assert "labels" in answer.json()["errors"][0]["location"]


def test_the_places_of_tracklets_that_were_just_deleted_elsewhere_go_to_the_next_ones(
    fresh_service: RunningService,
) -> None:
    ids = [upload(fresh_service, seed)["id"] for seed in range(7)]
    everyone = search(fresh_service, ids[0])["results"]
    gone = {result["tracklet_id"] for result in everyone[:2]}
    with fresh_service.database() as connection:
        # Not through this service, whose index has not heard of it.
        connection.execute("DELETE FROM tracklets WHERE id = ANY(%s::uuid[])", (list(gone),))
    left = search(fresh_service, ids[0], k=3)["results"]
    assert [result["tracklet_id"] for result in left] == [result["tracklet_id"] for result in everyone[2:5]]
    assert [result["rank"] for result in left] == [1, 2, 3]
    assert len(search(fresh_service, ids[0], k=20)["results"]) == 4
