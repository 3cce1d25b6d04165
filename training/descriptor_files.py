"""Descriptors in an `.npz` file, as `tfclip embed` writes it and `tfclip evaluate` reads it."""

import uuid
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.retrieval import unit_length
from training.datasets.tracklets import LabelledTracklet


class DescriptorFileError(ValueError):
    """A file of descriptors cannot be read or lacks some; the message is one line and names what is wrong."""


@dataclass(frozen=True, eq=False)
class DescriptorFile:
    """What a file holds.

    Attributes:
        source: where it was read.
        paths: N names of tracklets, "IDENTITY/CAMERA/TRACKLET", each once.
        vectors: (N, D) float32, finite.
        model_id: the model that made them, where the file says so.
    """

    source: Path
    paths: tuple[str, ...]
    vectors: Tensor
    model_id: str | None

    def of(self, tracklets: Sequence[LabelledTracklet]) -> Tensor:
        """Return the descriptors (N, D) of tracklets by their names; what else the file holds is left out.

        Raises:
            DescriptorFileError: tracklets are not in the file.
        """
        rows = {path: row for row, path in enumerate(self.paths)}
        missing = [one.name for one in tracklets if one.name not in rows]
        if missing:
            more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
            raise DescriptorFileError(
                f"{self.source} lacks {len(missing):,} of {len(tracklets):,} tracklets: "
                f"{', '.join(missing[:3])}{more}. "
                f"Its first name is {self.paths[0]}"
            )
        return self.vectors[[rows[one.name] for one in tracklets]]


def write_descriptors(path: Path, paths: Sequence[str], descriptors: Tensor, model_id: str) -> None:
    """Write descriptors, normalised; the file appears whole or not at all, and replaces one of that name.

    Args:
        path: `.npz` by convention.
        paths: N names of tracklets.
        descriptors: (N, D) float.
        model_id: of the model that made them.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(
                file,
                paths=np.array(paths, dtype=np.str_),
                vectors=unit_length(descriptors).cpu().numpy(),
                model_id=np.array(model_id),
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_descriptors(path: Path) -> DescriptorFile:
    """Read a file of descriptors, made here or elsewhere; nothing in it is executed.

    Raises:
        DescriptorFileError: it cannot be read, or does not hold what it should.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("paths", "vectors", "model_id") if name in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DescriptorFileError(f"{path} cannot be read as a file of descriptors: {error}") from error
    if missing := {"paths", "vectors"} - arrays.keys():
        raise DescriptorFileError(f"{path} has no array {' and no array '.join(sorted(missing))}")
    names, vectors = arrays["paths"], arrays["vectors"]
    if names.ndim != 1 or names.dtype.kind not in "US" or len(names) == 0:
        raise DescriptorFileError(f"paths of {path} are {names.shape} {names.dtype}, expected (N,) text")
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(names):
        raise DescriptorFileError(
            f"vectors of {path} are {vectors.shape} {vectors.dtype}, expected ({len(names)}, D) float32"
        )
    vectors = vectors.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise DescriptorFileError(f"vectors of {path} hold numbers that are not finite")
    paths = tuple(names.astype(np.str_).tolist())
    if len(set(paths)) != len(paths):
        twice = next(name for row, name in enumerate(paths) if name in paths[:row])
        raise DescriptorFileError(f"{path} has {twice} more than once")
    model_id = str(arrays["model_id"]) if "model_id" in arrays else None
    return DescriptorFile(path, paths, torch.from_numpy(vectors), model_id)
