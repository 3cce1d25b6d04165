"""Several queries: examples, batches and comparisons."""

import json
import uuid

import httpx
import numpy as np
import pytest

from tests.service.searching.brute_force import get, grouped, ranking
from tests.support import RunningService, frame_files, pictures


def test_one_positive_example_is_the_search_by_it(client: httpx.Client, stored: list[dict]) -> None:
    alone = get(client, query_id=stored[5]["id"], k=9, exclude_query_camera=True)
    for combine in ("mean", "max"):
        body = {"positive": [stored[5]["id"]], "combine": combine, "k": 9, "exclude_query_camera": True}
        answer = client.post("/search/examples", json=body).json()
        assert answer["results"] == alone["results"]
        assert answer["query_id"] is None


@pytest.mark.parametrize("combine", ["mean", "max"])
def test_examples_rank_by_the_documented_formula_and_are_never_shown(
    client: httpx.Client, stored: list[dict], units: dict, combine: str
) -> None:
    positive, negative = [stored[n]["id"] for n in (0, 5, 10)], [stored[n]["id"] for n in (1, 2)]
    body = {"positive": positive, "negative": negative, "combine": combine, "labels": {}, "group_by": "identity"}
    less = 0.2 * np.mean([units[one].astype(np.float64) for one in negative], axis=0)
    queries = np.stack([units[one].astype(np.float64) for one in positive]) - less
    queries = queries.mean(axis=0, keepdims=True) if combine == "mean" else queries
    each = [ranking(stored, units, query.astype(np.float32), *positive, *negative) for query in queries]
    best = {place[1]: max(other[0] for one in each for other in one if other[1] == place[1]) for place in each[0]}
    identities = {one["id"]: one["identity"] for one in stored}
    expected = grouped([(best[one], one, identities[one]) for one in sorted(best, key=lambda one: (-best[one], one))])
    shown, cursor = [], None
    while cursor is not None or not shown:
        page = client.post("/search/examples", json=body | {"k": 4} | ({"cursor": cursor} if cursor else {})).json()
        shown += page["results"]
        cursor = page["next_cursor"]
    assert [one["tracklet_id"] for one in shown] == [place[1] for place in expected]
    assert [one["score"] for one in shown] == pytest.approx([place[0] for place in expected], abs=1e-7)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"positive": []}, 422),
        ({"positive": ["x"]}, 422),
        ({"positive": [str(uuid.uuid4())]}, 404),
        ({"negative": ["ITSELF"]}, 422),
        ({"combine": "median"}, 422),
        ({"k": 0}, 422),
        ({"labels": {"a": [1]}}, 422),
        ({"gallery": "nowhere"}, 404),
        ({"query_id": "ITSELF"}, 422),
    ],
    ids=str,
)
def test_bad_examples_are_refused(client: httpx.Client, stored: list[dict], change: dict, status: int) -> None:
    text = json.dumps({"positive": ["ITSELF"]} | change).replace("ITSELF", stored[0]["id"])
    answer = client.post("/search/examples", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text


def test_a_batch_answers_each_search_as_if_it_were_alone(client: httpx.Client, stored: list[dict]) -> None:
    kinds = [
        {"k": 3},
        {"group_by": "identity"},
        {"rerank": "k_reciprocal"},
        {"expand": 2, "k": 5},
        {"camera_id": ["c1"]},
    ]
    queries = [{"query_id": one["id"], **kinds[number % 5]} for number, one in enumerate(stored)]
    queries.insert(4, {"query_id": str(uuid.uuid4())})
    queries.insert(7, {"query_id": stored[0]["id"], "k": 0})
    queries.insert(9, {"query_id": stored[0]["id"], "gallery": "nowhere"})
    answer = client.post("/search/batch", json={"queries": queries})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert len(items) == len(queries)
    for query, item in zip(queries, items, strict=True):
        alone = client.get("/search", params=query)
        body = alone.json()
        if alone.status_code != 200:
            assert item["ranking"] is None
            assert (item["problem"]["status"], item["problem"]["code"]) == (body["status"], body["code"])
            continue
        assert item["problem"] is None
        for one in (body, item["ranking"]):
            del one["took_ms"]
            one["rerank"] = one["rerank"] and one["rerank"] | {"took_ms": 0}
        assert item["ranking"] == body
    assert [items[n]["problem"]["status"] for n in (4, 7, 9)] == [404, 422, 404]


def test_a_batch_has_a_size(client: httpx.Client, stored: list[dict]) -> None:
    one = {"query_id": stored[0]["id"], "k": 1}
    assert client.post("/search/batch", json={"queries": [one] * 100}).status_code == 200
    for queries in ([one] * 101, [], {}, [1]):
        answer = client.post("/search/batch", json={"queries": queries})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_the_bound_of_a_batch_follows_the_queries_that_it_may_have(client: httpx.Client, stored: list[dict]) -> None:
    one = {"query_id": stored[0]["id"], "k": 1, "identity": [f"person {number:093d}" for number in range(100)]}
    answer = client.post("/search/batch", json={"queries": [one] * 100})
    assert len(answer.request.content) > 1_000_000
    assert [item["problem"] for item in answer.json()["items"]] == [None] * 100
    answer = client.post("/search/batch", json={"queries": [one | {"labels": {"a": "x" * 8000}}] * 100})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["detail"] == (
        "The JSON body is larger than 1638400 bytes. That goes by TFCLIP_MAX_BATCH_QUERIES, which is 100. "
        "Send several batches, or shorter filters."
    )


def test_the_largest_batch_that_the_setting_allows_can_be_sent(
    running_service: RunningService,
    client: httpx.Client,
    stored: list[dict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = running_service.service.settings.model_copy(update={"max_batch_queries": 1000})
    monkeypatch.setattr(running_service.service, "settings", most)
    one = {"query_id": stored[0]["id"], "k": 1, "gallery": "default"}
    answer = client.post("/search/batch", json={"queries": [one] * 1000})
    assert (answer.status_code, len(answer.json()["items"])) == (200, 1000)
    assert len(answer.request.content) > 64 * 1024


def test_a_comparison_gives_the_score_of_the_search(client: httpx.Client, stored: list[dict]) -> None:
    for result in get(client, query_id=stored[6]["id"], k=5)["results"]:
        body = {"tracklet_id": stored[6]["id"], "other_tracklet_id": result["tracklet_id"]}
        answer = client.post("/verify", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["score"] == result["score"]
        assert len(answer.json()["model_id"]) == 64
    by_frames = client.post("/search", data={"k": "1"}, files=frame_files(pictures(50, 2))).json()["results"][0]
    data = {"tracklet_id": by_frames["tracklet_id"]}
    compared = client.post("/verify", data=data, files=frame_files(pictures(50, 2))).json()
    assert compared["score"] == pytest.approx(by_frames["score"], abs=1e-6)
    assert compared["tracklet_id"] == by_frames["tracklet_id"]
    both = frame_files(pictures(6, 2)) + [("other_frames", part) for _, part in frame_files(pictures(7, 2))]
    two = client.post("/verify", files=both).json()
    body = {"tracklet_id": stored[6]["id"], "other_tracklet_id": stored[7]["id"]}
    assert two["score"] == pytest.approx(client.post("/verify", json=body).json()["score"], abs=1e-6)


def test_comparisons_that_make_no_sense_are_refused(client: httpx.Client, stored: list[dict]) -> None:
    one, nobody = stored[0]["id"], str(uuid.uuid4())
    frames = frame_files(pictures(1, 1))
    others = [("other_frames", part) for _, part in frames]
    refused = [
        (client.post("/verify", json={"tracklet_id": one}), 422),
        (client.post("/verify", json={"tracklet_id": one, "other_tracklet_id": nobody}), 404),
        (client.post("/verify", json={"tracklet_id": one, "other_tracklet_id": one, "gallery": "nowhere"}), 404),
        (client.post("/verify", content=b"x"), 415),
        (client.post("/verify", files=frames), 422),
        (client.post("/verify", files=others), 422),
        (client.post("/verify", data={"tracklet_id": one}, files=frames + others), 422),
        (client.post("/verify", data={"tracklet_id": nobody}, files=frames), 404),
        (client.post("/verify", data={"tracklet_id": one, "k": "3"}, files=frames), 422),
        (client.post("/verify", files=[*frames, ("other_frames", ("x", b"no image"))]), 422),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
    assert all(answer.headers["content-type"] == "application/problem+json" for answer, _ in refused)
    assert "Of the other tracklet: frames[0]" in refused[-1][0].json()["detail"]
