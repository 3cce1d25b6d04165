"""Clients that cost next to nothing: a request written, its answer counted, over one connection each.

An ordinary HTTP client takes several milliseconds of CPU for one answer, as much as the service; on two cores that
would measure the client.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import cycle

import httpx

from benchmarks.serving import ADMIN_KEY


@dataclass(frozen=True)
class Load:
    """What clients got.

    Attributes:
        latencies: seconds of each answer.
        seconds: from the first request to the last answer.
        cpu: CPU seconds that the clients took themselves.
    """

    latencies: list[float]
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


def offer(pool: Executor, url: str, paths: Sequence[str], clients: int, seconds: float) -> Load:
    """Ask for the paths in turns for so long, by so many clients at once, in another process.

    Raises:
        RuntimeError: an answer was not 200.
    """
    return pool.submit(_run, url, paths, clients, seconds).result()


def _run(url: str, paths: Sequence[str], clients: int, seconds: float) -> Load:
    return asyncio.run(_offer(url, paths, clients, seconds))


async def _offer(url: str, paths: Sequence[str], clients: int, seconds: float) -> Load:
    address, loop, source = httpx.URL(url), asyncio.get_running_loop(), cycle(paths)
    began, cpu = time.perf_counter(), time.process_time()
    asked = [_Client(source, began + seconds, loop.create_future()) for _ in range(clients)]
    for client in asked:
        await loop.create_connection(lambda client=client: client, address.host, address.port)
    await asyncio.gather(*(client.done for client in asked))
    latencies = [latency for client in asked for latency in client.latencies]
    return Load(latencies, time.perf_counter() - began, time.process_time() - cpu)


class _Client(asyncio.Protocol):
    def __init__(self, paths: Iterator[str], deadline: float, done: "asyncio.Future[None]") -> None:
        self.latencies: list[float] = []
        self.done = done
        self._paths = paths
        self._deadline = deadline
        self._received = b""
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._end(RuntimeError(self._received[:1000].decode()))
            return
        now = time.perf_counter()
        self.latencies.append(now - self._asked)
        self._received = b""
        if now < self._deadline:
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RuntimeError("the service hung up"))

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        head = f"GET {next(self._paths)} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
        self._transport.write(head.encode())

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
            self._transport.close()
