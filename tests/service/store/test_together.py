"""Lookups that share a statement: who shares one, and what each gets of it."""

import asyncio
from collections.abc import Collection

import pytest

from service.store.together import Together


class Shelf:
    """Knows the squares of even numbers; remembers what it was asked, and waits until it may answer."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, keys: Collection[int]) -> dict[int, int]:
        self.asked.append(set(keys))
        self.begun.put_nowait(None)
        await self.open.wait()
        if 13 in keys:
            raise LookupError("thirteen")
        return {key: key * key for key in keys if key % 2 == 0}


def test_who_asks_in_one_turn_shares_a_call_and_who_asks_later_does_not() -> None:
    async def run() -> list[set[int]]:
        shelf = Shelf()
        together = Together(shelf.load)
        first, second = await asyncio.gather(together.find([2, 3]), together.find([3, 4]))
        assert (first[2], 3 in first, second[4]) == (4, False, 16)
        assert (await together.find([2]))[2] == 4
        return shelf.asked

    assert asyncio.run(run()) == [{2, 3, 4}, {2}]


def test_a_question_is_never_answered_by_a_call_that_began_before_it() -> None:
    async def run() -> list[set[int]]:
        shelf = Shelf()
        together = Together(shelf.load)
        shelf.open.clear()
        early = asyncio.create_task(together.find([2]))
        await shelf.begun.get()
        late = asyncio.create_task(together.find([2]))
        await shelf.begun.get()
        shelf.open.set()
        await asyncio.gather(early, late)
        return shelf.asked

    assert asyncio.run(run()) == [{2}, {2}]


def test_one_who_hangs_up_takes_no_answer_from_the_others() -> None:
    async def run() -> None:
        shelf = Shelf()
        together = Together(shelf.load)
        shelf.open.clear()
        gone, waiting = (asyncio.create_task(together.find([key])) for key in (2, 4))
        await shelf.begun.get()
        gone.cancel()
        shelf.open.set()
        assert (await waiting)[4] == 16
        assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        assert shelf.asked == [{2, 4}]

    asyncio.run(run())


def test_a_failed_call_fails_for_those_who_shared_it_and_for_nobody_else() -> None:
    async def run() -> None:
        together = Together(Shelf().load)
        both = await asyncio.gather(together.find([13]), together.find([2]), return_exceptions=True)
        assert [type(one) for one in both] == [LookupError, LookupError]
        with pytest.raises(LookupError):
            await together.find([13])
        assert (await together.find([2]))[2] == 4

    asyncio.run(run())
