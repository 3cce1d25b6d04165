"""Many tracklets, and what happens to them: the part of the client that follows a gallery."""

from collections.abc import Iterator

from service.client_answers import parse
from service.client_sending import Sender
from service.wire_bulk import Change, ChangePage

_WAIT_SECONDS = 20


class BulkMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def changes(
        self, gallery: str | None = None, *, after: int = 0, follow: bool = False, page_size: int = 100
    ) -> Iterator[Change]:
        """Yield a gallery's changes after a number, in order; with `follow`, wait for more and never end.

        What was yielded is final: whoever keeps the last `number` goes on from there, later or elsewhere.
        """
        while True:
            given = {"gallery": gallery, "after": str(after), "limit": str(page_size)}
            if follow:
                given["wait_seconds"] = str(_WAIT_SECONDS)
            parameters = [(name, value) for name, value in given.items() if value is not None]
            page = parse(ChangePage, self._send("GET", "/changes", params=parameters))
            yield from page.items
            after = page.next
            if not follow and after >= page.change:
                return
