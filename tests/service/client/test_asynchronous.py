"""The asynchronous client with a running service: the same answers, many at once, and calls that are cancelled."""

import asyncio
import os
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from service.client import ApiProblem, AsyncTfclipClient, PackedTracklet, RetryPolicy, SearchOptions, TfclipClient
from service.client.bodies import AsyncPieces, announced
from tests.contract.crafted_weights import weights_file
from tests.service.client.scripted import OnALoop, Script, scripted_server
from tests.support import RunningService, pictures, upload, wait_until

RANKING = {"query_id": "q", "model_id": "m", "generation": 1, "took_ms": 0.5, "results": []}


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as told:
        yield told


@pytest.fixture(scope="module")
def stored(running_service: RunningService) -> list[str]:
    """Ids of five tracklets of two cameras."""
    return [upload(running_service, seed, camera_id=f"c{seed % 2}")["id"] for seed in range(5)]


def test_it_stores_searches_lists_and_deletes(running_service: RunningService, stored: list[str]) -> None:
    async def day() -> None:
        async with AsyncTfclipClient(running_service.url, running_service.admin_key) as client:
            assert (await client.ready()).ready
            new = await client.create_tracklet(pictures(7), "gate", external_id="once", labels={"bag": True})
            again = await client.create_tracklet(pictures(7), "gate", external_id="once")
            assert (new.created, again.created, again.tracklet.id) == (True, False, new.tracklet.id)
            assert (await client.search_frames(pictures(7))).results[0].tracklet_id == new.tracklet.id
            listed = [tracklet.id async for tracklet in client.list_tracklets(page_size=2)]
            assert listed == [new.tracklet.id, *reversed(stored)]
            ranked = [match.tracklet_id async for match in client.search_pages(stored[0], SearchOptions(k=2))]
            assert sorted(ranked) == sorted({new.tracklet.id, *stored} - {stored[0]})
            assert await client.frame(new.tracklet.id, 0) == pictures(7)[0]
            await client.delete_tracklet(new.tracklet.id)
            with pytest.raises(ApiProblem, match="404"):
                await client.get_tracklet(new.tracklet.id)

    asyncio.run(day())


def test_it_sees_identities_jobs_and_keys(running_service: RunningService, stored: list[str]) -> None:
    async def day() -> None:
        async with AsyncTfclipClient(running_service.url, running_service.admin_key) as client:
            identity = await client.create_identity("Ada", stored[:2])
            assert [one.tracklet_id async for one in client.appearances(identity.id)] != []
            assert {one.name async for one in client.list_identities()} == {"Ada"}
            states: list[str] = []
            job = await client.reindex()
            job = await client.wait_for_job(
                job.id, poll_seconds=0.01, on_progress=lambda state: states.append(state.status)
            )
            assert (job.status, states[-1]) == ("succeeded", "succeeded")
            assert job.id in [one.id async for one in client.list_jobs()]
            key = await client.create_key("reader", ["read"])
            assert key.id in [one.id for one in await client.list_keys()]
            async with AsyncTfclipClient(running_service.url, key.secret) as reader:
                with pytest.raises(ApiProblem) as refused:
                    await reader.delete_tracklet(stored[0])
            assert refused.value.status == 403
            await client.revoke_key(key.id)

    asyncio.run(day())


def test_it_sends_archives_and_follows_a_gallery_until_it_is_cancelled(running_service: RunningService) -> None:
    async def day() -> None:
        async with AsyncTfclipClient(running_service.url, running_service.admin_key) as client:
            packed = [PackedTracklet("c0", str(seed), pictures(seed)) for seed in (11, 12)]
            report = await client.create_tracklets(packed, gallery="archive")
            assert (report.created, report.failed, report.complete) == (2, 0, True)
            seen = asyncio.create_task(follow(client))
            again = await client.create_tracklet(pictures(13), "c0", gallery="archive")
            assert await seen == again.tracklet.id
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    [change async for change in client.changes("archive", after=3, follow=True)]
            assert [change.number async for change in client.changes("archive")] == [1, 2, 3]

    async def follow(client: AsyncTfclipClient) -> str:
        async for change in client.changes("archive", after=2, follow=True):
            return change.tracklet_id
        raise AssertionError("it does not end by itself")

    asyncio.run(day())


