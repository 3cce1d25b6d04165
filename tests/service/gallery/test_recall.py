"""The metric of recall: one for an index that works, less for one that is broken on purpose."""

import threading
import uuid
from dataclasses import replace

import numpy as np
import pytest

from service.gallery import index as module
from service.gallery import recall
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.gallery.proposing import Proposal
from service.gallery.questions import Question
from service.gallery.recall import RecallMonitor, compare
from service.store.changes import IndexRow
from tests.support import make_settings, run_service, search, upload, wait_until


@pytest.fixture
def index() -> GalleryIndex:
    rng = np.random.default_rng(0)
    made = GalleryIndex(16, applied=7)
    made.add(
        [
            IndexRow(uuid.uuid4(), f"c{n % 3}", None, None, rng.normal(size=16).astype("<f4").tobytes())
            for n in range(600)
        ]
    )
    return made


def questions(index: GalleryIndex) -> list[Question]:
    query = np.random.default_rng(1).normal(size=16).astype(np.float32)
    own = uuid.UUID(bytes=index.ids()[5].tobytes())
    vector = index.vector(own)
    assert vector is not None
    return [
        Question(query, 20),
        Question(query, 20, Filters(cameras=frozenset({"c1"}))),
        Question(query, 20, Filters(cameras=frozenset({"elsewhere"}))),
        Question(vector, 50, exclude=own),
        Question(query, 1000),
    ]


def test_an_index_that_works_finds_every_place(index: GalleryIndex) -> None:
    asked = [compare(index.freeze(), question, index.search_many([question])[0]) for question in questions(index)]
    assert asked == [(20, 20), (20, 20), (0, 0), (50, 50), (600, 600)]


def test_a_broken_index_does_not(index: GalleryIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    propose = module.propose

    def half(*arguments: object) -> list[Proposal]:
        # Every other row is dropped, and said to be worth nothing.
        return [Proposal(proposal.rows[::2], None) for proposal in propose(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(module, "propose", half)
    question = questions(index)[0]
    asked, found = compare(index.freeze(), question, index.search_many([question])[0])
    assert asked == 20
    assert 5 <= found <= 15


def test_of_equal_scores_any_will_do(index: GalleryIndex) -> None:
    vector = index.vector(uuid.UUID(bytes=index.ids()[0].tobytes()))
    assert vector is not None
    index.add([IndexRow(uuid.uuid4(), "c1", None, None, vector.astype("<f4").tobytes()) for _ in range(9)])
    question = Question(vector, 20)
    hits = index.search_many([question])[0]
    assert compare(index.freeze(), Question(vector, 3), hits[4:7]) == (3, 3)


def test_one_comparison_runs_at_a_time_and_changed_indexes_are_passed_over(
    index: GalleryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, go = [], threading.Event()

    def slow(*arguments: object) -> tuple[int, int]:
        go.wait(60)
        return 20, 20

    monkeypatch.setattr(recall, "compare", slow)
    monitor = RecallMonitor(1.0, lambda asked, found: seen.append((asked, found)))
    question = questions(index)[0]
    for _ in range(5):
        monitor.watch(index, 7, question, [])
    go.set()
    wait_until(lambda: seen == [(20, 20)])
    monitor.watch(index, 6, question, [])
    monitor.close()
    assert seen == [(20, 20)]


@pytest.mark.parametrize(("share", "looked_at"), [(0.0, 0), (0.25, 1), (1.0, 1)])
def test_the_share_of_searches_is_looked_at(index: GalleryIndex, share: float, looked_at: int) -> None:
    seen: list[int] = []
    monitor = RecallMonitor(share, lambda asked, found: seen.append(asked), draw=lambda: 0.2)
    monitor.watch(index, 7, questions(index)[0], [])
    monitor.close()
    assert len(seen) == looked_at


def test_answers_that_blocks_do_not_propose_are_passed_over(index: GalleryIndex) -> None:
    seen: list[tuple[int, int]] = []
    monitor = RecallMonitor(1.0, lambda asked, found: seen.append((asked, found)))
    plain = questions(index)[0]
    first = index.search_many([plain])[0]
    for question in (
        replace(plain, after=first[-1]),
        replace(plain, best_of_identity=True),
        replace(plain, without=frozenset({first[0].tracklet_id})),
        replace(plain, query=np.stack([plain.query, -plain.query])),
    ):
        monitor.watch(index, 7, question, index.search_many([question])[0])
        # Only one comparison runs at a time, and others are passed over.
        wait_until(lambda: not monitor._busy.locked())
    monitor.watch(index, 7, plain, first)
    monitor.close()
    assert seen == [(20, 20)]


def test_the_metrics_count_places_of_live_searches(data_folder, database_url: str) -> None:
    with run_service(make_settings(data_folder / "data", database_url, recall_share=1.0)) as running:
        ids = [upload(running, seed, frames=1)["id"] for seed in range(3)]
        search(running, ids[0])

        def counted() -> dict[str, float]:
            with running.client() as client:
                lines = client.get("/metrics").text.splitlines()
            return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("tfclip_index_recall")}

        wait_until(lambda: counted().get("tfclip_index_recall_asked_total"))
        assert counted()["tfclip_index_recall_asked_total"] == counted()["tfclip_index_recall_found_total"] == 2
