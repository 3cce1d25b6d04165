"""Rows of the database beside the rows of an index."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.gallery.columns import Columns
from service.gallery.index import Frozen
from service.gallery.scoring import unit_rows
from service.store.changes import IndexRow


@dataclass
class Compared:
    """What a comparison found, as rows of the database come.

    Attributes:
        frozen: the rows of the index.
        touched: tracklets that are left out, since the index may be behind on them.
        positions: of the other tracklets, their place in the index, until their row has come.
        missing, differing: from the index.
        broken: their descriptor in the database is no vector.
    """

    frozen: Frozen
    touched: set[uuid.UUID]
    positions: dict[uuid.UUID, int]
    missing: list[uuid.UUID] = field(default_factory=list)
    differing: list[uuid.UUID] = field(default_factory=list)
    broken: list[uuid.UUID] = field(default_factory=list)

    def take(self, rows: Sequence[IndexRow]) -> None:
        """Compare a batch."""
        sound = []
        for row in rows:
            vector = np.frombuffer(row.vector, "<f4") if len(row.vector) == 4 * self.frozen.dimension else None
            if vector is None or not np.isfinite(vector).all() or not vector.any():
                self.broken.append(row.tracklet_id)
            elif row.tracklet_id not in self.touched:
                sound.append(row)
        here = [row for row in sound if row.tracklet_id in self.positions]
        self.missing += [row.tracklet_id for row in sound if row.tracklet_id not in self.positions]
        if not here:
            return
        at = np.array([self.positions.pop(row.tracklet_id) for row in here])
        stored = unit_rows(np.stack([np.frombuffer(row.vector, "<f4") for row in here]))
        same = (self.frozen.rows.gather(self.frozen.numbers[at]) == stored).all(axis=1)
        expected = Columns.of(here)
        for number, row in enumerate(here):
            if not same[number] or expected.describe(number) != self.frozen.columns.describe(int(at[number])):
                self.differing.append(row.tracklet_id)
