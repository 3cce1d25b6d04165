"""Data sets side by side, each with a half to learn from and a half to measure on, given as NAME=LAYOUT:ROOT."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import ConfigError
from training.datasets.folder import read_folder
from training.datasets.registry import DATA_SETS, read_data_set
from training.datasets.report import summarise
from training.datasets.tracklets import DataSet, DataSetError

PARTS = ("train", "val")
"""The two folders below the root of a `folder`: people to learn from, and other people to measure on."""


@dataclass(frozen=True)
class NamedSet:
    """A data set of several.

    Attributes:
        name: as tables have it.
        layout: one of `DATA_SETS`.
        learned: its `train` is learned from.
        asked: its `query` and `gallery` are measured; the same object for the public sets.
    """

    name: str
    layout: str
    learned: DataSet
    asked: DataSet

    def in_words(self) -> str:
        """How large its halves are, a sentence."""
        train, query = summarise(self.learned.train), summarise(self.asked.query)
        return (
            f"`{self.name}` ({self.layout}): {train.identities:,} identities in {train.tracklets:,} tracklets before "
            f"{train.cameras} cameras to learn from; {query.tracklets:,} queries of {query.identities:,} other "
            f"identities in a gallery of {len(self.asked.gallery):,}."
        )


def read_named_sets(named: Sequence[str], *, split: int = 0) -> tuple[NamedSet, ...]:
    """Read data sets that are given as NAME=LAYOUT:ROOT.

    The public data sets hold their test half. The root of a `folder` holds `train/` and `val/`, both in the folder
    layout, with nobody in both.

    Args:
        named: two or more.
        split: of `ilids_vid`.

    Raises:
        ConfigError: a text is not of that form, or a name or a root is given twice.
        DataSetError: a data set cannot be read, or somebody is in both folders of one.
    """
    found: dict[str, NamedSet] = {}
    roots: dict[Path, str] = {}
    for text in named:
        matched = re.fullmatch(r"(\w[\w-]*)=(\w+):(.+)", text)
        if matched is None or matched[2] not in DATA_SETS:
            raise ConfigError(f"--data {text}: expected NAME=LAYOUT:ROOT, LAYOUT one of {', '.join(DATA_SETS)}")
        name, layout, root = matched[1], matched[2], Path(matched[3])
        if name in found:
            raise ConfigError(f"--data {text}: another data set is named {name} already")
        if root.resolve() in roots:
            raise ConfigError(f"--data {text}: {roots[root.resolve()]} is the same folder")
        roots[root.resolve()] = name
        found[name] = _read(name, layout, root, split)
    if len(found) < 2:
        raise ConfigError("--data: expected two data sets or more")
    return tuple(found.values())


def _read(name: str, layout: str, root: Path, split: int) -> NamedSet:
    if layout != "folder":
        data = read_data_set(layout, root, split=split if layout == "ilids_vid" else 0)
        return NamedSet(name, layout, data, data)
    for part in PARTS:
        if not (root / part).is_dir():
            raise DataSetError(
                f"{root} has no folder {part}: expected train/ and val/, people to learn from and other people to "
                "measure on"
            )
    learned, asked = (read_folder(root / part) for part in PARTS)
    both = {one.identity for one in learned.train} & {one.identity for one in asked.query}
    if both:
        raise DataSetError(
            f"{root}: {len(both)} of the identities in val/ are in train/ too, such as {min(both)}: expected other "
            "people to measure on, under other names"
        )
    return NamedSet(name, layout, learned, asked)
