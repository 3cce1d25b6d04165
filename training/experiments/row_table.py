"""The table of rows times seeds, shaped as the paper's."""

from collections.abc import Sequence

from training.experiments.grid import RowResult
from training.experiments.people import KEPT_SHARE, People
from training.experiments.tables import Column, Table, Value, over_seeds

_METRICS = (Column("mAP", "mAP %", "percent"), Column("rank-1", "R1 %", "percent"), Column("rank-5", "R5 %", "percent"))


def row_table(
    results: Sequence[RowResult],
    *,
    title: str,
    command: str,
    parts: tuple[Column, ...],
    reference: str,
    people: People,
    notes: Sequence[str],
) -> Table:
    """Make the table.

    Args:
        results: of `run_grid`, all with as many seeds.
        title: of the experiment.
        command: that made it.
        parts: the experiment's own columns, after the row's title.
        reference: name of the row that mAP is compared with, seed by seed; the column is left out where the row is not
            there. Rows with a reference of their own, the same for all of them, have another column.
        people: who was learned and measured.
        notes: of the experiment.
    """
    base = next((one.row.reference for one in results if one.row.reference is not None), None)
    references = {"difference": reference, "difference_base": base}
    compared = {key: one for key, name in references.items() for one in results if one.row.name == name}
    papers = {one.row.name: one.row.paper[people.data.name] for one in results if people.data.name in one.row.paper}
    columns = [
        Column("title", "row"),
        *parts,
        Column("parameters_trained", "Params in training (M)", "millions"),
        Column("parameters_test", "at test (M)", "millions"),
        Column("flops", "FLOPs (G)", "giga"),
        *_METRICS,
    ]
    columns += [Column(key, f"mAP over {one.row.title}", "difference") for key, one in compared.items()]
    columns.append(Column("seconds", "minutes", "minutes"))
    if papers:
        columns += [
            Column("paper_parameters", "paper: Params (M)", "millions"),
            Column("paper_flops", "FLOPs (G)", "giga"),
            *(Column(f"paper_{one.key}", one.title, one.kind) for one in _METRICS),
        ]
    rows = []
    for one in results:
        row: dict[str, Value] = {
            "title": one.row.title,
            **one.row.parts,
            "parameters_trained": one.sizes.trained,
            "parameters_test": one.sizes.at_test,
            "flops": one.sizes.flops,
            "seconds": over_seeds(one.seconds),
            **{metric.key: over_seeds(one.values(metric.key)) for metric in _METRICS},
        }
        key = "difference" if one.row.reference is None else "difference_base"
        if key in compared and one is not compared[key]:
            pairs = zip(one.values("mAP"), compared[key].values("mAP"), strict=True)
            row[key] = over_seeds([mine - theirs for mine, theirs in pairs])
        if paper := papers.get(one.row.name):
            row |= {
                "paper_parameters": 1e6 * paper.parameters,
                "paper_flops": 1e9 * paper.flops,
                "paper_mAP": paper.mAP,
                "paper_rank-1": paper.rank_1,
                "paper_rank-5": paper.rank_5,
            }
        rows.append(row)
    said = [_people_note(results, people), _seeds_note(results), _SIZES_NOTE]
    if papers:
        said.append(_PAPER_NOTE)
    own = dict.fromkeys(one.row.note for one in results if one.row.note is not None)
    return Table(title, command, tuple(columns), tuple(rows), (*said, *notes, *own))


_SIZES_NOTE = (
    "Parameters in training are those of the network, necks, classifiers and SSP; at test, those of the weights file. "
    "FLOPs are multiply-adds of one frame at test, where SSP takes no part."
)

_PAPER_NOTE = (
    "The paper's FLOPs are those of training, SSP included, and of the transformer's blocks alone; its parameters are "
    "those in training."
)


def _people_note(results: Sequence[RowResult], people: People) -> str:
    data, metrics = people.data, results[0].metrics[0]
    learned, asked = (len({one.identity for one in part}) for part in (data.train, data.query))
    if data.name != "folder":
        whose = f"the test half of {data.name}"
    elif people.cameras_known:
        whose = f"{KEPT_SHARE:.0%} of the identities, the same for every cell, in no training"
    else:
        whose = "another folder"
    return (
        f"Learned: {learned:,} identities, {len(data.train):,} tracklets. Measured: {asked:,} identities ({whose}), "
        f"{metrics['queries']:,} queries against {metrics['gallery']:,} tracklets, every frame of them."
    )


def _seeds_note(results: Sequence[RowResult]) -> str:
    seeds = len(results[0].metrics)
    if seeds == 1:
        return "One seed: nothing here says how far another would be off, and a small difference may be chance."
    return (
        f"Means over {seeds} seeds ± their standard deviation; differences are taken seed by seed first. The people "
        "who are measured are the same for all seeds, so the spread says nothing about other people."
    )
