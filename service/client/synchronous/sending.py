"""What the parts of the client share: they say what to ask, `TfclipClient` asks it."""

from collections.abc import Iterator
from typing import Any

import httpx

from service.client.answers import parse


class Sender:
    """Sends requests; a part of the client is a class of methods that use `_send` and `_pages`."""

    def _send(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool = True,
        once: bool = False,
        gone_is_done: bool = False,
        **content: Any,
    ) -> httpx.Response:
        """Send a request, again after a failure that may pass.

        Args:
            repeatable: it may be sent again although the first may have been carried out.
            once: it creates something: it carries an `Idempotency-Key`, by which the service knows it again.
            gone_is_done: 404 after a lost answer means that the first was carried out.
            content: as httpx takes it; what is read or made piece by piece comes as `Pieces`.
        """
        raise NotImplementedError

    def _pages(self, kind: type[Any], path: str, gallery: str | None = None, **options: str | None) -> Iterator[Any]:
        """Yield the items of a list, asking for a page when the one before is used up."""
        cursor: str | None = None
        while True:
            given = {"gallery": gallery, "cursor": cursor, **options}
            parameters = [(name, value) for name, value in given.items() if value is not None]
            page = parse(kind, self._send("GET", path, params=parameters))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return
