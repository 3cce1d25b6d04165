"""Figures by group: against slow twins, and against groups that are known to differ or not to."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from model.metrics import evaluate_retrieval
from training.experiments.group_measures import COMPARED_FROM, compare_groups
from training.experiments.verification import Verification, verify


def scene(people: int, cameras: int, noise: float = 0.6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Descriptors of people before cameras, with their labels, in the order of a shuffled gallery."""
    generator = torch.Generator().manual_seed(seed)
    identities = torch.arange(people).repeat_interleave(cameras)
    centres = torch.randn(people, 8, generator=generator)
    rows = centres[identities] + noise * torch.randn(people * cameras, 8, generator=generator)
    order = torch.randperm(len(rows), generator=generator)
    return rows[order], identities[order], torch.arange(cameras).repeat(people)[order]


def cosines(rows: Tensor) -> np.ndarray:
    values = rows.double().numpy()
    values = values / np.linalg.norm(values, axis=1, keepdims=True)
    return values @ values.T


def test_pairs_are_counted_as_a_slow_twin_counts_them() -> None:
    rows, identities, cameras = scene(12, 3)
    found = verify(rows, identities, cameras, 0.05)
    similar = cosines(rows)
    impostors, false, genuine, missed = np.zeros((12, 12)), np.zeros((12, 12)), np.zeros(12), np.zeros(12)
    for i, j in combinations(range(36), 2):
        a, b = int(identities[i]), int(identities[j])
        if cameras[i] == cameras[j]:
            continue
        if a == b:
            genuine[a] += 1
            missed[a] += similar[i, j] < found.threshold - 1e-6
            continue
        for pair in ((a, b), (b, a)):
            impostors[pair] += 1
            false[pair] += similar[i, j] > found.threshold - 1e-6
    for name, expected in (
        ("impostors", impostors),
        ("false_matches", false),
        ("genuine", genuine),
        ("missed", missed),
    ):
        np.testing.assert_array_equal(getattr(found, name), expected, err_msg=name)


def test_the_threshold_lets_through_the_share_that_is_asked_for() -> None:
    found = verify(*scene(40, 3), 0.01)
    # 40 x 39 / 2 pairs of people, 6 pairs of tracklets each: 46 of 4,680 are the most that 1 % allows.
    assert found.impostors.sum() / 2 == 4680
    assert found.false_matches.sum() / 2 == 46
    assert found.false_match_rate == pytest.approx(46 / 4680)


def test_a_rate_that_no_pair_can_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"20 pairs .* expected 100 or more for a false-match rate of 0.01"):
        verify(*scene(5, 2), 0.01)


def test_figures_of_a_group_are_those_of_a_slow_twin() -> None:
    rows, identities, cameras = scene(30, 3)
    members = ["a" if person % 3 else "b" for person in range(30)]
    found = verify(rows, identities, cameras, 0.05)
    figures = compare_groups(rows, identities, cameras, {"trait": members}, {"5%": found}, resamples=200)
    for name in ("a", "b"):
        inside = np.array([member == name for member in members])
        asking = torch.tensor([members[int(person)] == name for person in identities])
        metrics = evaluate_retrieval(rows[asking], rows, identities[asking], identities, cameras[asking], cameras)
        assert figures["trait", name, "rank-1"].value == pytest.approx(metrics.rank(1))
        assert figures["trait", name, "mAP"].value == pytest.approx(metrics.mAP)
        whole = found.false_matches[inside].sum() / found.impostors[inside].sum()
        within = found.false_matches[inside][:, inside].sum() / found.impostors[inside][:, inside].sum()
        assert figures["trait", name, "FMR 5%"].value == pytest.approx(whole)
        assert figures["trait", name, "FMR within 5%"].value == pytest.approx(within)
        missed = found.missed[inside].sum() / found.genuine[inside].sum()
        assert figures["trait", name, "FNMR 5%"].value == pytest.approx(missed)
    for figure in ("rank-1", "mAP", "FMR 5%", "FMR within 5%", "FNMR 5%"):
        first, second = figures["trait", "a", figure], figures["trait", "b", figure]
        assert first.difference == pytest.approx(first.value - second.value)  # type: ignore[operator]
        assert first.interval is not None
        assert first.interval[0] <= first.value <= first.interval[1]  # type: ignore[operator]


