"""Searching: the part of the client that asks who is where."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from service.client.answers import frame_parts, parse
from service.client.options import SearchOptions, examples_document
from service.client.synchronous.sending import Sender
from service.client.wire import Match, Ranking
from service.client.wire.search import BatchAnswer, BatchItem, Verification


class SearchMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def search(self, query_id: str, options: SearchOptions | None = None) -> Ranking:
        """Rank the gallery against a stored tracklet, which is never in its own ranking."""
        parameters = [("query_id", query_id), *(options or SearchOptions()).parameters()]
        return parse(Ranking, self._send("GET", "/search", params=parameters))

    def search_pages(self, query_id: str, options: SearchOptions | None = None) -> Iterator[Match]:
        """Yield the whole ranking, `options.k` places at a time, asking for the next ones only when they are needed."""
        options = options or SearchOptions()
        while True:
            ranking = self.search(query_id, options)
            yield from ranking.results
            if ranking.next_cursor is None:
                return
            options = replace(options, cursor=ranking.next_cursor)

    def search_frames(self, frames: Sequence[bytes], options: SearchOptions | None = None) -> Ranking:
        """Rank the gallery against frames that are not stored."""
        parameters = (options or SearchOptions()).parameters()
        return parse(Ranking, self._send("POST", "/search", params=parameters, files=frame_parts(frames)))

    def search_examples(
        self,
        positive: Sequence[str],
        negative: Sequence[str] = (),
        options: SearchOptions | None = None,
        *,
        combine: Literal["mean", "max"] | None = None,
    ) -> Ranking:
        """Rank the gallery against several tracklets, less those of others; no example is in the ranking."""
        body = examples_document(positive, negative, options, combine)
        return parse(Ranking, self._send("POST", "/search/examples", json=body))

    def search_batch(self, searches: Sequence[tuple[str, SearchOptions | None]]) -> list[BatchItem]:
        """Answer several searches by stored tracklets in one request; one that fails does not stop the others."""
        queries = [{"query_id": query} | (options or SearchOptions()).document() for query, options in searches]
        return parse(BatchAnswer, self._send("POST", "/search/batch", json={"queries": queries})).items

    def export_search(
        self, query_id: str, format: Literal["csv", "json", "png"], options: SearchOptions | None = None
    ) -> bytes:
        """Return a ranking as a file: a table, a JSON document or a sheet of pictures; `k` may be beyond 1000."""
        parameters = [("query_id", query_id), ("format", format), *(options or SearchOptions()).parameters()]
        return self._send("GET", "/search/export", params=parameters).content

    def export_search_frames(
        self, frames: Sequence[bytes], format: Literal["csv", "json", "png"], options: SearchOptions | None = None
    ) -> bytes:
        """Return a ranking by frames that are not stored as a file; see `export_search`."""
        parameters = [("format", format), *(options or SearchOptions()).parameters()]
        return self._send("POST", "/search/export", params=parameters, files=frame_parts(frames)).content

    def export_search_examples(
        self,
        positive: Sequence[str],
        format: Literal["csv", "json", "png"],
        negative: Sequence[str] = (),
        options: SearchOptions | None = None,
        *,
        combine: Literal["mean", "max"] | None = None,
    ) -> bytes:
        """Return a ranking by examples as a file; see `export_search` and `search_examples`."""
        body = examples_document(positive, negative, options, combine) | {"format": format}
        return self._send("POST", "/search/examples/export", json=body).content

    def verify(self, tracklet_id: str, other_tracklet_id: str, gallery: str | None = None) -> Verification:
        """Compare two stored tracklets of a gallery."""
        given = {"tracklet_id": tracklet_id, "other_tracklet_id": other_tracklet_id, "gallery": gallery}
        body = {name: value for name, value in given.items() if value is not None}
        return parse(Verification, self._send("POST", "/verify", json=body))

    def verify_frames(
        self, frames: Sequence[bytes], other: Sequence[bytes] | str, gallery: str | None = None
    ) -> Verification:
        """Compare frames that are not stored with others, or with the stored tracklet of the id `other`."""
        parts, data = frame_parts(frames), {"gallery": gallery} if gallery else {}
        if isinstance(other, str):
            data["tracklet_id"] = other
        else:
            parts += frame_parts(other, "other_frames")
        return parse(Verification, self._send("POST", "/verify", data=data, files=parts))
