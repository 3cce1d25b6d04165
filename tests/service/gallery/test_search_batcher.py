"""Questions that wait together are answered together, and each as if it were alone."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.gallery.batching import BATCH_QUESTIONS, SearchBatcher
from service.gallery.index import GalleryIndex
from service.gallery.questions import Question
from tests.service.gallery.test_gallery_index import make_rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def index() -> GalleryIndex:
    """A few thousand rows."""
    index = GalleryIndex(16)
    index.add(make_rows(np.random.default_rng(0), 3000, 16))
    return index


@pytest.fixture
async def threads() -> AsyncIterator[ThreadPoolExecutor]:
    """Where passes run."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


def questions(count: int) -> list[Question]:
    """Questions with different k."""
    rng = np.random.default_rng(1)
    return [Question(rng.normal(size=16).astype(np.float32), 1 + n % 7) for n in range(count)]


async def test_answers_are_those_of_each_question_alone(index: GalleryIndex, threads: ThreadPoolExecutor) -> None:
    sizes: list[int] = []
    batcher = SearchBatcher(index, threads, sizes.append)
    asked = questions(100)
    answers = await asyncio.gather(*(batcher.search(question) for question in asked))
    assert answers == [index.search_many([question])[0] for question in asked]
    assert sum(sizes) == 100
    assert max(sizes) == BATCH_QUESTIONS


async def test_a_bad_question_fails_alone(index: GalleryIndex, threads: ThreadPoolExecutor) -> None:
    batcher = SearchBatcher(index, threads)
    good = questions(3)
    bad = Question(np.zeros(16, np.float32), 3)
    answers = await asyncio.gather(
        *(batcher.search(question) for question in [good[0], bad, *good[1:]]), return_exceptions=True
    )
    assert isinstance(answers[1], ValueError)
    assert [answers[0], *answers[2:]] == [index.search_many([question])[0] for question in good]


async def test_a_question_whose_asker_went_away_holds_nobody_up(
    index: GalleryIndex, threads: ThreadPoolExecutor
) -> None:
    batcher = SearchBatcher(index, threads)
    first, second = questions(2)
    gone = asyncio.create_task(batcher.search(first))
    stays = asyncio.create_task(batcher.search(second))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == index.search_many([second])[0]
    # And again, after the queue was empty.
    assert await batcher.search(first) == index.search_many([first])[0]
