"""Questions that arrive together are answered together: one pass over the rows for many of them."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from service.gallery.index import GalleryIndex
from service.gallery.questions import Hit, Question

BATCH_QUESTIONS = 32
"""Questions answered in one pass at most."""

_LINGER = 0.25
"""Share of the last pass's time for which the next one waits for as many questions as the last one had."""


@dataclass
class _Waiting:
    question: Question
    answer: asyncio.Future[list[Hit]]


class SearchBatcher:
    """The queue before one index. While a pass runs, further questions gather; they are the next one.

    After a pass with several questions, their askers come back at about the same time; waiting for them a little saves
    the pass that the first of them would have had to itself. A lone asker never waits.

    Args:
        index: answers.
        threads: where passes run.
        on_batch: called with the number of questions of every pass, for metrics.
    """

    def __init__(
        self, index: GalleryIndex, threads: Executor, on_batch: Callable[[int], None] = lambda size: None
    ) -> None:
        self._index = index
        self._threads = threads
        self._on_batch = on_batch
        self._waiting: list[_Waiting] = []
        self._enough = asyncio.Event()
        self._expected = 1
        self._seconds = 0.0
        self._running: asyncio.Task[None] | None = None

    async def search(self, question: Question) -> list[Hit]:
        """The answer of the index to the question, the same as alone.

        Raises:
            Exception: whatever the index raised for the pass.
        """
        if not question.plain:
            # It has a pass of its own; others need not wait for it.
            self._on_batch(1)
            loop = asyncio.get_running_loop()
            return (await loop.run_in_executor(self._threads, self._index.search_many, [question]))[0]
        waiting = _Waiting(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._waiting) >= self._expected:
            self._enough.set()
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="search batcher")
        return await waiting.answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._linger()
                batch = [one for one in self._waiting[:BATCH_QUESTIONS] if not one.answer.done()]
                del self._waiting[:BATCH_QUESTIONS]
                if batch:
                    await self._answer(batch)
        finally:
            self._running = None
            for one in self._waiting:
                one.answer.cancel()
            self._waiting.clear()

    async def _linger(self) -> None:
        self._enough.clear()
        if len(self._waiting) < self._expected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), _LINGER * self._seconds)

    async def _answer(self, batch: list[_Waiting]) -> None:
        self._on_batch(len(batch))
        began = time.perf_counter()
        questions = [one.question for one in batch]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._index.search_many, questions
            )
        except asyncio.CancelledError:
            for one in batch:
                one.answer.cancel()
            raise
        except Exception as error:
            if len(batch) > 1:
                # One bad question must not fail the others.
                for one in batch:
                    await self._answer([one])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        self._seconds = time.perf_counter() - began
        self._expected = min(len(batch), BATCH_QUESTIONS)
        for one, hits in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(hits)
