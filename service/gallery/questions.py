"""What an index is asked, and what it answers."""

import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gallery.filters import Filters

NO_FILTERS = Filters()


@dataclass(frozen=True)
class Hit:
    """One row of an answer; `score` is the cosine similarity."""

    tracklet_id: uuid.UUID
    score: float


@dataclass(frozen=True, eq=False)
class Question:
    """What to rank.

    Attributes:
        query: (D,) float32, any positive length; or (M, D), and the score of a row is the highest of its cosines.
        k: rows wanted.
        filters: which rows may answer.
        exclude: a tracklet that must not answer, such as the query itself.
        without: further tracklets that must not answer.
        after: the answer begins after this place of the ranking.
        best_of_identity: of each identity only the best row that passes answers; rows without one stand for themselves.
        made_of: what tells the query from others, where making it again may give other bits.
    """

    query: NDArray[np.float32]
    k: int
    filters: Filters = NO_FILTERS
    exclude: uuid.UUID | None = None
    without: frozenset[uuid.UUID] = frozenset()
    after: Hit | None = None
    best_of_identity: bool = False
    made_of: bytes | None = None

    @property
    def plain(self) -> bool:
        """Whether blocks can propose the answer; any other question costs a pass of its own over every row."""
        return self.query.ndim == 1 and not self.without and self.after is None and not self.best_of_identity
