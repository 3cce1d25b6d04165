"""Re-ranking the rows of an index equals the offline functions on the gallery as a whole."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from model.retrieval import CosineDistances, expanded_queries, k_reciprocal_distances
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.gallery.queries import NEGATIVE_WEIGHT, combined
from service.gallery.questions import Question
from service.gallery.reranking import RerankedHit, RerankOptions, rerank
from service.store.changes import IndexRow

WAYS = {
    "k-reciprocal": RerankOptions("k_reciprocal"),
    "few neighbours": RerankOptions("k_reciprocal", k1=5, k2=1, lam=0.1),
    "expansion": RerankOptions(None, expand=4),
    "both": RerankOptions("k_reciprocal", expand=3, k1=8, k2=3),
}


def people(kind: str, count: int = 240, dimension: int = 32) -> np.ndarray:
    """Descriptors without structure, or of people who were seen several times; lengths differ."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(count, dimension))
    if kind == "clustered":
        vectors = np.repeat(rng.normal(size=(count // 6, dimension)), 6, axis=0) + 0.4 * vectors
    return (vectors * rng.uniform(0.2, 3, (count, 1))).astype(np.float32)


def filled(vectors: np.ndarray) -> tuple[GalleryIndex, list[uuid.UUID]]:
    """An index of these rows, and their ids in a random order."""
    rng = np.random.default_rng(1)
    ids = [uuid.UUID(bytes=rng.bytes(16)) for _ in vectors]
    index = GalleryIndex(vectors.shape[1])
    index.add(
        [
            IndexRow(one, f"c{number % 3}", None, None, vector.tobytes(), None, {}, 1)
            for number, (one, vector) in enumerate(zip(ids, vectors, strict=True))
        ]
    )
    return index, ids


def offline(query: torch.Tensor, gallery: torch.Tensor, copies: torch.Tensor, how: RerankOptions) -> torch.Tensor:
    """All queries against the gallery, queries that are in it included, by the functions that evaluation uses."""
    if how.expand:
        query = expanded_queries(query, gallery, how.expand, copies=copies)
    if how.method is None:
        return CosineDistances(query, gallery)[0 : len(query)]
    if how.expand:
        # An expanded query is no row of the gallery any more, so that row is taken out by hand.
        rows = []
        for one, copy in zip(query, copies.tolist(), strict=True):
            others = torch.arange(len(gallery)) != copy
            row = torch.full((len(gallery),), torch.inf)
            row[others] = k_reciprocal_distances(one[None], gallery[others], how.k1, how.k2, how.lam)[0]
            rows.append(row)
        return torch.stack(rows)
    return k_reciprocal_distances(query, gallery, how.k1, how.k2, how.lam, copies=copies)


def assert_ordered_like(found: list[RerankedHit], distances: np.ndarray, ids: list[uuid.UUID], left_out: int) -> None:
    """Every other row is there once, with its offline distance, in its order where that is more than rounding."""
    expected = {one: float(distance) for one, distance in zip(ids, distances, strict=True)}
    assert {hit.tracklet_id for hit in found} == set(ids) - {ids[left_out]}
    assert [hit.distance for hit in found] == pytest.approx([expected[hit.tracklet_id] for hit in found], abs=1e-6)
    assert [(hit.distance, hit.tracklet_id) for hit in found] == sorted(
        (hit.distance, hit.tracklet_id) for hit in found
    )
    ordered = sorted(expected[hit.tracklet_id] for hit in found)
    assert [expected[hit.tracklet_id] for hit in found] == pytest.approx(ordered, abs=1e-6)


@pytest.mark.parametrize("kind", ["random", "clustered"])
@pytest.mark.parametrize("way", WAYS)
def test_the_whole_gallery_re_ranked_is_the_offline_ranking(kind: str, way: str) -> None:
    vectors, how = people(kind), WAYS[way]
    index, ids = filled(vectors)
    asked = [0, 17, 100, 239]
    gallery = torch.from_numpy(vectors)
    distances = offline(gallery[asked], gallery, torch.tensor(asked), how).numpy()
    for row, number in enumerate(asked):
        query = index.vector(ids[number])
        assert query is not None
        hits = index.search(query, len(ids), None, ids[number])
        found, done = rerank(index, query, hits, how)
        assert_ordered_like(found, distances[row], ids, number)
        assert {hit.tracklet_id: hit.score for hit in found} == {hit.tracklet_id: hit.score for hit in hits}
        assert (done.top, done.options) == (len(ids) - 1, how)


def test_only_rows_that_pass_take_part() -> None:
    vectors = people("clustered")
    index, ids = filled(vectors)
    query = np.random.default_rng(3).normal(size=32).astype(np.float32)
    hits = index.search(query, len(ids), Filters(cameras=frozenset({"c1"})))
    found, _ = rerank(index, query, hits, RerankOptions("k_reciprocal"))
    passing = torch.from_numpy(vectors[1::3])
    expected = k_reciprocal_distances(torch.from_numpy(query)[None], passing)[0].tolist()
    by_id = dict(zip(ids[1::3], expected, strict=True))
    assert {hit.tracklet_id: hit.distance for hit in found} == pytest.approx(by_id, abs=1e-6)


def test_re_ranking_is_the_same_alone_and_beside_others() -> None:
    index, ids = filled(people("clustered"))
    vectors = [index.vector(one) for one in ids[:12]]
    how = RerankOptions("k_reciprocal", expand=2)

    def answer(number: int) -> list[RerankedHit]:
        query = vectors[number]
        assert query is not None
        return rerank(index, query, index.search(query, 100, None, ids[number]), how)[0]

    alone = [answer(number) for number in range(12)]
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        assert list(threads.map(answer, range(12))) == alone


def test_rows_that_were_taken_out_meanwhile_are_left_out() -> None:
    index, ids = filled(people("random", 30))
    query = index.vector(ids[0])
    assert query is not None
    hits = index.search(query, 30, None, ids[0])
    index.remove(hits[3].tracklet_id)
    found, done = rerank(index, query, hits, RerankOptions("k_reciprocal"))
    assert {hit.tracklet_id for hit in found} == {hit.tracklet_id for hit in hits} - {hits[3].tracklet_id}
    assert done.top == 28
    for few in (0, 1, 2):
        found, done = rerank(index, query, hits[:few], RerankOptions("k_reciprocal", expand=50))
        assert (len(found), done.top) == (few, few)


def test_re_ranking_by_several_queries_takes_the_least_distance() -> None:
    vectors = people("clustered", 60)
    index, _ = filled(vectors)
    queries = np.random.default_rng(4).normal(size=(3, 32)).astype(np.float32)
    hits = index.search_many([Question(queries, 60)])[0]
    found, _ = rerank(index, queries, hits, RerankOptions(None, expand=5))
    each = [rerank(index, query, hits, RerankOptions(None, expand=5))[0] for query in queries]
    least = [
        min(hit.distance for one in each for hit in one if hit.tracklet_id == place.tracklet_id) for place in found
    ]
    assert [hit.distance for hit in found] == pytest.approx(least, abs=1e-6)


def test_negative_examples_push_those_down_who_look_like_them() -> None:
    rng = np.random.default_rng(5)
    wanted, confused = rng.normal(size=(2, 64))
    mixture = (wanted + confused) / 2
    unit = lambda rows: (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)  # noqa: E731
    positive = unit(mixture + 0.1 * rng.normal(size=(2, 64)))
    negative = unit(confused + 0.1 * rng.normal(size=(2, 64)))
    for combine in ("mean", "max"):
        for plain, less in zip(
            np.atleast_2d(combined(positive, negative[:0], combine)),
            np.atleast_2d(combined(positive, negative, combine)),
            strict=True,
        ):
            gain = unit(less) @ unit(wanted) - unit(less) @ unit(confused)
            assert gain > unit(plain) @ unit(wanted) - unit(plain) @ unit(confused)
    by_hand = positive.mean(0, dtype=np.float64) - NEGATIVE_WEIGHT * negative.mean(0, dtype=np.float64)
    assert combined(positive, negative, "mean") == pytest.approx(by_hand, abs=1e-6)
    assert np.array_equal(combined(positive[:1], negative[:0], "max"), positive[0])


@pytest.mark.parametrize("count", [1, 5, 100])
def test_an_expanded_query_is_the_mean_with_its_nearest(count: int) -> None:
    vectors = people("random", 40)
    units = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    found = expanded_queries(
        torch.from_numpy(vectors[:3]), torch.from_numpy(vectors), count, copies=torch.tensor([0, -1, 2])
    )
    for number, own in ((0, 0), (1, None), (2, 2)):
        order = [row for row in np.argsort(-(units @ units[number])) if row != own][:count]
        expected = (units[number] + units[order].sum(0)) / (1 + len(order))
        assert found[number].numpy() == pytest.approx(expected, abs=1e-6)
