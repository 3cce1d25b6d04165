"""Searches that ask for more: groups, pages, examples, batches, comparisons, files, over HTTP and by brute force."""

import csv
import json
import uuid
from io import BytesIO, StringIO
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from model.retrieval import k_reciprocal_distances
from service.client import SearchOptions, TfclipClient
from service.client.errors import ApiProblem
from service.gallery import continuing
from service.gallery.scoring import cosine_scores, unit_rows
from tests.support import RunningService, frame_files, pictures, upload

TRACKLETS = 24


@pytest.fixture(scope="module")
def stored(running_service: RunningService) -> list[dict]:
    """Tracklets of five people and of strangers, over three cameras."""
    made = []
    for number in range(TRACKLETS):
        identity = {} if number % 3 == 2 else {"identity": f"p{number % 5}"}
        timed = {"started_at": f"2026-01-01T{number:02d}:00:00Z", "ended_at": f"2026-01-01T{number:02d}:00:09Z"}
        timed = {} if number == 4 else timed
        made.append(upload(running_service, number, 2, camera_id=f"c{number % 3}", **identity, **timed))
    return made


@pytest.fixture(scope="module")
def units(running_service: RunningService, stored: list[dict]) -> dict[str, np.ndarray]:
    """The unit vector of every tracklet, as the index has it."""
    with running_service.database() as connection:
        rows = connection.execute("SELECT tracklet_id::text, vector FROM descriptors").fetchall()
    named = {row[0]: np.frombuffer(row[1], "<f4") for row in rows}
    return {one["id"]: unit_rows(named[one["id"]][None])[0] for one in stored}


@pytest.fixture
def client(running_service: RunningService) -> httpx.Client:
    """Asks the service."""
    with running_service.client() as client:
        yield client


def ranking(stored: list[dict], units: dict[str, np.ndarray], query: np.ndarray, *hidden: str) -> list[tuple]:
    """All others by (-score, id): score, id, identity."""
    vector = unit_rows(query[None])[0]
    scored = [
        (-float(cosine_scores(units[one["id"]][None], vector)[0]), uuid.UUID(one["id"]), one["identity"])
        for one in stored
        if one["id"] not in hidden
    ]
    return [
        (-negative, str(identifier), identity) for negative, identifier, identity in sorted(scored, key=lambda s: s[:2])
    ]


def grouped(places: list[tuple]) -> list[tuple]:
    seen: set[str] = set()
    return [p for p in places if p[2] is None or (p[2] not in seen and not seen.add(p[2]))]


def ids(answer: dict) -> list[str]:
    return [result["tracklet_id"] for result in answer["results"]]


def get(client: httpx.Client, path: str = "/search", **parameters: object) -> dict:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


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
    score, identifier, rank, its_generation, mark = continuing._LAYOUT.unpack(raw)
    assert (rank, its_generation) == (3, generation)
    earlier = continuing.encode(continuing.Hit(uuid.UUID(bytes=identifier), score), rank, generation - 1, mark)
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


