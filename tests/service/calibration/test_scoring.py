"""Searches and pair counts of blocks against a loop over every pair of tracklets."""

import numpy as np
import pytest

from service.calibration import scoring
from service.calibration.curve import BINS, bins_of
from service.calibration.fitting import TooFewLabels, label
from service.calibration.scoring import KEPT, score


@pytest.mark.parametrize("strangers", [False, True], ids=["unknown", "strangers"])
@pytest.mark.parametrize("block", [7, 2048])
def test_searches_and_pairs_are_those_of_a_loop(block: int, strangers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_BLOCK_ROWS", block)
    monkeypatch.setattr(scoring, "_QUERIES_AT_A_TIME", 5)
    rng = np.random.default_rng(3)
    identity, camera = rng.integers(-1, 16, 90), rng.integers(0, 3, 90)
    vectors = rng.normal(size=(90, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # So few that some people with labels do not search.
    labelled = label(identity, camera, strangers, most=60)
    searches, pairs = score(labelled, lambda rows: vectors[rows], 2.5)

    searching = {int(identity[labelled.rows[n]]) for n in range(len(searches.mate))}
    assert 0 < len(searching) < 16
    assert (len(searches.mate), searches.compared, searches.beyond) == (
        sum(int(who) in searching for who in identity),
        (len(np.unique(identity[identity >= 0])) + (np.sum(identity < 0) if strangers else 0)) - 1,
        2.5,
    )
    same, among, others = ({who: np.zeros(BINS, int) for who in searching} for _ in range(3))
    for n in range(len(searches.mate)):
        query = labelled.rows[n]
        who, best, mates = int(identity[query]), {}, []
        for row in range(90):
            value, other = float(vectors[query] @ vectors[row]), int(identity[row])
            if other == who and camera[row] != camera[query]:
                mates.append(value)
                same[who][bins_of(np.float32([vectors[query] @ vectors[row]]))[0]] += 1
            if other == who or (other < 0 and not strangers):
                continue
            name = other if other >= 0 else ("nobody", row)
            best[name] = max(best.get(name, -2.0), value)
            if camera[row] != camera[query]:
                kind = among if other in searching else others
                kind[who][bins_of(np.float32([vectors[query] @ vectors[row]]))[0]] += 1
        assert np.allclose(searches.best[n], sorted(best.values(), reverse=True)[:KEPT], atol=1e-6)
        assert np.allclose(searches.mate[n], max(mates, default=np.nan), atol=1e-6, equal_nan=True)
        top = int(labelled.rows[labelled.person == searches.people[n, 0]][0])
        assert best[int(identity[top]) if identity[top] >= 0 else ("nobody", top)] == max(best.values())
    for number in range(labelled.searching):
        who = int(identity[labelled.rows[labelled.person == number][0]])
        # A product of matrices rounds otherwise than one of two vectors, so a score may lie in the next bin.
        for counted, expected in (
            (2 * pairs.same[number], same[who]),
            (pairs.searching[number], among[who]),
            (pairs.others[number], others[who]),
        ):
            assert counted.sum() == expected.sum()
            assert np.abs(np.cumsum(counted) - np.cumsum(expected)).max() <= 2


def test_without_an_identity_nothing_is_compared() -> None:
    with pytest.raises(TooFewLabels, match="No identity"):
        label(np.full(5, -1), np.zeros(5, int), False)


def test_an_identity_with_very_many_tracklets_is_a_stranger_and_does_not_search() -> None:
    labelled = label(np.concatenate([np.zeros(400, int), np.repeat(np.arange(1, 9), 4)]), np.arange(432) % 3, False)
    assert (labelled.searching, labelled.people) == (8, 9)
    assert np.bincount(labelled.person).tolist() == [4] * 8 + [400]


def test_those_who_search_are_whole_people_up_to_the_most() -> None:
    labelled = label(np.repeat(np.arange(50), 4), np.tile(np.arange(2), 100), False, most=40)
    assert labelled.searching == 10
    assert (np.bincount(labelled.person) == 4).all()
