"""What the service answers about changes, as the client sees it."""

from datetime import datetime

from service.client.wire.base import Answer


class Change(Answer):
    """One change of a gallery: a tracklet was `added`, `deleted` or `updated`."""

    number: int
    kind: str
    tracklet_id: str
    at: datetime


class ChangePage(Answer):
    """Changes in order; `next` goes on after them, `change` is the gallery's last."""

    items: list[Change]
    next: int
    change: int


class BatchFault(Answer):
    """Why an archive, or a tracklet of it, failed."""

    code: str
    title: str
    status: int
    detail: str


class BatchItem(Answer):
    """What became of one line of an archive's manifest."""

    line: int
    external_id: str | None = None
    status: str
    tracklet_id: str | None = None
    problem: BatchFault | None = None


class BatchReport(Answer):
    """What became of an archive; one that is not `complete` was stored up to its `problem`."""

    created: int
    existing: int
    failed: int
    complete: bool
    problem: BatchFault | None = None
    items: list[BatchItem]
    unlisted: int = 0
    unlisted_examples: list[str] = []
