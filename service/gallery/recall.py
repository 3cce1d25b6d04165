"""Does the index find what is there? A few live searches are answered again by brute force, behind their askers."""

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog

from service.gallery.index import Frozen, GalleryIndex
from service.gallery.masks import passing
from service.gallery.questions import Hit, Question
from service.gallery.scoring import cosine_scores, unit_rows

log = structlog.get_logger(__name__)

_LOWEST_PRIORITY = 19
_ROWS_AT_A_TIME = 256


class RecallMonitor:
    """Compares a share of all answers with brute force in float64, one at a time, in a thread that yields to others.

    Args:
        share: of searches that are looked at, 0 to 1; 0: none.
        observe: called with the places that an answer should have, and those of them that it has.
        draw: a number from 0 to 1, evenly.
    """

    def __init__(
        self, share: float, observe: Callable[[int, int], None], draw: Callable[[], float] = random.random
    ) -> None:
        self._share = share
        self._observe = observe
        self._draw = draw
        self._busy = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recall", initializer=_give_way)

    def close(self) -> None:
        """Wait for the comparison that runs."""
        self._thread.shutdown(wait=True)

    def watch(self, index: GalleryIndex, applied: int, question: Question, hits: Sequence[Hit]) -> None:
        """Compare this answer, perhaps. Call it where the index is written: rows are taken as they are at this moment.

        Args:
            applied: the index's last change before it was asked. One that changed since may not have had the rows that
                it has now, so such an answer is passed over.
        """
        if not question.plain:
            # Others are answered without proposals, by a pass over every row: there is nothing that could be missed.
            return
        if self._draw() >= self._share or index.applied != applied or not self._busy.acquire(blocking=False):
            return
        try:
            self._thread.submit(self._compare, index.freeze(), question, hits)
        except BaseException:
            self._busy.release()
            raise

    def _compare(self, frozen: Frozen, question: Question, hits: Sequence[Hit]) -> None:
        try:
            asked, found = compare(frozen, question, hits)
            self._observe(asked, found)
            if found < asked:
                log.error("the index did not find what brute force finds", asked=asked, found=found)
        except Exception:
            log.exception("an answer could not be compared with brute force")
        finally:
            self._busy.release()


def compare(frozen: Frozen, question: Question, hits: Sequence[Hit]) -> tuple[int, int]:
    """How many places the answer to a plain question should have, and how many of its rows belong there.

    Of equal scores, any do.
    """
    allowed = passing(frozen.columns, question.filters, len(frozen.ids))
    if question.exclude is not None:
        own = np.frombuffer(question.exclude.bytes, ">u8")
        allowed &= (frozen.ids != own).any(axis=1)
    numbers = frozen.numbers[allowed]
    query = unit_rows(question.query[None])[0]
    scores = np.empty(len(numbers))
    for start in range(0, len(numbers), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        scores[part] = cosine_scores(frozen.rows.gather(numbers[part]), query)
    asked = min(question.k, len(scores))
    if asked == 0:
        return 0, 0
    least = -np.partition(-scores, asked - 1)[asked - 1]
    answered = {hit.tracklet_id.bytes for hit in hits}
    ids = frozen.ids[allowed][scores >= least]
    return asked, min(asked, sum(row.tobytes() in answered for row in ids))


def _give_way() -> None:
    if sys.platform == "linux":
        # Of this thread alone: on Linux, each has a priority of its own.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
