# Generated from service/client/synchronous/bulk.py by `python -m tools.asynchronous_client`: change that file.
"""Many tracklets at once, and what happens to them: the part of the client that has to do with archives and changes."""

from collections.abc import AsyncIterator, Iterable, Sequence

from service.client.answers import parse
from service.client.archives import CONTENT_TYPE, Archive, PackedTracklet
from service.client.asynchronous.sending import AsyncSender
from service.client.bodies import AsyncPieces
from service.client.wire.bulk import BatchReport, Change, ChangePage

_WAIT_SECONDS = 20


class AsyncBulkMethods(AsyncSender):
    """Mixed into `AsyncTfclipClient`, which sends."""

    async def create_tracklets(self, tracklets: Sequence[PackedTracklet], *, gallery: str | None = None) -> BatchReport:
        """Store many tracklets in one request; the archive is written while it is sent. Each fails alone.

        Raises:
            OSError: a frame's file cannot be read; what was whole before is stored.
        """
        return await self.send_archive(Archive(tracklets), gallery=gallery)

    async def send_archive(
        self, content: Iterable[bytes], *, gallery: str | None = None, size: int | None = None
    ) -> BatchReport:
        """Store the tracklets of a tar archive.

        Args:
            content: its bytes. They are gone through again when the request is sent again, so no generator.
            size: how many they are, where that is known.
        """
        headers = {"Content-Type": CONTENT_TYPE} | ({} if size is None else {"Content-Length": str(size)})
        parameters = {} if gallery is None else {"gallery": gallery}
        return parse(
            BatchReport,
            await self._send(
                "POST", "/tracklets/batch", once=True, params=parameters, headers=headers, content=AsyncPieces(content)
            ),
        )

    async def changes(
        self, gallery: str | None = None, *, after: int = 0, follow: bool = False, page_size: int = 100
    ) -> AsyncIterator[Change]:
        """Yield a gallery's changes after a number, in order; with `follow`, wait for more and never end.

        What was yielded is final: whoever keeps the last `number` goes on from there, later or elsewhere.
        """
        while True:
            given = {"gallery": gallery, "after": str(after), "limit": str(page_size)}
            if follow:
                given["wait_seconds"] = str(_WAIT_SECONDS)
            parameters = [(name, value) for name, value in given.items() if value is not None]
            page = parse(ChangePage, await self._send("GET", "/changes", params=parameters))
            for item in page.items:
                yield item
            after = page.next
            if not follow and after >= page.change:
                return
