"""Rankings as files, and the client that asks for all kinds."""

import asyncio
import csv
import uuid
from collections.abc import AsyncIterator
from io import BytesIO, StringIO
from typing import Any

import httpx
import pytest
from PIL import Image

from service.client import SearchOptions, TfclipClient
from service.client.errors import ApiProblem
from service.gallery.ranking import Answer
from tests.service.searching.brute_force import get, grouped, ids
from tests.service.searching.sheets import height, shown, strip, text_beside
from tests.support import RunningService, pictures, upload, wait_until


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


def test_an_export_of_a_gallery_that_is_deleted_breaks_off_and_is_no_failure_of_the_service(
    running_service: RunningService,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = [upload(running_service, seed, 1, gallery="leaves") for seed in range(5)]
    asked = {"gallery": "leaves", "query_id": stored[0]["id"], "k": 5, "format": "csv"}
    monkeypatch.setattr("service.gallery.ranking.PAGE_PLACES", 2)
    found = running_service.service.search.pages

    def delete() -> None:
        with running_service.client() as administrator:
            job = administrator.delete("/galleries/leaves").json()
            wait_until(lambda: administrator.get(f"/jobs/{job['id']}").json()["status"] == "succeeded")

    async def pages(*given: Any) -> AsyncIterator[Answer]:
        """As they are, and the gallery goes after the first."""
        async for page in found(*given):
            yield page
            await asyncio.to_thread(delete)

    monkeypatch.setattr(running_service.service.search, "pages", pages)
    with client.stream("GET", "/search/export", params=asked) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    assert [record for record in caplog.records if record.exc_info] == []


def test_an_export_holds_no_formula(running_service: RunningService, client: httpx.Client) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\N{FULLWIDTH EQUALS SIGN}1", 'a,"b"', "Zoë", "p-1"]
    query = upload(running_service, 100, 1, gallery="formulas")["id"]
    for number, name in enumerate(names):
        # A name that begins with blanks is refused now, and is in galleries that are older.
        given = "older" if name != name.strip() else name
        upload(running_service, 101 + number, 1, gallery="formulas", identity=given, camera_id=given, external_id=given)
    with running_service.database() as connection:
        for table, column in (("identities", "name"), ("cameras", "name"), ("tracklets", "external_id")):
            connection.execute(f"UPDATE {table} SET {column} = '  =1' WHERE {column} = 'older'")
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
    assert heights == [height(2), height(5)]
    # The frames of the query, and of the best place below it, at the left of their strips.
    best = get(client, query_id=stored[1]["id"], k=1)["results"][0]["tracklet_id"]
    for number, one in enumerate((stored[1]["id"], best)):
        for position in range(2):
            frame = client.get(f"/tracklets/{one}/frames/{position}").content
            assert shown(strip(sheet, number)[position], frame)
    assert (text_beside(sheet, 0) < 128).any()


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
