"""Does a network serve all alike? Drawn people, by skin, build, clothing and hair."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from model.data.scene import scene_people, write_scene
from model.data.subgroups import GROUPS, groups_of
from model.tfclip import TFCLIP
from training.datasets.registry import read_data_set
from training.datasets.tracklets import DataSet, label_map
from training.evaluation import describe_tracklets
from training.experiments.cells import measured
from training.experiments.group_measures import COMPARED_FROM, RESAMPLES, compare_groups
from training.experiments.tables import Column, Figure, Table, Value
from training.experiments.verification import Verification, verify

RATES = {"1e-2": 1e-2, "1e-3": 1e-3}
"""False-match rates that thresholds are set for, by the ends of their figures' names."""

_EVENTS = 100
"""False matches that a rate other than the first must leave, to be worth a column."""

_FOUND = ("rank-1", "mAP")
"""Figures of people who are found; the others are of errors, which are rare."""


@dataclass(frozen=True)
class Scene:
    """The people that are drawn: every one passes every camera once.

    Attributes:
        people, cameras, frames, seed, difficulty: as for `model.data.scene.write_scene`. A seed that people were
            learned from would show them again.
    """

    people: int
    cameras: int
    frames: int
    seed: int
    difficulty: float

    def groups(self) -> dict[str, dict[str, str]]:
        """Group of each trait for each person, by the name that they have in the data set."""
        return {name: groups_of(person) for name, person in scene_people(self.people, self.seed).items()}


def draw_scene(scene: Scene, out: Path, workers: int, progress: Callable[[int, int], None]) -> DataSet:
    """Draw the scene into `out/scene`, unless it is there, and read it.

    Args:
        scene: what to draw.
        out: an existing folder, of this scene alone.
        workers: processes that draw.
        progress: is told how many tracklets are drawn, and of how many.

    Raises:
        ValueError: a number of the scene is out of range.
        DataSetError: the folder was drawn before and is gone.
    """
    total = scene.people * scene.cameras

    def draw() -> dict[str, Any]:
        written = write_scene(
            out / "scene", **asdict(scene), workers=workers, progress=lambda done: progress(done, total)
        )
        return {"tracklets": len(written)}

    measured(out / "scene.json", asdict(scene), draw)
    return read_data_set("folder", out / "scene")


