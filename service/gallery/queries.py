"""What is asked with: vectors of stored tracklets, of frames that are not stored, and of examples."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.calibration.answers import Judge, judged_pair
from service.errors import InvalidFrame, InvalidRequest, NotFound
from service.gallery.galleries import Galleries
from service.gallery.scoring import cosine_scores, unit_rows
from service.gallery.served import Loaded
from service.ingest.describing import UploadDescriber

Combine = Literal["mean", "max"]

NEGATIVE_WEIGHT = 0.2
"""Weight of negative examples, positive ones having 1: the 0.15 to 0.75 of Manning, Raghavan and Schütze, 9.1.1."""

_ASKED = 1000
"""Sets of frames whose vectors are kept for further pages."""


@dataclass(frozen=True)
class Comparison:
    """How alike two tracklets are, by which model and generation, and what it means."""

    score: float
    model_id: str
    generation: int
    probability: float | None
    calibration: Judge | None


class Queries:
    """Finds the vectors of questions, and the index that they are for."""

    def __init__(self, galleries: Galleries, describer: UploadDescriber) -> None:
        self._galleries = galleries
        self._describer = describer
        self._asked: dict[bytes, NDArray[np.float32]] = {}

    async def stored(self, gallery: str, tracklet_ids: Sequence[uuid.UUID]) -> tuple[Loaded, NDArray[np.float32]]:
        """The gallery, current, and the unit vectors (N, D) of these tracklets of it.

        Raises:
            NotFound: no such gallery, or it lacks one of them.
            IndexNotReady.
        """
        loaded = await self._galleries.current(gallery)
        here, vectors = loaded.index.vectors(tracklet_ids)
        if not here.all():
            # Another process may have stored them a moment ago.
            loaded = await self._galleries.renewed(gallery)
            here, vectors = loaded.index.vectors(tracklet_ids)
        if not here.all():
            raise NotFound(f"Gallery {gallery} has no tracklet {tracklet_ids[int(np.argmin(here))]}.")
        return loaded, vectors

    async def described(
        self, gallery: str, sets: Sequence[Sequence[bytes]]
    ) -> tuple[Loaded, list[NDArray[np.float32]]]:
        """The gallery, current, and what its model makes of each set of frames: (D,), not normalised.

        Raises:
            NotFound: no such gallery.
            InvalidFrame, QueueFull, ModelConflict, IndexNotReady.
        """
        described_by, vectors = None, []
        loaded = await self._galleries.current(gallery)
        while loaded.model_id != described_by:
            # Again only when the gallery was switched to another model while the frames were embedded.
            described_by = loaded.model_id
            cap = self._galleries.rules(gallery).frame_cap
            vectors = [await self._vector(frames, number, described_by, cap) for number, frames in enumerate(sets)]
            loaded = await self._galleries.current(gallery)
        return loaded, vectors

    async def of_frames(
        self, gallery: str, frames: Sequence[bytes], again: bool
    ) -> tuple[Loaded, NDArray[np.float32], bytes]:
        """As `described` of one set, and what tells its frames from others under the model.

        Args:
            again: a page of them was shown before: by the same vector if this process has it still. The network gives
                other bits for frames that it computes beside others, and a page of another vector may not join.

        Raises:
            NotFound, InvalidFrame, QueueFull, ModelConflict, IndexNotReady: as `described`.
        """
        loaded = await self._galleries.current(gallery)
        digest = _digest(frames, loaded.model_id, self._galleries.rules(gallery).frame_cap)
        vector = self._asked.get(digest) if again else None
        if vector is None:
            loaded, (vector,) = await self.described(gallery, [frames])
            digest = _digest(frames, loaded.model_id, self._galleries.rules(gallery).frame_cap)
        # The newest last. Whoever asked with the same frames meanwhile has pages of the vector that is here.
        vector = self._asked.pop(digest, vector)
        self._asked[digest] = vector
        if len(self._asked) > _ASKED:
            del self._asked[next(iter(self._asked))]
        return loaded, vector, digest

    async def _vector(
        self, frames: Sequence[bytes], number: int, model_id: str, frame_cap: int | None
    ) -> NDArray[np.float32]:
        try:
            return (await self._describer.describe(frames, model_id, frame_cap))[1]
        except InvalidFrame as error:
            raise InvalidFrame(f"Of the other tracklet: {error.detail}") if number else error from None

    async def compare(
        self, gallery: str, tracklet_ids: Sequence[uuid.UUID], sets: Sequence[Sequence[bytes]]
    ) -> Comparison:
        """The score of one to one: of two tracklets, a tracklet and frames, or two sets of frames, two in all.

        The same as that of a search with the first for the second, bit for bit.

        Raises:
            NotFound, InvalidFrame, QueueFull, ModelConflict, IndexNotReady: as `stored` and `described`.
        """
        while True:
            described_in, described = await self.described(gallery, sets)
            loaded, vectors = await self.stored(gallery, tracklet_ids)
            if loaded.model_id == described_in.model_id:
                break
        # No row is asked for that would not be found.
        await self._galleries.confirm(gallery)
        sides = [*vectors, *(unit_rows(vector[None])[0] for vector in described)]
        # A search takes its query, stored or not, to length 1 again.
        query = unit_rows(sides[0][None])[0]
        score = float(cosine_scores(sides[1][None], query)[0])
        cameras = [*(loaded.index.camera(one) for one in tracklet_ids), *(None for _ in described)]
        probability, judge = judged_pair(score, self._galleries.calibrations, loaded, cameras, gallery)
        return Comparison(score, loaded.model_id, loaded.generation, probability, judge)


def _digest(frames: Sequence[bytes], model_id: str, frame_cap: int | None) -> bytes:
    made = hashlib.sha256(f"{model_id} {frame_cap}".encode())
    for frame in frames:
        made.update(hashlib.sha256(frame).digest())
    return made.digest()


def combined(positive: NDArray[np.float32], negative: NDArray[np.float32], combine: Combine) -> NDArray[np.float32]:
    """One question from several examples, by the formula of Rocchio (1971) over vectors of length 1.

    Args:
        positive: (P, D) unit vectors, P >= 1.
        negative: (N, D) unit vectors, N >= 0.
        combine: `mean`: the mean of the positive ones less `NEGATIVE_WEIGHT` times the mean of the negative ones.
            `max`: each positive one less the same, and the best of its scores is a row's score.

    Returns:
        (D,) for `mean` or a single positive example, else (P, D).

    Raises:
        InvalidRequest: nothing is left of them.
    """
    wide = positive.astype(np.float64)
    if combine == "mean":
        wide = wide.mean(axis=0, keepdims=True)
    if len(negative):
        wide = wide - NEGATIVE_WEIGHT * negative.astype(np.float64).mean(axis=0)
    if not (np.linalg.norm(wide, axis=1) > 1e-6).all():
        raise InvalidRequest("The examples point in opposite directions and leave nothing to look for: name others.")
    queries: NDArray[np.float32] = wide.astype(np.float32)
    return queries[0] if len(queries) == 1 else queries