def test_a_group_whose_people_look_alike_is_found_out() -> None:
    rows, identities, cameras = scene(60, 3, noise=0.3)
    alike = torch.tensor([person < 20 for person in range(60)])[identities]
    rows[alike] = 0.5 * rows[alike] + torch.ones(8)
    members = ["alike" if person < 20 else "various" for person in range(60)]
    found = verify(rows, identities, cameras, 0.01)
    figures = compare_groups(rows, identities, cameras, {"trait": members}, {"1%": found})
    within = figures["trait", "alike", "FMR within 1%"]
    assert within.differs
    assert within.certain
    assert within.difference is not None
    assert within.difference > 0.02
    missed = figures["trait", "alike", "FNMR 1%"]
    assert missed.difference is not None
    assert missed.difference < 0


def test_groups_drawn_by_lot_differ_about_as_often_as_chance_has_it() -> None:
    rows, identities, cameras = scene(40, 2)
    found = verify(rows, identities, cameras, 0.02)
    rng = np.random.default_rng(5)
    lots = {f"lot {number}": rng.permutation(["x", "y"] * 20).tolist() for number in range(15)}
    figures = compare_groups(rows, identities, cameras, lots, {"2%": found}, resamples=200)
    asked = [one for (_, group, figure), one in figures.items() if group == "x" and figure != "mAP"]
    assert sum(one.chance is not None for one in figures.values()) == 15 * 2 * 5
    # 60 differences of which 3 are expected; those of one lot go together.
    assert sum(one.differs for one in asked) <= 12
    assert sum(one.certain for one in asked) <= 2


def test_a_group_without_a_false_match_beside_one_with_many_is_compared() -> None:
    rows, identities, cameras = scene(60, 2)
    false = np.zeros((60, 60))
    false[:20, :20] = 1 - np.eye(20)
    found = Verification(0.5, 2 * (1 - np.eye(60)), false, np.ones(60), np.zeros(60))
    members = ["many"] * 20 + ["none"] * 40
    none = compare_groups(rows, identities, cameras, {"t": members}, {"": found})["t", "none", "FMR within "]
    assert (none.value, none.interval) == (0, None)
    assert none.difference == -0.5
    assert none.certain


def test_intervals_of_a_share_are_those_of_the_normal_approximation() -> None:
    """Six pairs of each person, missed together or not at all: the share is a mean over people."""
    people = 200
    rng = np.random.default_rng(1)
    genuine, missed = np.full(people, 6.0), rng.binomial(1, 0.3, people) * 6.0
    everybody = 1 - np.eye(people)
    found = Verification(0.5, everybody, everybody, genuine, missed)
    rows, identities, cameras = scene(people, 2)
    figure = compare_groups(rows, identities, cameras, {"t": ["a", "b"] * 100}, {"": found})["t", "a", "FNMR "]
    share = missed[::2].mean() / 6
    assert figure.interval is not None
    assert figure.interval[1] - figure.interval[0] == pytest.approx(
        2 * 1.96 * (share * (1 - share) / 100) ** 0.5, rel=0.1
    )


def test_few_people_and_figures_without_an_event_are_not_compared() -> None:
    rows, identities, cameras = scene(30, 2, noise=0.0)
    few = COMPARED_FROM - 1
    found = verify(rows, identities, cameras, 0.05)
    members = ["few"] * few + ["many"] * (30 - few)
    figures = compare_groups(rows, identities, cameras, {"t": members}, {"5%": found}, resamples=100)
    assert figures["t", "few", "rank-1"].interval is None
    halves = compare_groups(rows, identities, cameras, {"t": ["a", "b"] * 15}, {"5%": found}, resamples=100)
    # Without noise everybody is found: no draw of people changes that, and it says nothing about other people.
    found_all = halves["t", "a", "rank-1"]
    assert (found_all.value, found_all.interval, found_all.differs) == (1, None, False)


def test_a_group_of_one_has_no_pair_within() -> None:
    rows, identities, cameras = scene(30, 2)
    found = verify(rows, identities, cameras, 0.05)
    members = ["one"] + ["many"] * 29
    figures = compare_groups(rows, identities, cameras, {"t": members}, {"5%": found}, resamples=50)
    assert figures["t", "one", "FMR within 5%"].value is None
    assert figures["t", "one", "FMR 5%"].value is not None