def test_a_file_that_cannot_be_read_is_the_callers_error_in_both(
    running_service: RunningService, tmp_path: Path
) -> None:
    packed = [PackedTracklet("c0", "good", pictures(14)), PackedTracklet("c0", "gone", [tmp_path / "gone.jpg"])]
    for kind in (TfclipClient, OnALoop):
        with kind(running_service.url, running_service.admin_key) as client:
            with pytest.raises(FileNotFoundError):
                client.create_tracklets(packed, gallery="half")
            assert client.ready().ready


def test_twenty_searches_at_once_are_answered_as_one_after_another(
    running_service: RunningService, stored: list[str]
) -> None:
    options = SearchOptions(k=4, exclude_query_camera=True)
    with TfclipClient(running_service.url, running_service.admin_key) as client:
        alone = [client.search(query, options).results for query in stored]

    async def together() -> list[list[object]]:
        async with AsyncTfclipClient(running_service.url, running_service.admin_key) as client:
            rankings = await asyncio.gather(*(client.search(query, options) for query in stored * 4))
        return [ranking.results for ranking in rankings]

    assert asyncio.run(together()) == alone * 4


def test_weights_of_a_pipe_arrive_whole(running_service: RunningService, tmp_path: Path) -> None:
    weights = weights_file(tmp_path)

    async def register() -> tuple[str, str]:
        async with AsyncTfclipClient(running_service.url, running_service.admin_key) as client:
            with weights.open("rb") as file:
                first = await client.add_model(file, "from-a-file")
            reading, writing = os.pipe()
            with os.fdopen(reading, "rb") as pipe:
                feeding = asyncio.to_thread(feed, writing, weights.read_bytes())
                second, _ = await asyncio.gather(client.add_model(pipe), feeding)
        return first.id, second.id

    first, second = asyncio.run(register())
    assert first == second


def feed(pipe: int, content: bytes) -> None:
    with os.fdopen(pipe, "wb") as file:
        file.write(content)


def test_a_file_is_read_beside_the_event_loop() -> None:
    class Watched(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            readers.add(threading.get_ident())
            return super().read(size)

    async def read() -> list[bytes]:
        return [piece async for piece in AsyncPieces(Watched(bytes(200_000)))]

    readers: set[int] = set()
    pieces = asyncio.run(read())
    assert b"".join(pieces) == bytes(200_000)
    assert max(map(len, pieces)) < 200_000
    assert readers
    assert threading.get_ident() not in readers


def test_what_a_body_is_made_of_is_gone_through_again_when_it_is_sent_again() -> None:
    async def read(body: AsyncPieces) -> list[bytes]:
        return [piece async for piece in body]

    body = AsyncPieces([b"a", b"", b"bc"])
    assert asyncio.run(read(body)) == [b"a", b"", b"bc"]
    assert asyncio.run(read(body)) == [b"a", b"", b"bc"]


def test_the_length_of_a_pipe_is_not_announced() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert announced(pipe) == {}


def test_a_cancelled_call_closes_its_connection_and_leaves_the_client_usable(script: Script) -> None:
    async def cancel() -> None:
        async with AsyncTfclipClient(script.url) as client:
            call = asyncio.create_task(client.search("q"))
            await asyncio.to_thread(wait_until, lambda: script.asked)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.to_thread(script.hung_up.wait, 10)
            script.then(200, RANKING)
            assert (await client.search("q")).model_id == "m"

    script.then_silence()
    asyncio.run(cancel())
    assert len(script.asked) == 2


def test_a_call_is_cancelled_while_it_waits_to_be_sent_again(script: Script) -> None:
    class Waiting(RetryPolicy):
        def delay(self, attempt: int, retry_after: float | None = None) -> float | None:
            waits.set()
            return 3600.0

    async def cancel() -> None:
        async with AsyncTfclipClient(script.url, retries=Waiting()) as client:
            call = asyncio.create_task(client.search("q"))
            await waits.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            script.then(200, RANKING)
            await client.search("q")

    waits = asyncio.Event()
    script.then(503)
    asyncio.run(cancel())
    assert len(script.asked) == 2


def test_a_list_that_is_not_read_to_its_end_asks_for_no_more(script: Script) -> None:
    async def first() -> str:
        async with AsyncTfclipClient(script.url) as client:
            async for job in client.list_jobs():
                return job.id
        raise AssertionError("the list is empty")

    script.then(200, {"items": [{"id": "j", "kind": "reindex", "status": "queued"}], "next_cursor": "more"})
    assert asyncio.run(first()) == "j"
    assert len(script.asked) == 1
