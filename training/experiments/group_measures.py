"""Figures of groups of people, their intervals, and whether groups differ beyond chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from torch import Tensor

from model.intervals import CONFIDENCE
from model.metrics import RetrievalLabels, evaluate_distances
from model.retrieval import CosineDistances
from training.experiments.verification import Numbers, Verification

COMPARED_FROM = 10
"""A group of fewer people is not compared: its interval is hardly wider than what a single person does to it."""

RESAMPLES = 2000
"""Draws of people, and dealings of groups by lot."""


@dataclass(frozen=True)
class GroupFigure:
    """One figure of one group.

    Attributes:
        value: a fraction in 0..1; None where there is nothing to count.
        interval: of 95 %; None where the group is too small, or no draw of people changes the figure.
        difference: the value minus that of all other groups of the trait together.
        chance: between which differences 95 % lie when the groups are dealt out to people by lot; None where the group
            or the rest is too small to be compared.
        differs: whether the difference lies outside of that.
        certain: whether it also does when all comparisons of the report are one question (Bonferroni).
    """

    value: float | None
    interval: tuple[float, float] | None
    difference: float | None
    chance: tuple[float, float] | None
    differs: bool
    certain: bool


def compare_groups(
    descriptors: Tensor,
    identities: Tensor,
    cameras: Tensor,
    groups: Mapping[str, Sequence[str]],
    verifications: Mapping[str, Verification],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[tuple[str, str, str], GroupFigure]:
    """Measure every group of every trait, and compare each with the trait's other groups together.

    For intervals people are drawn again with replacement, on both sides of a pair at once; thresholds, and the
    galleries that queries are ranked in, stay as they are. For comparisons the people keep their figures and the
    groups are dealt out by lot: a group without a single false match would have no interval.

    Args:
        descriptors, identities, cameras: as for `verify`.
        groups: for each trait the group of each of the Y people.
        verifications: by the ends of their figures' names, such as "1e-2".
        resamples: how many draws, and how many lots.
        seed: of both.

    Returns:
        By trait, group and figure: `rank-1` and `mAP` of the group's queries in the whole gallery, and for each
        verification `FMR` (pairs of one of the group and anybody), `FMR within` (both of the group; compared with
        pairs within each of the others) and `FNMR`, followed by its name.

    Raises:
        ValueError: no query has a match.
    """
    people = int(identities.max()) + 1
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(people, np.full(people, 1 / people), size=resamples).astype(np.float64)
    lots = rng.permuted(np.tile(np.arange(people), (resamples, 1)), axis=1)
    counted = [*_retrieved(descriptors, identities, cameras, people), *_verified(verifications)]
    measured: dict[tuple[str, str, str], _Measured] = {}
    for trait, members in groups.items():
        names, owner = np.unique(np.asarray(members), return_inverse=True)
        inside = [(owner == number).astype(np.float64) for number in range(len(names))]
        dealt = [(owner[lots] == number).astype(np.float64) for number in range(len(names))]
        for one in counted:
            values, differences = _apart(one, [line[None] for line in inside])
            _, by_lot = _apart(one, dealt)
            for number, name in enumerate(names.tolist()):
                drawn = one.share(draws * inside[number], draws)
                size = int(inside[number].sum())
                measured[trait, name, one.figure] = _Measured(
                    size, people - size, values[number][0], drawn, differences[number][0], by_lot[number]
                )
    comparisons = max(1, sum(one.comparable for one in measured.values()))
    return {key: one.figure(comparisons) for key, one in measured.items()}


@dataclass(frozen=True, eq=False)
class _Counted:
    """What a figure is a ratio of, for each person or for each pair of people.

    Attributes:
        figure: its name.
        over, under: (Y,) of people; or (Y, Y) of pairs, symmetric.
        within: whether both of a pair must be of the group, or one.
    """

    figure: str
    over: Numbers
    under: Numbers
    within: bool = False

    def share(self, members: Numbers, everyone: Numbers) -> Numbers:
        """(R,) figures of groups, NaN where nothing is to count; `members` and `everyone` (R, Y) say how often a person
        counts in the group and opposite to it."""
        over, under = (self._total(counts, members, everyone) for counts in (self.over, self.under))
        return _ratio(over, under)

    def totals(self, members: Numbers) -> tuple[Numbers, Numbers]:
        """(R,) counts over and under the line of groups, everybody opposite to them once."""
        everyone = np.ones((1, members.shape[1]))
        return self._total(self.over, members, everyone), self._total(self.under, members, everyone)

    def _total(self, counts: Numbers, members: Numbers, everyone: Numbers) -> Numbers:
        if counts.ndim == 2:
            counts = (members if self.within else everyone) @ counts
        return np.asarray((members * counts).sum(axis=1))


@dataclass(frozen=True, eq=False)
class _Measured:
    """A group's figure, and what draws and lots make of it; `size` and `others`: people in the group and outside."""

    size: int
    others: int
    value: float
    drawn: Numbers
    difference: float
    by_lot: Numbers

    @property
    def comparable(self) -> bool:
        """Whether there are people enough on both sides, something to count, and lots that differ."""
        enough = min(self.size, self.others) >= COMPARED_FROM
        return enough and not np.isnan(self.difference) and bool(np.nanstd(self.by_lot) > 0)

    def figure(self, comparisons: int) -> GroupFigure:
        """What is reported, when so many differences are asked after."""
        value = None if np.isnan(self.value) else float(self.value)
        difference = None if np.isnan(self.difference) else float(self.difference)
        if self.size < COMPARED_FROM or value is None:
            return GroupFigure(value, None, difference, None, False, False)
        interval = _middle(self.drawn) if np.nanstd(self.drawn) > 0 else None
        if not self.comparable or difference is None:
            return GroupFigure(value, interval, difference, None, False, False)
        chance = _middle(self.by_lot)
        differs = not chance[0] <= difference <= chance[1]
        # So far out the lots are too few to count; their spread and a normal distribution stand in.
        bound = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / comparisons) * np.nanstd(self.by_lot)
        certain = differs and abs(difference - float(np.nanmean(self.by_lot))) > bound
        return GroupFigure(value, interval, difference, chance, differs, bool(certain))


