"""How a question is to be answered, and which rows may answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.errors import FieldError, InvalidRequest
from service.gallery.filters import Filters, Sighting
from service.gallery.reranking import RerankOptions
from service.gallery.times import NO_TIME
from service.store.cameras import Rules


@dataclass(frozen=True)
class SearchOptions:
    """How to answer a question."""

    gallery: str
    k: int
    cameras: frozenset[str] = frozenset()
    excluded_cameras: frozenset[str] = frozenset()
    exclude_query_camera: bool = False
    started_after: datetime | None = None
    ended_before: datetime | None = None
    identities: frozenset[str] = frozenset()
    identity_known: bool | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    min_frames: int | None = None
    min_score: float | None = None
    rerank: RerankOptions | None = None
    best_of_identity: bool = False
    cursor: str | None = None
    min_time_gap_seconds: float | None = None
    feasible_transit: bool = False
    query_sighting: Sighting | None = None

    def filters(self, seen: Sequence[Sighting], rules: Rules) -> Filters:
        """The part that is a mask over rows.

        Args:
            seen: where and when each query was seen.
            rules: of the gallery.

        Raises:
            InvalidRequest: a rule asks for what is not known of a query.
        """
        excluded = self.excluded_cameras
        if self.exclude_query_camera:
            excluded |= {one.camera for one in seen if one.camera is not None}
        by_time = self.min_time_gap_seconds is not None or self.feasible_transit
        if by_time:
            self._refuse_unknown(seen)
        return Filters(
            self.cameras,
            excluded,
            self.started_after,
            self.ended_before,
            self.identities,
            self.identity_known,
            self.labels,
            self.min_frames,
            frozenset(seen) if by_time else frozenset(),
            self.min_time_gap_seconds,
            self.feasible_transit,
            rules,
        )

    def _refuse_unknown(self, seen: Sequence[Sighting]) -> None:
        asked = "min_time_gap_seconds" if self.min_time_gap_seconds is not None else "feasible_transit"
        if any(one.started == NO_TIME for one in seen):
            raise InvalidRequest(
                f"{asked} needs the time of the query, which is not known. Store the tracklet with started_at, send "
                "its frames to POST /search with query_started_at, or leave the option out.",
                [FieldError(asked, "the query has no time")],
            )
        if self.feasible_transit and any(one.camera is None for one in seen):
            raise InvalidRequest(
                "feasible_transit needs the camera of the query: name it in query_camera_id, or leave the option out.",
                [FieldError("feasible_transit", "the query has no camera")],
            )
