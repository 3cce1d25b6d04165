"""Two sets of rows, each row with its partner in the other: how much alike are they?"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.retrieval import unit_length


class Gap(NamedTuple):
    """How far two sets lie from each other: between their centroids, and from rows to their own, mean of both."""

    distance: float
    spread: float


class Found(NamedTuple):
    """How well rows find their partners: share at rank 1, and mean rank, from 1."""

    rank_1: float
    mean_rank: float


class Agreement(NamedTuple):
    """CKA, and what other partners would give: mean over all ways to deal them out, and 95 % of those that were tried.

    `p` is the share of ways at least as good, the given one among them.
    """

    value: float
    expected: float
    chance: tuple[float, float]
    p: float


def cka_against_chance(first: Tensor, second: Tensor, *, lots: int = 1000, seed: int = 0) -> Agreement:
    """Linear CKA beside that of the same rows with partners dealt out by lot.

    CKA is centred kernel alignment (Kornblith et al., ICML 2019, arXiv 1905.00414, equation 3): 0..1, and 1 where one
    set is the other rotated, moved and scaled. With more channels than rows chance alone gives a large value: sets that
    have nothing to do with each other are not at 0.

    Args:
        first: (n, d) float.
        second: (n, e) float, of the same n in the same order.
        lots: how many ways are tried.
        seed: of the lots.

    Raises:
        ValueError: the sets do not fit, or the rows of one are all the same.
    """
    left, right = _kernels(first, second)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(left), generator=generator) for _ in range(lots)]
    tried = torch.stack([(left * right[order][:, order]).sum() for order in orders])
    value = (left * right).sum()
    low, high = torch.quantile(tried, torch.tensor([0.025, 0.975], dtype=tried.dtype)).tolist()
    # Both kernels are centred, so that off the diagonal the mean of either is that of its trace, negative.
    expected = float(left.trace() * right.trace()) / (len(left) - 1)
    p = (1 + int((tried >= value - 1e-12).sum())) / (1 + lots)
    return Agreement(float(value), expected, (low, high), p)


def neighbour_agreement(first: Tensor, second: Tensor, k: int) -> float:
    """Share of a row's k nearest others, by cosine, that its partner has among its own; mean over rows.

    Chance gives k / (n - 1).

    Raises:
        ValueError: the sets do not fit, or there are not more than k others.
    """
    _check(first, second)
    count = len(first)
    if not 1 <= k < count - 1:
        raise ValueError(f"{k} neighbours of {count - 1} others, expected fewer")
    chosen = []
    for rows in (first, second):
        cosines = _cosines(rows, rows).fill_diagonal_(-torch.inf)
        places = cosines.topk(k, dim=1).indices
        chosen.append(torch.zeros(count, count, dtype=torch.bool).scatter_(1, places, True))
    return float((chosen[0] & chosen[1]).sum()) / (k * count)


def modality_gap(first: Tensor, second: Tensor) -> Gap:
    """Distance of the centroids, and the mean distance of a row from its own centroid (arXiv 2203.02053, section 4.1).

    Rows are taken as they are; that work normalises them first.
    """
    _check(first, second)
    centres = [rows.double().mean(dim=0) for rows in (first, second)]
    spread = [
        float((rows.double() - centre).norm(dim=1).mean())
        for rows, centre in zip((first, second), centres, strict=True)
    ]
    return Gap(float((centres[0] - centres[1]).norm()), sum(spread) / 2)


def find_partners(asking: Tensor, answering: Tensor) -> Found:
    """Rank all rows of one set for each row of the other by cosine; chance gives 1 / n and (n + 1) / 2.

    A row that is as near as the partner takes half a rank from it.
    """
    cosines = _cosines(asking, answering)
    own = cosines.diagonal().unsqueeze(1)
    ranks = 1 + (cosines > own).sum(dim=1) + ((cosines == own).sum(dim=1) - 1) / 2
    return Found(float((ranks == 1).double().mean()), float(ranks.double().mean()))


def partner_cosines(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of partners, (n,), and of all other pairs across the sets, (n * (n - 1),)."""
    cosines = _cosines(first, second)
    others = ~torch.eye(len(cosines), dtype=torch.bool)
    return cosines.diagonal(), cosines[others]


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    _check(first, second)
    return unit_length(first) @ unit_length(second).T


def _kernels(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Centred Gram matrices (n, n), float64, each of Frobenius norm 1."""
    _check(first, second, alike=False)
    kernels = []
    for rows in (first, second):
        centred = rows.double() - rows.double().mean(dim=0)
        kernel = centred @ centred.T
        norm = kernel.norm()
        if not float(norm) > 0:
            raise ValueError("the rows of a set are all the same: CKA is not defined")
        kernels.append(kernel / norm)
    return kernels[0], kernels[1]


def _check(first: Tensor, second: Tensor, *, alike: bool = True) -> None:
    fits = first.ndim == second.ndim == 2 and len(first) == len(second) and len(first) > 1
    if not fits or (alike and first.shape != second.shape):
        raise ValueError(
            f"the sets are {tuple(first.shape)} and {tuple(second.shape)}, expected rows that are partners"
        )
