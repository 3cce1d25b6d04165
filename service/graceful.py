"""uvicorn's server, ended by a signal as a service should end: everything closed, exit code 0."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class GracefulServer(uvicorn.Server):
    """A server that SIGTERM and SIGINT stop.

    uvicorn raises the signal again once it has closed everything, so that the process dies of it; supervisors and
    scripts would take that for a failure.
    """

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
