"""An HTTP server that answers by a script, and the asynchronous client as a test that waits calls it."""

import asyncio
import inspect
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.client import AsyncTfclipClient

RESET, SILENCE = "reset", "silence"


class Script:
    """What the server answers, request by request, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.url = ""
        self.hung_up = threading.Event()

    def then(self, status: int, body: Any = None, **headers: str) -> "Script":
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))
        return self

    def then_reset(self) -> "Script":
        self.answers.append(RESET)
        return self

    def then_silence(self) -> "Script":
        """Answer nothing until the client closes the connection, and set `hung_up` then."""
        self.answers.append(SILENCE)
        return self


class Handler(BaseHTTPRequestHandler):
    script: Script

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.script.asked.append((self.command, self.path, body, dict(self.headers)))
        answer = self.script.answers.pop(0)
        if answer is RESET:
            # Lingering for 0 seconds makes the kernel answer with RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if answer is SILENCE:
            if not self.connection.recv(1):
                self.script.hung_up.set()
            self.close_connection = True
            return
        status, document, headers = answer
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(0 if status == 204 else len(content)))
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests read `asked`."""

    def finish(self) -> None:
        # After a reset there is nothing left to flush.
        if not self.connection._closed:  # type: ignore[attr-defined]
            super().finish()


@contextmanager
def scripted_server() -> Iterator[Script]:
    """A server that listens for the duration of the block."""
    told = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (Handler,), {"script": told}))
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


class OnALoop:
    """An asynchronous client with the calls of a synchronous one: each is run to its end on an event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._client = AsyncTfclipClient(*arguments, **options)
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made = getattr(self._client, name)(*arguments, **options)
            return self._runner.run(made) if inspect.iscoroutine(made) else self._read(made)

        return call

    def _read(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        end = object()

        async def following() -> Any:
            return await anext(items, end)

        while (item := self._runner.run(following())) is not end:
            yield item

    def __enter__(self) -> "OnALoop":
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *raised: Any) -> None:
        self._runner.run(self._client.__aexit__(*raised))
        self._runner.close()
