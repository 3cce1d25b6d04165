"""uvicorn, with two corrections: it ends as a service should, and what is not HTTP is refused as a problem too."""

import asyncio
import json
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.runtime import Service
from service.settings import Settings

# Long addresses are for the application to refuse, in its own words; the default of 64 KiB would cut them off.
_MAX_HEADER_BYTES = 256 * 1024


class GracefulServer(uvicorn.Server):
    """A server that SIGTERM and SIGINT stop, with exit code 0.

    uvicorn raises the signal again once it has closed everything, so that the process dies of it; supervisors and
    scripts would take that for a failure.
    """

    def __init__(self, config: uvicorn.Config, application: FastAPI) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let those who wait for a change go; then wait for whoever is answered."""
        service: Service | None = getattr(self._application.state, "service", None)
        if service is not None:
            service.bell.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle both signals for the duration of the block."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


class ProblemProtocol(H11Protocol):
    """HTTP/1.1 whose own refusals, of requests that never reach the application, are RFC 9457 problems as well."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be understood, and hang up."""
        problem = {
            "type": "urn:tfclip:problem:bad_request",
            "title": "Bad Request",
            "status": 400,
            "detail": msg,
            "instance": "",
            "code": "bad_request",
            "request_id": (request_id := uuid.uuid4().hex),
            "errors": [],
        }
        body = json.dumps(problem).encode()
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("X-Request-ID", request_id),
        ]
        events = (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """The server of the application, on the settings' address."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        http=ProblemProtocol,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_graceful_shutdown=10,
        server_header=False,
        # A large body makes the connection keep the context of the request that read it: later ones would begin in it.
        reset_contextvars=True,
    )
    return GracefulServer(config, app)
