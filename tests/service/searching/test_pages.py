"""Pages and re-ranking: cursors that join, and the offline ranking."""

import uuid
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from model.retrieval import k_reciprocal_distances
from service.gallery import continuing
from tests.service.searching.brute_force import get, grouped, ids, ranking
from tests.support import RunningService, frame_files, pictures


@pytest.mark.parametrize(
    "options", [{}, {"group_by": "identity"}, {"min_score": "median"}, {"camera_id": ["c0", "c1"]}], ids=str
)
@pytest.mark.parametrize("k", [1, 5, 23])
def test_pages_join_to_the_ranking_by_brute_force(
    client: httpx.Client, stored: list[dict], units: dict, options: dict, k: int
) -> None:
    query = stored[3]["id"]
    expected = ranking(stored, units, units[query], query)
    if "camera_id" in options:
        cameras = {one["id"]: one["camera_id"] for one in stored}
        expected = [place for place in expected if cameras[place[1]] in options["camera_id"]]
    expected = grouped(expected) if "group_by" in options else expected
    if "min_score" in options:
        options = {"min_score": expected[len(expected) // 2][0]}
        expected = [place for place in expected if place[0] >= options["min_score"]]
        assert len(expected) == 12
    shown, cursor, sizes = [], None, []
    while cursor is not None or not sizes:
        page = get(client, query_id=query, k=k, **options, **({"cursor": cursor} if cursor else {}))
        shown += page["results"]
        sizes.append(len(page["results"]))
        cursor = page["next_cursor"]
    assert [(one["score"], one["tracklet_id"], one["identity"]) for one in shown] == expected
    assert [one["rank"] for one in shown] == list(range(1, len(expected) + 1))
    assert sizes[:-1] == [k] * (len(sizes) - 1)


def test_a_cursor_goes_on_with_its_own_ranking_only(client: httpx.Client, stored: list[dict]) -> None:
    query, other = stored[0]["id"], stored[1]["id"]
    cursor = get(client, query_id=query, k=3)["next_cursor"]
    get(client, query_id=query, k=7, cursor=cursor)

    def refusal(**parameters: object) -> tuple[int, str]:
        answer = client.get("/search", params={"query_id": query, "cursor": cursor, **parameters})
        return answer.status_code, answer.json()["code"]

    for changed in ({"query_id": other}, {"camera_id": "c1"}, {"min_score": 0}, {"group_by": "identity"}):
        assert refusal(**changed) == (409, "cursor_expired"), changed
    for forged in ("x", "", "AAAA", cursor[:-4] + "AAA=", "A" + cursor[1:], cursor + "AAAA", "é"):
        assert refusal(cursor=forged) == (422, "invalid_request"), forged
    assert refusal(rerank="k_reciprocal") == (422, "invalid_request")
    by_frames = client.post("/search", data={"k": "3"}, files=frame_files(pictures(0, 2))).json()["next_cursor"]
    assert refusal(cursor=by_frames) == (409, "cursor_expired")


def test_further_pages_by_frames_are_of_the_first_ones_vector(
    running_service: RunningService, client: httpx.Client, stored: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    describer = running_service.service.search.queries._describer
    describe, calls = describer.describe, []

    async def otherwise(*arguments: Any) -> Any:
        # As a network that computes them beside others: every time a little different.
        described, vector, *rest = await describe(*arguments)
        calls.append(vector)
        return (described, vector * np.linspace(1, 1 + 1e-3 * len(calls), len(vector), dtype=np.float32), *rest)

    monkeypatch.setattr(describer, "describe", otherwise)
    files = frame_files(pictures(71, 2))
    whole = client.post("/search", data={"k": str(len(stored))}, files=files).json()["results"]
    first = client.post("/search", data={"k": "2"}, files=files).json()
    asked = len(calls)
    more = client.post("/search", data={"k": "100", "cursor": first["next_cursor"]}, files=files).json()
    assert [*first["results"], *more["results"]][: len(whole)] == whole
    assert len(calls) == asked
    # Another process does not have the vector: the ranking goes on by one that is nearly the same.
    running_service.service.search.queries._asked.clear()
    answer = client.post("/search", data={"k": "100", "cursor": first["next_cursor"]}, files=files)
    assert (answer.status_code, answer.json()["results"][0]["rank"]) == (200, 3)


def test_a_search_by_frames_goes_on_where_its_page_ended(client: httpx.Client, stored: list[dict]) -> None:
    whole = client.post("/search", data={"k": "9"}, files=frame_files(pictures(3, 2))).json()
    first = client.post("/search", data={"k": "5"}, files=frame_files(pictures(3, 2))).json()
    data = {"k": "4", "cursor": first["next_cursor"]}
    second = client.post("/search", data=data, files=frame_files(pictures(3, 2))).json()
    assert first["results"] + second["results"] == whole["results"]
    assert client.post("/search", data=data, files=frame_files(pictures(4, 2))).status_code == 409


def test_a_cursor_ends_with_its_generation(client: httpx.Client, stored: list[dict]) -> None:
    cursor = get(client, query_id=stored[0]["id"], k=3)["next_cursor"]
    generation = get(client, query_id=stored[0]["id"])["generation"]
    raw = continuing.base64.b64decode(cursor, altchars=b"-_")[: -continuing._CHECK_BYTES]
    score, identifier, rank, best, its_generation, mark = continuing._LAYOUT.unpack(raw)
    assert (rank, its_generation) == (3, generation)
    earlier = continuing.encode(continuing.Hit(uuid.UUID(bytes=identifier), score), rank, best, generation - 1, mark)
    answer = client.get("/search", params={"query_id": stored[0]["id"], "cursor": earlier})
    assert (answer.status_code, answer.json()["code"]) == (409, "cursor_expired")
    assert "generation" in answer.json()["detail"]


@pytest.mark.parametrize("options", [{}, {"camera_id": "c1"}, {"group_by": "identity"}], ids=str)
def test_a_re_ranked_search_is_the_offline_ranking(
    client: httpx.Client, stored: list[dict], units: dict, options: dict
) -> None:
    query = stored[2]["id"]
    answer = get(client, query_id=query, k=23, rerank="k_reciprocal", rerank_top=23, **options)
    gallery = [one for one in stored if one["id"] != query and options.get("camera_id") in (None, one["camera_id"])]
    rows = torch.from_numpy(np.stack([units[one["id"]] for one in gallery]))
    distances = k_reciprocal_distances(torch.from_numpy(units[query])[None], rows)[0].tolist()
    by_id = {one["id"]: distance for one, distance in zip(gallery, distances, strict=True)}
    places = sorted((distance, one["id"], one["identity"]) for one, distance in zip(gallery, distances, strict=True))
    expected = grouped(places) if "group_by" in options else places
    assert set(ids(answer)) == {place[1] for place in expected}
    found = [result["rerank_distance"] for result in answer["results"]]
    assert found == pytest.approx([by_id[one] for one in ids(answer)], abs=1e-6)
    assert found == pytest.approx([place[0] for place in expected], abs=1e-6)
    scores = {identifier: score for score, identifier, _ in ranking(stored, units, units[query], query)}
    assert {one["tracklet_id"]: one["score"] for one in answer["results"]} == {one: scores[one] for one in ids(answer)}
    assert answer["rerank"]["method"] == "k_reciprocal"
    assert answer["rerank"]["top"] == len(gallery)
    assert answer["rerank"]["took_ms"] > 0
    assert answer["next_cursor"] is None


def test_the_least_score_cuts_a_re_ranked_answer_and_moves_no_place(client: httpx.Client, stored: list[dict]) -> None:
    asked = {"query_id": stored[2]["id"], "rerank": "k_reciprocal", "expand": 3, "k": 23}
    whole = get(client, **asked)
    least = float(np.median([one["score"] for one in whole["results"]]))
    cut = get(client, **asked, min_score=least)
    kept = [(one["tracklet_id"], one["rerank_distance"]) for one in whole["results"] if one["score"] >= least]
    assert [(one["tracklet_id"], one["rerank_distance"]) for one in cut["results"]] == kept
    assert len(kept) == 12
    assert (cut["rerank"]["expand"], cut["rerank"]["top"]) == (3, 23)


@pytest.mark.parametrize(
    "options",
    [
        {"rerank": "none"},
        {"rerank": "k_reciprocal", "rerank_top": 10, "k": 11},
        {"rerank": "k_reciprocal", "rerank_top": 1001},
        {"rerank": "k_reciprocal", "rerank_lambda": 1.5},
        {"rerank": "k_reciprocal", "rerank_lambda": "nan"},
        {"rerank_k1": 3},
        {"rerank_top": 30},
        {"expand": 3, "rerank_k2": 3},
        {"expand": 0},
        {"group_by": "camera"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(client: httpx.Client, stored: list[dict], options: dict) -> None:
    answer = client.get("/search", params={"query_id": stored[0]["id"], **options})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
