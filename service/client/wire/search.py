"""What the service answers to batches of searches and to comparisons, as the client sees it."""

from service.client.wire import CalibrationReference, Ranking
from service.client.wire.base import Answer


class SearchProblem(Answer):
    """Why one search of a batch was refused."""

    status: int
    code: str
    detail: str


class BatchItem(Answer):
    """What became of one search of a batch: a ranking or a problem."""

    ranking: Ranking | None = None
    problem: SearchProblem | None = None


class BatchAnswer(Answer):
    """One item for each search, in their order."""

    items: list[BatchItem]


class Verification(Answer):
    """How alike two tracklets are."""

    gallery: str
    tracklet_id: str | None = None
    other_tracklet_id: str | None = None
    score: float
    probability: float | None = None
    calibration: CalibrationReference | None = None
    model_id: str
    generation: int
    took_ms: float
