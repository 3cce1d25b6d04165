"""The index against brute force, whatever was done to it before: a state machine for each way of keeping rows."""

import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from service.gallery import rows as module
from service.gallery import snapshot
from service.gallery.index import GalleryIndex
from service.gallery.questions import Question
from service.store.changes import IndexRow
from tests.service.gallery.test_gallery_index import FILTERS, OPTIONS, assert_same_ranking, brute_force, make_rows

DIMENSION = 8
NAMES = st.sampled_from(sorted(FILTERS))


class IndexStates(RuleBasedStateMachine):
    """An index, and beside it the rows that it must contain."""

    kind = "float32"

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Start empty, with blocks of a few rows so that many are sealed."""
        self.least, module._LEAST_BLOCK_ROWS = module._LEAST_BLOCK_ROWS, 16
        self.bytes, module._BLOCK_BYTES = module._BLOCK_BYTES, 1
        self.rng = np.random.default_rng(seed)
        self.rows: list[IndexRow] = []
        self.index = GalleryIndex(DIMENSION, **OPTIONS[self.kind])

    def teardown(self) -> None:
        """Blocks are large again."""
        if hasattr(self, "least"):
            module._LEAST_BLOCK_ROWS, module._BLOCK_BYTES = self.least, self.bytes

    @rule(count=st.integers(1, 60), spread=st.sampled_from([1.0, 1e-7]))
    def add(self, count: int, spread: float) -> None:
        """Rows far apart, or nearly the same; duplicates among them."""
        rows = make_rows(self.rng, count, DIMENSION, spread)
        self.index.add(rows)
        self.rows += rows

    @rule(number=st.integers(0, 10**6), again=st.booleans())
    def delete(self, number: int, again: bool) -> None:
        """Take a row out; perhaps put it back under another id."""
        if self.rows:
            gone = self.rows.pop(number % len(self.rows))
            assert self.index.remove(gone.tracklet_id)
            assert not self.index.remove(gone.tracklet_id)
            if again:
                back = IndexRow(uuid.UUID(bytes=self.rng.bytes(16)), "c1", None, None, gone.vector, labels=gone.labels)
                back.labels.setdefault("side", "in")
                self.index.add([back])
                self.rows.append(back)

    @rule()
    def restart(self) -> None:
        """Through a snapshot."""
        with tempfile.TemporaryDirectory() as folder:
            snapshot.write(Path(folder) / "s", self.index.freeze(), 1, 1, "m")
            _, self.index = snapshot.read(Path(folder) / "s", **OPTIONS[self.kind])

    @rule(number=st.integers(0, 10**6))
    def update(self, number: int) -> None:
        """Other columns for a row."""
        if self.rows:
            self.index.update([self._changed(number)])

    def _changed(self, number: int) -> IndexRow:
        row = self.rows[number % len(self.rows)]
        # The last of several: each has another camera, identity, labels and number of frames.
        other = make_rows(self.rng, 1 + number % 23, DIMENSION)[-1]
        changed = replace(other, tracklet_id=row.tracklet_id, vector=row.vector)
        self.rows[number % len(self.rows)] = changed
        return changed

    @rule(meanwhile=st.integers(0, 5), count=st.integers(0, 5), number=st.integers(0, 10**6), k=st.integers(1, 30))
    def compact(self, meanwhile: int, count: int, number: int, k: int) -> None:
        """The live rows copied beside; what happens meanwhile happens to both, and both answer alike, bit for bit."""
        frozen, before = self.index.freeze(), self.index
        gone = [self.rows.pop() for _ in range(min(meanwhile, len(self.rows)))]
        come = make_rows(self.rng, count, DIMENSION)
        self.rows += come
        changed = [self._changed(number)] if self.rows else []
        self.index = GalleryIndex.of(frozen, **OPTIONS[self.kind])
        assert self.index.dead == 0
        for index in (before, self.index):
            assert all(index.remove(row.tracklet_id) for row in gone)
            index.add(come)
            assert index.update(changed) == len(changed)
        queries = self.rng.normal(size=(len(FILTERS), DIMENSION)).astype(np.float32)
        questions = [Question(query, k, FILTERS[name][0]) for query, name in zip(queries, sorted(FILTERS), strict=True)]
        assert self.index.search_many(questions) == before.search_many(questions)

    @rule()
    def reindex(self) -> None:
        """Built anew from the rows, in another order."""
        self.index = GalleryIndex(DIMENSION, **OPTIONS[self.kind])
        self.index.add(sorted(self.rows, key=lambda row: row.tracklet_id))

    @rule(names=st.lists(NAMES, min_size=1, max_size=12), k=st.integers(1, 30), own=st.integers(0, 10**6))
    def ask(self, names: list[str], k: int, own: int) -> None:
        """One batch; every second question is of a row that must not answer itself."""
        asked = self.rows[own % len(self.rows)] if self.rows else None
        questions, expected = [], []
        for number, name in enumerate(names):
            filters, passes = FILTERS[name]
            query = self.rng.normal(size=DIMENSION).astype(np.float32)
            excluded = None
            if asked is not None and number % 2:
                query, excluded = np.frombuffer(asked.vector, "<f4"), asked
            questions.append(Question(query, k, filters, excluded.tracklet_id if excluded else None))
            expected.append(brute_force([row for row in self.rows if row is not excluded and passes(row)], query, k))
        for hits, ranking in zip(self.index.search_many(questions), expected, strict=True):
            assert_same_ranking(hits, ranking)

    @invariant()
    def contains_what_it_should(self) -> None:
        """No more, no less."""
        if hasattr(self, "rows"):
            assert len(self.index) == len(self.rows)
            assert all(row.tracklet_id in self.index for row in self.rows)


class DraftStates(IndexStates):
    """Rows in float32, with drafts."""

    kind = "drafts"


class HalfStates(IndexStates):
    """Rows in float16."""

    kind = "float16"


class MatrixStates(IndexStates):
    """Rows as a GPU has them."""

    kind = "matrix"


_BUDGET = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestFloatStates = IndexStates.TestCase
TestFloatStates.settings = _BUDGET
TestDraftStates = DraftStates.TestCase
TestDraftStates.settings = _BUDGET
TestHalfStates = HalfStates.TestCase
TestHalfStates.settings = _BUDGET
TestMatrixStates = MatrixStates.TestCase
TestMatrixStates.settings = _BUDGET
