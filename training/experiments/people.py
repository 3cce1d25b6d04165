"""Who is learned and who is measured in an experiment."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import ConfigError, TrainingConfig
from training.datasets.registry import read_data_set
from training.datasets.tracklets import DataSet, DataSetError, LabelledTracklet
from training.start import hold_out

KEPT_SHARE = 0.2
"""Share of a folder's identities that is kept from training, where no other folder is given to measure on."""

KEPT_SEED = 0
"""Names which they are: the same for every cell of every experiment."""


@dataclass(frozen=True)
class People:
    """The data of an experiment.

    Attributes:
        data: `train` is learned; `query` and `gallery` are measured and in no training.
        cameras_known: whether the cameras of the measured tracklets are those of the learned ones.
        fingerprint: of the measured tracklets.
    """

    data: DataSet
    cameras_known: bool
    fingerprint: str


def read_people(config: TrainingConfig, root: Path, test: Path | None) -> People:
    """Read the data set of a config and say who of it is measured.

    The public data sets have a test half. A folder has none: a fixed share of its identities is kept from training, or
    another folder of other people is measured.

    Args:
        config: names the data set.
        root: where it lies.
        test: folder of other people, for `folder` only.

    Raises:
        ConfigError: a `test` that cannot be.
        DataSetError: a data set cannot be read.
    """
    data = read_data_set(config.data_set, root, split=config.split)
    if config.data_set != "folder":
        if test is not None:
            raise ConfigError(f"--test: {config.data_set} has a test half of its own, leave it out")
        return People(data, True, fingerprint(data.query, data.gallery))
    if test is not None:
        if test.resolve() == root.resolve():
            raise ConfigError("--test is --root: expected a folder of other people, or none")
        other = read_data_set("folder", test)
        data = replace(data, query=other.query, gallery=other.gallery)
        return People(data, False, fingerprint(data.query, data.gallery))
    try:
        learned, kept = hold_out(data.train, KEPT_SHARE, KEPT_SEED)
    except ValueError as error:
        raise ConfigError(f"{root}: {error}") from error
    data = replace(data, train=learned, query=kept, gallery=kept)
    return People(data, True, fingerprint(data.query, data.gallery))


def fingerprint(*parts: Sequence[LabelledTracklet]) -> str:
    """SHA-256 over tracklets: their names, their numbers of frames, and the bytes that the first of these takes.

    Names alone would not do: drawn people are `person-001` and so on in every folder, and when they are drawn again.

    Raises:
        DataSetError: a frame is not there.
    """
    found = hashlib.sha256()
    try:
        for part in parts:
            for one in part:
                found.update(f"{one.name}\0{len(one.frames)}\0{one.frames[0].stat().st_size}\n".encode())
            found.update(b"\n")
    except OSError as error:
        raise DataSetError(f"{error.filename} cannot be read: {error.strerror}") from error
    return found.hexdigest()
