"""The tracklet that stands for an identity."""

import uuid
from collections.abc import Sequence

import numpy as np

from service.gallery.index import GalleryIndex

_COMPARED_ROWS = 1024


def most_typical(index: GalleryIndex, tracklet_ids: Sequence[uuid.UUID]) -> uuid.UUID | None:
    """Of those of the tracklets that are in the index, the nearest to the mean of their unit vectors; the first by id
    where several are as near. None when none is there."""
    ordered = sorted(tracklet_ids)
    parts = [ordered[start : start + _COMPARED_ROWS] for start in range(0, len(ordered), _COMPARED_ROWS)]
    total = np.zeros(index.dimension)
    for part in parts:
        total += index.vectors(part)[1].sum(axis=0, dtype=np.float64)
    best: tuple[float, uuid.UUID] | None = None
    for part in parts:
        here, vectors = index.vectors(part)
        if not here.any():
            continue
        scores = vectors.astype(np.float64) @ total
        place = int(scores.argmax())
        if best is None or scores[place] > best[0]:
            best = float(scores[place]), part[int(np.flatnonzero(here)[place])]
    return None if best is None else best[1]