def measure_groups(
    model: TFCLIP,
    data: DataSet,
    groups: Mapping[str, Mapping[str, str]],
    *,
    device: str | torch.device = "cpu",
    batch_clips: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Describe every tracklet by its dense clips and measure every group.

    Args:
        model: to be measured.
        data: of people whose groups are known.
        groups: for each identity the group of each trait.
        device, batch_clips, progress: as for `describe_tracklets`.

    Returns:
        JSON values: `people`, `verifications` (rate, threshold, pairs) and `rows`, one for each group and one for
        everybody first.

    Raises:
        DataSetError: a frame cannot be read.
        ValueError: there are too few people.
    """
    labels = label_map(data.gallery)
    vectors = describe_tracklets(model, data.gallery, device=device, batch_clips=batch_clips, progress=progress)
    identities = torch.tensor([labels[one.identity] for one in data.gallery])
    cameras = torch.tensor([one.camera for one in data.gallery])
    verifications: dict[str, Verification] = {}
    for name, rate in RATES.items():
        if not verifications or _pairs(next(iter(verifications.values()))) * rate >= _EVENTS:
            verifications[name] = verify(vectors, identities, cameras, rate)
    members = {"everybody": [""] * len(labels)}
    members |= {trait: [groups[person][trait] for person in labels] for trait in GROUPS}
    figures = compare_groups(vectors, identities, cameras, members, verifications)
    names = list(dict.fromkeys(figure for _, _, figure in figures))
    return {
        "people": len(labels),
        "verifications": [
            {
                "name": name,
                "rate": RATES[name],
                "threshold": found.threshold,
                "false_match_rate": found.false_match_rate,
                "impostor_pairs": _pairs(found),
                "genuine_pairs": int(found.genuine.sum()),
            }
            for name, found in verifications.items()
        ],
        "figures": names,
        "rows": [
            {
                "trait": trait,
                "group": group,
                "people": members[trait].count(group),
                "figures": {name: asdict(figures[trait, group, name]) for name in names},
            }
            for trait, known in {"everybody": ("",), **GROUPS}.items()
            for group in known
            if group in members[trait]
        ],
    }


def group_table(result: Mapping[str, Any], scene: Scene, model: str, command: str) -> Table:
    """Lay out what `measure_groups` returned.

    Args:
        result: of `measure_groups`.
        scene: that was measured.
        model: what the network is called.
        command: that made the table.
    """
    columns = [Column("trait", ""), Column("group", "group"), Column("people", "people", "count")]
    for name in result["figures"]:
        columns.append(Column(name, f"{name}, %", "percent" if name in _FOUND else "rate"))
    columns.append(Column("unlike", "unlike the rest, in points"))
    rows: list[dict[str, Value]] = []
    for row in result["rows"]:
        line: dict[str, Value] = {name: row[name] for name in ("trait", "group", "people")}
        for name, one in row["figures"].items():
            ends = one["interval"]
            if one["value"] is not None:
                line[name] = Figure(one["value"], interval=(ends[0], ends[1]) if ends else None)
        differing = {name: one for name, one in row["figures"].items() if one["differs"]}
        line["unlike"] = ", ".join(_unlike(name, one) for name, one in differing.items())
        rows.append(line)
    title = f"Subgroups of {scene.people:,} drawn people: {model}"
    return Table(title, command, tuple(columns), tuple(rows), _notes(result, scene))


def _unlike(name: str, figure: Mapping[str, Any]) -> str:
    decimals = 1 if name in _FOUND else 2
    return f"{name} {100 * figure['difference']:+.{decimals}f}" + ("*" if figure["certain"] else "")


def _notes(result: Mapping[str, Any], scene: Scene) -> tuple[str, ...]:
    figures = [one for row in result["rows"] for one in row["figures"].values()]
    asked = sum(one["chance"] is not None for one in figures)
    differing, certain = (sum(one[key] for one in figures) for key in ("differs", "certain"))
    thresholds = "; ".join(
        f"{one['name']}: a cosine of {one['threshold']:.4f}, which {one['false_match_rate']:.3%} of "
        f"{one['impostor_pairs']:,} pairs of two people reach"
        for one in result["verifications"]
    )
    return (
        f"Scene: {scene.people:,} people before {scene.cameras:,} cameras, one tracklet of {scene.frames:,} frames for "
        f"each, seed {scene.seed}, difficulty {scene.difficulty:g}. Every tracklet is a query against all the others. "
        f"In brackets: 95 % of {RESAMPLES:,} draws of other people.",
        f"One threshold for everybody, for pairs of tracklets before different cameras. {thresholds}. FMR: share of "
        "pairs of one of the group and anybody else that reach it. FMR within: of pairs of two people of the group. "
        "FNMR: share of pairs of tracklets of one person that do not.",
        "The last column names figures that differ from those of all other groups of the trait together (FMR within: "
        f"from pairs within each of the others) by more than in 95 % of {RESAMPLES:,} dealings of the groups by lot. "
        f"{asked:,} differences were asked after; about {0.05 * asked:.0f} come out by chance, {differing:,} did. "
        f"* holds when all of them count as one question: {certain:,}. Groups of fewer than {COMPARED_FROM} people are "
        "not compared.",
        "Drawn people say nothing about real ones, except where the reason lies in the picture itself, such as how "
        "much contrast a camera leaves in dark or in light cloth.",
    )


def _pairs(found: Verification) -> int:
    """Pairs of tracklets of two people, each once."""
    return int(found.impostors.sum()) // 2
