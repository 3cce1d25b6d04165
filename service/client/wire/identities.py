"""Identities and decisions as the client sees them."""

from datetime import datetime
from typing import Any, Literal

from service.client.wire.base import Answer


class Identity(Answer):
    """A person of a gallery; one that was merged into another has no tracklets."""

    id: str
    gallery: str
    name: str
    tracklets: int
    merged_into: str | None = None
    version: int
    created_at: datetime


class IdentityPage(Answer):
    """One page of a list of identities, newest first."""

    items: list[Identity]
    next_cursor: str | None = None


class SeenByCamera(Answer):
    """What one camera saw of an identity; its time offset is added to both times."""

    camera_id: str
    tracklets: int
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class IdentityDetails(Identity):
    """An identity, the cameras that saw it, and the picture that is most typical of it."""

    cameras: list[SeenByCamera] = []
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    thumbnail_url: str | None = None


class IdentityEvent(Answer):
    """Something that somebody did to an identity, or decided of tracklets; these may have had no identity then."""

    id: int
    kind: str
    identity_id: str | None = None
    other_id: str | None = None
    tracklet_ids: list[str] = []
    details: dict[str, Any] = {}
    done_by: str
    at: datetime


class IdentityEventPage(Answer):
    """One page of a history, newest first."""

    items: list[IdentityEvent]
    next_cursor: str | None = None


class Merged(Answer):
    """The identity that was kept, and the event that undoing the merge names."""

    identity: Identity
    event_id: int


class Unmerged(Answer):
    """The identity that stands for itself again, and what became of the tracklets that the merge had moved."""

    identity: Identity
    restored: list[str]
    elsewhere: list[str]
    gone: list[str]


class Appearance(Answer):
    """One tracklet of an identity; `time_offset_seconds`, the camera's, is added to its times."""

    tracklet_id: str
    camera_id: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    time_offset_seconds: float = 0.0
    external_id: str | None = None
    frame_count: int
    thumbnail_url: str | None = None


class AppearancePage(Answer):
    """One page of appearances, in order of time."""

    items: list[Appearance]
    next_cursor: str | None = None


class LikelyIdentity(Answer):
    """A known identity that a cluster is like."""

    identity_id: str
    name: str
    similarity: float


class ProposedIdentity(Answer):
    """Tracklets that may be one person, the most typical one first."""

    tracklet_ids: list[str]
    similarity: float | None = None
    like: LikelyIdentity | None = None
    thumbnail_url: str | None = None


class Proposals(Answer):
    """Proposals, the largest first; nothing was changed."""

    gallery: str
    model_id: str
    generation: int
    threshold: float
    tracklets: int
    found: int
    items: list[ProposedIdentity]


class MatchDecision(Answer):
    """What somebody decided of two tracklets."""

    id: str
    gallery: str
    tracklet_ids: list[str]
    verdict: Literal["same", "different"]
    decided_by: str
    at: datetime


class DecidedMatches(Answer):
    """Decisions that were written down, and the identity that `same` put the tracklets into."""

    identity_id: str | None = None
    items: list[MatchDecision]


class MatchPage(Answer):
    """One page of a list of decisions, newest first."""

    items: list[MatchDecision]
    next_cursor: str | None = None
