"""The asynchronous client is what is generated from the synchronous one, and has the same methods."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import get_args, get_origin, get_type_hints

import pytest

from service.client import AsyncTfclipClient, TfclipClient
from tools.asynchronous_client import committed, generated
from tools.translation import UntranslatableError, names_of, translate

METHODS = sorted(name for name in dir(TfclipClient) if not name.startswith("_"))
MODULE = """
import time
from collections.abc import Iterator

TRIES = 3


class Methods(Sender):
    def first(self) -> bytes:
        return self._send("GET", "/").content[0]

    def items(self) -> Iterator[int]:
        for number in self._pages(int, "/"):
            yield number + TRIES

    def count(self) -> int:
        return len([one for one in self.items() if one])  # ä: columns are bytes

    def wait(self) -> None:
        time.sleep(self.pause())

    def pause(self) -> float:
        return time.monotonic()


class Sender:
    def _send(self, *asked: str) -> object:
        raise NotImplementedError

    def _pages(self, kind: type, path: str) -> Iterator[object]:
        yield from self._send(path)
"""
TWIN = """
import asyncio
import time
from collections.abc import AsyncIterator, Iterator

TRIES = 3


class AsyncMethods(AsyncSender):
    async def first(self) -> bytes:
        return (await self._send("GET", "/")).content[0]

    async def items(self) -> AsyncIterator[int]:
        async for number in self._pages(int, "/"):
            yield number + TRIES

    async def count(self) -> int:
        return len([one async for one in self.items() if one])  # ä: columns are bytes

    async def wait(self) -> None:
        await asyncio.sleep(self.pause())

    def pause(self) -> float:
        return time.monotonic()


class AsyncSender:
    async def _send(self, *asked: str) -> object:
        raise NotImplementedError

    async def _pages(self, kind: type, path: str) -> AsyncIterator[object]:
        for item in await self._send(path):
            yield item
"""


def parameters(method: Callable[..., object]) -> list[tuple[object, ...]]:
    """Names, kinds, types and defaults; of a function as a default only that it is one."""
    given = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.annotation, callable(one.default) or one.default) for one in given]


def twin(text: str) -> str:
    return translate("given.py", text, names_of({"given.py": text}))


def test_what_is_committed_is_what_its_sources_say() -> None:
    assert generated() == committed()


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_have_the_same_methods(name: str) -> None:
    method, other = getattr(TfclipClient, name), getattr(AsyncTfclipClient, name)
    assert parameters(method) == parameters(other)
    hint, other_hint = get_type_hints(method)["return"], get_type_hints(other)["return"]
    if get_origin(hint) is Iterator:
        assert inspect.isasyncgenfunction(other)
        assert (get_origin(other_hint), get_args(other_hint)) == (AsyncIterator, get_args(hint))
    else:
        assert inspect.iscoroutinefunction(other)
        assert other_hint == hint
    assert sorted(name for name in dir(AsyncTfclipClient) if not name.startswith("_")) == METHODS


def test_what_waits_becomes_asynchronous_and_nothing_else_changes() -> None:
    assert twin(MODULE) == TWIN


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("def a(self): return any(self._send(x) for x in 'ab')", "generator expression"),
        ("def a(self): return (lambda: self._send('/'))()", "lambda"),
        ("def a(self): return map(self._send, 'ab')", "called where it is named"),
        (
            "def a(self) -> Iterator[int]: yield from self._send('/')\n    def b(self): return list(self.a())",
            "by `for`",
        ),
        ("def a(self) -> Iterator[int]: yield (yield from self._send('/'))", "statement of its own"),
        ("def a(self) -> 'Generator': yield self._send('/')", "returns an Iterator"),
        ("def a(self):\n        with self._http.stream('/'): pass", "context manager"),
        ("@property\n    def a(self): return self._send('/')", "decorators"),
    ],
)
def test_what_has_no_twin_is_refused_by_line(method: str, why: str) -> None:
    with pytest.raises(UntranslatableError, match=rf"given.py, line \d+: .*{why}"):
        twin(f"class Methods:\n    {method}\n")


@pytest.mark.parametrize("statement", ["KEEP = object()", "def helper(): pass", "if True: import os"])
def test_what_both_would_have_twice_is_refused(statement: str) -> None:
    with pytest.raises(UntranslatableError, match=r"given.py, line 1: .*both clients import"):
        twin(statement)