def _apart(counted: _Counted, groups: list[Numbers]) -> tuple[list[Numbers], list[Numbers]]:
    """For each group, membership (R, Y): its figure (R,), and its difference to the other groups together."""
    parts = [counted.totals(members) for members in groups]
    over, under = (np.sum(side, axis=0) for side in zip(*parts, strict=True))
    values = [_ratio(*part) for part in parts]
    return values, [value - _ratio(over - part[0], under - part[1]) for value, part in zip(values, parts, strict=True)]


def _verified(verifications: Mapping[str, Verification]) -> Iterator[_Counted]:
    for name, found in verifications.items():
        yield _Counted(f"FMR {name}", found.false_matches, found.impostors)
        yield _Counted(f"FMR within {name}", found.false_matches, found.impostors, within=True)
        yield _Counted(f"FNMR {name}", found.missed, found.genuine)


def _retrieved(descriptors: Tensor, identities: Tensor, cameras: Tensor, people: int) -> Iterator[_Counted]:
    labels = RetrievalLabels(identities, identities, cameras, cameras)
    metrics = evaluate_distances(CosineDistances(descriptors, descriptors), labels)
    owner = identities[metrics.query_indices].numpy()
    queries = np.bincount(owner, minlength=people).astype(np.float64)
    for figure, scores in (("rank-1", metrics.first_hits.numpy() == 1), ("mAP", metrics.average_precisions.numpy())):
        yield _Counted(figure, np.bincount(owner, scores, people).astype(np.float64), queries)


def _ratio(over: Numbers, under: Numbers) -> Numbers:
    return np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)


def _middle(values: Numbers) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
