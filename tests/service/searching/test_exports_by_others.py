"""Rankings as files, asked by frames that are not stored and by examples."""

import csv
import uuid
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.client import SearchOptions, TfclipClient
from tests.service.searching.brute_force import ids
from tests.service.searching.sheets import height, shown, strip
from tests.support import RunningService, frame_files, pictures

Ask = Callable[..., httpx.Response]
"""Asks `POST /search` or `POST /search/examples`, or below them where `export` says so."""


def by_frames(client: httpx.Client, contents: list[bytes]) -> Ask:
    def ask(export: str = "", **options: object) -> httpx.Response:
        return client.post(f"/search{export}", data=options, files=frame_files(contents))

    return ask


def by_examples(client: httpx.Client, **examples: object) -> Ask:
    def ask(export: str = "", **options: object) -> httpx.Response:
        return client.post(f"/search/examples{export}", json=examples | options)

    return ask


@pytest.fixture(params=["frames", "mean", "max"])
def ask(client: httpx.Client, stored: list[dict], request: pytest.FixtureRequest) -> Ask:
    if request.param == "frames":
        return by_frames(client, pictures(70, 3))
    examples = [one["id"] for one in stored]
    return by_examples(client, positive=examples[:3], negative=examples[3:5], combine=request.param)


@pytest.mark.parametrize("more", [{}, {"group_by": "identity"}, {"rerank": "k_reciprocal"}], ids=str)
def test_an_export_is_the_ranking_of_the_search(ask: Ask, more: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.gallery.ranking.PAGE_PLACES", 5)
    whole = ask(k=17, **more).json()
    document = ask("/export", format="json", k=17, **more).json()
    for one in (whole, document):
        del one["took_ms"]
        one["rerank"] = one["rerank"] and one["rerank"] | {"took_ms": 0}
    assert document == whole
    assert len(whole["results"]) > 10
    answer = ask("/export", format="csv", k=17, **more)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="search.csv"'
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [(int(row["rank"]), row["tracklet_id"], float(row["score"])) for row in rows] == [
        (one["rank"], one["tracklet_id"], one["score"]) for one in whole["results"]
    ]
    for column in ("camera_id", "identity", "started_at", "ended_at", "probability"):
        assert [row[column] for row in rows] == [one[column] or "" for one in whole["results"]]


def test_an_export_goes_on_after_a_cursor_and_its_own_goes_on(ask: Ask) -> None:
    whole = ids(ask(k=12).json())
    first = ask("/export", format="json", k=5).json()
    second = ask("/export", format="json", k=4, cursor=first["next_cursor"]).json()
    third = ask(k=3, cursor=second["next_cursor"]).json()
    assert ids(first) + ids(second) + ids(third) == whole


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.headers["content-type"] == "image/png"
    return Image.open(BytesIO(answer.content)).convert("RGB")


def stored_frame(client: httpx.Client, tracklet_id: str, position: int = 0) -> bytes:
    return client.get(f"/tracklets/{tracklet_id}/frames/{position}").content


def assert_empty(places: list[np.ndarray]) -> None:
    assert all((place == 255).all() for place in places)


@pytest.mark.parametrize(("count", "positions"), [(3, [0, 1, 2]), (15, [0, 2, 4, 6, 8, 10, 12, 14])])
def test_the_sheet_of_frames_shows_those_that_were_sent(
    client: httpx.Client, stored: list[dict], count: int, positions: list[int]
) -> None:
    contents = pictures(71, count)
    ask = by_frames(client, contents)
    sheet = opened(ask("/export", format="png", k=2, query_camera_id="gate", query_started_at="2026-01-01T00:00:00Z"))
    query = strip(sheet, 0)
    for place, position in zip(query, positions, strict=False):
        assert shown(place, contents[position])
    assert_empty(query[len(positions) :])
    for number, found in enumerate(ids(ask(k=2).json()), start=1):
        assert [shown(strip(sheet, number)[n], stored_frame(client, found, n)) for n in (0, 1)] == [True, True]
    assert sheet.height == height(3)


def test_the_sheet_of_examples_shows_the_first_frame_of_each_positive_one(
    client: httpx.Client, stored: list[dict]
) -> None:
    examples = [one["id"] for one in stored]
    for positive in (examples[3:6], examples[3:13]):
        ask = by_examples(client, positive=positive, negative=examples[:1])
        sheet = opened(ask("/export", format="png", k=1))
        query = strip(sheet, 0)
        assert all(shown(place, stored_frame(client, one)) for place, one in zip(query, positive, strict=False))
        assert_empty(query[len(positive) :])
        (found,) = ids(ask(k=1).json())
        assert shown(strip(sheet, 1)[0], stored_frame(client, found))
    # Only the query's strip where nobody passes.
    assert opened(ask("/export", format="png", min_score=1)).height == height(1)


def test_what_an_export_cannot_do_is_refused_and_nothing_is_stored(
    running_service: RunningService, client: httpx.Client, stored: list[dict]
) -> None:
    before = running_service.footprint()
    frames, examples = by_frames(client, pictures(72, 2)), by_examples(client, positive=[stored[0]["id"]])

    def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
        problem = answer.json()
        return answer.status_code, problem["code"], next((one["location"] for one in problem["errors"]), None)

    for ask, prefix in ((frames, ""), (examples, "body.")):
        for kind, most in (("csv", 10_000), ("json", 10_000), ("png", 50)):
            assert ask("/export", format=kind, k=most).status_code == 200
            refused = refusal(ask("/export", format=kind, k=most + 1))
            assert refused == (422, "invalid_request", f"{prefix}k")
        assert refusal(ask("/export", k=1)) == (422, "invalid_request", f"{prefix}format")
        assert refusal(ask("/export", format="pdf")) == (422, "invalid_request", f"{prefix}format")
        assert refusal(ask("/export", format="csv", gallery="nowhere"))[:2] == (404, "not_found")
        assert refusal(ask("/export", format="csv", cursor="x"))[:2] == (422, "invalid_request")
    nobody = by_examples(client, positive=[str(uuid.uuid4())])
    assert refusal(nobody("/export", format="png"))[:2] == (404, "not_found")
    assert refusal(by_frames(client, [b"text"])("/export", format="png"))[:2] == (422, "invalid_frame")
    assert refusal(frames("/export", format="csv", exclude_query_camera=True))[2] == "exclude_query_camera"
    assert running_service.footprint() == before
    assert running_service.service.admission.inside == 0


def test_the_client_asks_for_these_files(running_service: RunningService, stored: list[dict]) -> None:
    one, other, stranger = (stored[n]["id"] for n in range(3))
    options = SearchOptions(k=2, query_camera_id="gate")
    with TfclipClient(running_service.url, running_service.admin_key) as client:
        table = client.export_search_frames(pictures(73, 2), "csv", options).decode()
        ranked = client.search_frames(pictures(73, 2), options).results
        assert [row["tracklet_id"] for row in csv.DictReader(StringIO(table))] == [
            place.tracklet_id for place in ranked
        ]
        asked: dict[str, Any] = {"options": SearchOptions(k=3), "combine": "max"}
        table = client.export_search_examples([one, other], "csv", [stranger], **asked).decode()
        ranked = client.search_examples([one, other], [stranger], **asked).results
        assert [row["tracklet_id"] for row in csv.DictReader(StringIO(table))] == [
            place.tracklet_id for place in ranked
        ]
