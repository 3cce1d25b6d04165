"""The alignment of two kinds of rows as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.retrieval import unit_length
from training.experiments.alignment import NEIGHBOURS, Sides
from training.experiments.pairing import partner_cosines
from training.experiments.tables import Column, Kind, Table, Value, over_seeds

_COLUMNS: dict[str, tuple[str, Kind]] = {
    "cka": ("CKA", "number"),
    "cka_expected": ("CKA by chance", "number"),
    "cka_p": ("p", "number"),
    **{f"agree-{k}": (f"{k} nearest agree, %", "percent") for k in NEIGHBOURS},
    "partners": ("cosine of partners", "number"),
    "others": ("of others", "number"),
    "gap": ("gap", "number"),
    "gap_share": ("gap / spread", "number"),
    "there-rank-1": ("rank-1 there, %", "percent"),
    "there-mean-rank": ("mean rank", "number"),
    "back-rank-1": ("rank-1 back, %", "percent"),
    "back-mean-rank": ("mean rank", "number"),
}


def alignment_table(
    sides: Sides, measures: Mapping[str, Sequence[Mapping[str, Any]]], network: str, command: str
) -> Table:
    """Lay out what `measure_sides` returned.

    Args:
        sides: that were measured.
        measures: of each pair, over seeds.
        network: what the CLIP is called.
        command: that made the table.
    """
    count = len(sides.memory)
    rows: list[dict[str, Value]] = []
    for pair, seeds in measures.items():
        rows.append({"pair": pair} | {key: over_seeds([one[key] for one in seeds]) for key in seeds[0]})
    chance: dict[str, Value] = {"pair": "by chance"}
    chance |= {f"agree-{k}": k / (count - 1) for k in NEIGHBOURS if k < count - 1}
    chance |= {f"{way}-rank-1": 1 / count for way in ("there", "back")}
    chance |= {f"{way}-mean-rank": (count + 1) / 2 for way in ("there", "back")}
    columns = [Column("pair", "sets"), *(Column(key, title, kind) for key, (title, kind) in _COLUMNS.items())]
    notes = [
        f"{count:,} identities. Every row has length 1. Prompts are learned by {len(sides.prompts)} seeds: mean and "
        "standard deviation.",
        "CKA: linear; by chance: the mean over all ways to deal the partners out; p: share of 1,000 such ways that are "
        "as good. k nearest agree: share of an identity's k nearest others that are the same in both sets. Gap: "
        "distance of the centroids; spread: mean distance of a row from its own centroid. There: the rows of the first "
        "set look for their partners in the second; back: the other way.",
        "Prompts were learned from the very image features that the memory is made of, so they have seen whom they "
        "must find; descriptions have not.",
    ]
    if sides.cut:
        notes.append(f"{sides.cut:,} sentences fill the text tower's context and may be cut off.")
    return Table(f"Alignment of text and memory: {network}", command, tuple(columns), (*rows, chance), tuple(notes))


def plot_alignment(sides: Sides, picture: Path) -> None:
    """Draw, for each pair of sets, both in the plane of their first principal components, and cosines; first seed.

    Args:
        sides: what to draw.
        picture: PNG file to write.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    pairs = sides.pairs()
    figure = Figure(figsize=(11, 4.5 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 2, squeeze=False)
    for (plane, cosines), (pair, several) in zip(axes, pairs.items(), strict=True):
        first, second = (unit_length(rows) for rows in several[0])
        points = principal_plane(torch.cat([first, second])).numpy()
        ends = points[: len(first)], points[len(first) :]
        lines = list(zip(*ends, strict=True))
        plane.add_collection(LineCollection(lines, colors="0.8", linewidths=0.6, zorder=0))
        for name, place in zip(pair.split(", "), ends, strict=True):
            plane.scatter(*place.T, s=12, label=name)
        plane.set_xlabel("first principal component")
        plane.set_ylabel("second")
        plane.legend(fontsize="small")
        matched, others = (values.numpy() for values in partner_cosines(first, second))
        span = (min(matched.min(), others.min()), max(matched.max(), others.max()))
        for name, values in (("partners", matched), ("others", others)):
            cosines.hist(values, bins=30, range=span, density=True, alpha=0.6, label=name)
        cosines.set_xlabel(f"cosine, {pair}")
        cosines.set_ylabel("density")
        cosines.legend(fontsize="small")
    figure.savefig(picture, dpi=120)


def principal_plane(rows: Tensor) -> Tensor:
    """(n, 2): the rows in the plane in which they vary most, from their mean."""
    centred = rows.double() - rows.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    plane: Tensor = centred @ directions[:2].T
    return plane