def test_an_export_is_the_ranking_over_all_its_pages(
    client: httpx.Client, stored: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.gallery.ranking.PAGE_PLACES", 5)
    asked = {"query_id": stored[1]["id"], "k": 17, "group_by": "identity"}
    for options in (asked, asked | {"k": 4}, {"query_id": stored[1]["id"], "rerank": "k_reciprocal", "k": 17}):
        whole = get(client, **options)
        document = get(client, "/search/export", format="json", **options)
        for one in (whole, document):
            del one["took_ms"]
            one["rerank"] = one["rerank"] and one["rerank"] | {"took_ms": 0}
        assert document == whole
        answer = client.get("/search/export", params=options | {"format": "csv"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(StringIO(answer.text)))
        assert [(int(row["rank"]), row["tracklet_id"], float(row["score"])) for row in rows] == [
            (one["rank"], one["tracklet_id"], one["score"]) for one in whole["results"]
        ]
        for column in ("identity", "started_at", "ended_at", "probability"):
            assert [row[column] for row in rows] == [one[column] or "" for one in whole["results"]]


def test_an_export_holds_no_formula(running_service: RunningService, client: httpx.Client) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\N{FULLWIDTH EQUALS SIGN}1", 'a,"b"', "Zoë", "p-1"]
    query = upload(running_service, 100, 1, gallery="formulas")["id"]
    for number, name in enumerate(names):
        upload(running_service, 101 + number, 1, gallery="formulas", identity=name, camera_id=name, external_id=name)
    content = client.get("/search/export", params={"query_id": query, "gallery": "formulas", "format": "csv"}).content
    rows = list(csv.DictReader(StringIO(content.decode())))
    for column in ("identity", "camera_id", "external_id"):
        assert {row[column] for row in rows} == {f"'{name}" if name in names[:6] else name for name in names}


def test_a_contact_sheet_shows_the_query_and_a_strip_for_each_place(
    running_service: RunningService, client: httpx.Client, stored: list[dict]
) -> None:
    heights = []
    for k in (1, 4):
        answer = client.get("/search/export", params={"query_id": stored[1]["id"], "k": k, "format": "png"})
        assert answer.headers["content-type"] == "image/png"
        sheet = Image.open(BytesIO(answer.content)).convert("RGB")
        heights.append(sheet.height)
    strip = (heights[1] - heights[0]) // 3
    assert heights[0] - 2 * strip < strip
    # The frames of the query, and of the best place below it, at the left of their strips.
    top = heights[0] - 2 * strip + 4
    best = get(client, query_id=stored[1]["id"], k=1)["results"][0]["tracklet_id"]
    for number, one in enumerate((stored[1]["id"], best)):
        for position in range(2):
            frame = Image.open(BytesIO(client.get(f"/tracklets/{one}/frames/{position}").content))
            corner = (280 + 68 * position, top + number * strip)
            shown = sheet.crop((*corner, corner[0] + 64, corner[1] + 128))
            assert np.abs(np.asarray(shown, int) - np.asarray(frame, int)).max() <= 2
    text = np.asarray(sheet.crop((0, top, 280, top + strip)))
    assert (text < 128).any()


def test_a_sheet_is_drawn_without_the_frames_that_are_lost(
    running_service: RunningService, client: httpx.Client
) -> None:
    query = upload(running_service, 300, 2, gallery="lost")["id"]
    upload(running_service, 301, 2, gallery="lost")
    for path in (running_service.data_directory / "frames" / "lost").iterdir():
        path.write_bytes(b"")
    asked = {"query_id": query, "gallery": "lost", "format": "png"}
    assert client.get("/search/export", params=asked).content.startswith(b"\x89PNG")


def test_an_export_has_a_size(client: httpx.Client, stored: list[dict]) -> None:
    for kind, most in (("csv", 10_000), ("json", 10_000), ("png", 50)):
        asked = {"query_id": stored[0]["id"], "format": kind}
        assert client.get("/search/export", params=asked | {"k": most}).status_code == 200
        answer = client.get("/search/export", params=asked | {"k": most + 1})
        assert (answer.status_code, answer.json()["errors"][0]["location"]) == (422, "query.k")
    assert client.get("/search/export", params={"query_id": stored[0]["id"], "format": "pdf"}).status_code == 422
    assert client.get("/search/export", params={"query_id": str(uuid.uuid4()), "format": "csv"}).status_code == 404


def test_who_was_just_deleted_elsewhere_leaves_the_place_to_the_next_of_the_same_identity(
    running_service: RunningService, client: httpx.Client
) -> None:
    query = upload(running_service, 400, 1, gallery="left")["id"]
    for number in range(8):
        upload(running_service, 401 + number, 1, gallery="left", identity=f"p{number % 2}")
    whole = get(client, query_id=query, gallery="left")["results"]
    with running_service.database() as connection:
        # Not through this service, whose index has not heard of it.
        connection.execute("DELETE FROM tracklets WHERE id = %s", (whole[0]["tracklet_id"],))
    left = get(client, query_id=query, gallery="left", group_by="identity")["results"]
    expected = grouped([(one["score"], one["tracklet_id"], one["identity"]) for one in whole[1:]])
    assert [(one["score"], one["tracklet_id"], one["identity"]) for one in left] == expected
    assert len(left) == 2
    ranked = get(client, query_id=query, gallery="left", rerank="k_reciprocal")["results"]
    assert {one["tracklet_id"] for one in ranked} == {one["tracklet_id"] for one in whole[1:]}
    with running_service.database() as connection:
        connection.execute(
            "DELETE FROM tracklets WHERE id = ANY(%s::uuid[])", ([one["tracklet_id"] for one in whole[1:6]],)
        )
    first = get(client, query_id=query, gallery="left", k=1)
    second = get(client, query_id=query, gallery="left", k=1, cursor=first["next_cursor"])
    assert ids(first) + ids(second) == [one["tracklet_id"] for one in whole[6:]]
    assert second["next_cursor"] is None


def test_the_client_asks_for_all_of_this(running_service: RunningService, stored: list[dict]) -> None:
    query, other = stored[0]["id"], stored[1]["id"]
    with TfclipClient(running_service.url, running_service.admin_key) as client:
        whole = client.search(query, SearchOptions(k=100)).results
        assert list(client.search_pages(query, SearchOptions(k=6))) == whole
        options = SearchOptions(k=5, rerank="k_reciprocal", expand=2, camera_id=["c1"], labels={})
        ranked = client.search(query, options)
        assert ranked.rerank is not None
        assert client.search_examples([query], options=options).results == ranked.results
        items = client.search_batch([(query, options), (str(uuid.uuid4()), None)])
        assert items[0].ranking is not None
        assert items[0].ranking.results == ranked.results
        assert items[1].problem is not None
        assert items[1].problem.code == "not_found"
        assert client.export_search(query, "csv", SearchOptions(k=2)).count(b"\r\n") == 3
        score = next(match.score for match in whole if match.tracklet_id == other)
        assert client.verify(query, other).score == score
        assert client.verify_frames(pictures(0, 2), other).score == pytest.approx(score, abs=1e-6)
        assert client.verify_frames(pictures(0, 2), pictures(1, 2)).score == pytest.approx(score, abs=1e-6)
        with pytest.raises(ApiProblem, match="cursor"):
            client.search(query, SearchOptions(cursor="x"))
