"""What the service answers, as the client sees it."""

from datetime import datetime
from typing import Any, Literal

from service.client.wire.base import Answer


class Tracklet(Answer):
    """A stored tracklet."""

    id: str
    gallery: str
    camera_id: str
    external_id: str | None = None
    identity: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    labels: dict[str, Any] = {}
    frame_count: int
    purity: float | None = None
    possible_identity_switch: bool | None = None
    model_id: str | None = None
    created_at: datetime
    version: int | None = None
    thumbnail_url: str | None = None
    frame_urls: list[str] = []


class TrackletPage(Answer):
    """One page of a list of tracklets, newest first."""

    items: list[Tracklet]
    next_cursor: str | None = None


class Match(Answer):
    """One line of a ranking.

    `score` is a cosine similarity, `probability` that it is the same person where the gallery is calibrated, and
    `rerank_distance` what a re-ranked answer is ordered by.
    """

    rank: int
    tracklet_id: str
    score: float
    rerank_distance: float | None = None
    camera_id: str
    identity: str | None = None
    external_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    thumbnail_url: str | None = None
    probability: float | None = None


class CalibrationReference(Answer):
    """The calibration behind an answer; a stale one says nothing but why."""

    id: str
    stale: bool
    reason: str | None = None


class ServedModel(Answer):
    """A model that the service answers with: whether it was ever trained, and whether it is made of demo weights."""

    id: str
    name: str = "unnamed"
    trained: bool
    demo: bool = False


class DefaultModel(ServedModel):
    """The model that new galleries are indexed under, and where its weights come from."""

    source: str | None = None


class Rerank(Answer):
    """What re-ranking did: `top` rows took part."""

    method: str | None = None
    expand: int | None = None
    top: int
    took_ms: float


class Ranking(Answer):
    """The answer to a search, and the model and generation that gave it; earlier services name the id alone."""

    query_id: str | None = None
    gallery: str | None = None
    model_id: str
    model: ServedModel | None = None
    generation: int
    took_ms: float
    decision: Literal["match", "possible", "no match"] | None = None
    undecided_because: str | None = None
    calibration: CalibrationReference | None = None
    results: list[Match]
    rerank: Rerank | None = None
    next_cursor: str | None = None


class Job(Answer):
    """Long work in the service; `total` is None until it is known."""

    id: str
    kind: str
    gallery: str | None = None
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    done: int = 0
    total: int | None = None
    error: str | None = None
    result: dict[str, Any] | None = None
    cancel_requested: bool = False
    created_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether the job has come to an end, good or bad."""
        return self.status in ("succeeded", "failed", "cancelled")


class JobPage(Answer):
    """One page of a list of jobs, newest first."""

    items: list[Job]
    next_cursor: str | None = None


class Generation(Answer):
    """One index of one gallery under one model; `building` until it was complete once."""

    id: int
    gallery: str
    number: int
    model_id: str
    model_name: str = "unnamed"
    status: str
    serving: bool
    created_at: datetime | None = None


class GenerationPage(Answer):
    """One page of a list of generations, newest first."""

    items: list[Generation]
    next_cursor: str | None = None


class Finding(Answer):
    """One kind of difference in a gallery, with a few examples: tracklets, or names of files."""

    kind: str
    count: int
    examples: list[str]
    mendable: bool
    remedy: str


class Integrity(Answer):
    """Whether rows, descriptors, frames and index of a gallery agree; the index is that of `process`."""

    process: str = ""
    gallery: str
    generation: int
    model_id: str
    ok: bool
    checked: dict[str, int]
    findings: list[Finding]
    took_ms: float


class RegisteredModel(ServedModel):
    """A model that galleries can be indexed under, and the galleries that it serves."""

    dimension: int
    default: bool = False
    available: bool = True
    generations: int = 0
    galleries: list[str] = []
    created_at: datetime | None = None
    provenance: dict[str, Any] = {}


class ModelPage(Answer):
    """A list of models, newest first."""

    items: list[RegisteredModel]
    next_cursor: str | None = None


class Key(Answer):
    """An API key as lists show it: never the secret itself."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    requests_per_minute: int | None = None
    max_tracklets: int | None = None
    tracklets: int = 0
    version: int | None = None


class NewKey(Key):
    """A key just made; the service shows its secret this once."""

    secret: str


class KeyPage(Answer):
    """One page of a list of keys."""

    items: list[Key]
    next_cursor: str | None = None


class Readiness(Answer):
    """Whether the service answers searches and uploads now, why not, and with which model."""

    status: Literal["ready", "not ready"]
    reasons: list[str] = []
    model: DefaultModel | None = None

    @property
    def ready(self) -> bool:
        """Whether it is ready."""
        return self.status == "ready"
