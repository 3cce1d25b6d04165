"""Many tracklets to the service at once, without losing count of what became of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client import TfclipClient
from service.client.errors import ApiProblem, UnexpectedAnswerError


@dataclass(frozen=True)
class Upload:
    """A tracklet to be stored. `read` gives its frames, as files, when its turn comes."""

    camera_id: str
    external_id: str
    read: Callable[[], Sequence[bytes]]
    identity: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """Something that could not be stored: `reason` groups failures of one kind, `detail` is about this one."""

    external_id: str
    reason: str
    detail: str


@dataclass
class UploadSummary:
    """What became of the tracklets.

    Attributes:
        stored: new in the service.
        already_there: the service held the same frames under the same external id.
        thinned: of these, frames were left out because there were more than the service takes.
        skipped: number of tracklets or parts that were never sent, by reason.
        failures: what could not be stored.
        notes: remarks on the input, one line each.
    """

    stored: int = 0
    already_there: int = 0
    thinned: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def failed(self) -> Counter[str]:
        """Return the number of failures by reason."""
        return Counter(failure.reason for failure in self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as a JSON document."""
        return {
            "stored": self.stored,
            "already_there": self.already_there,
            "thinned": self.thinned,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed()),
            "failures": [vars(failure) for failure in self.failures],
            "notes": self.notes,
        }


def upload_all(
    client: TfclipClient,
    uploads: Iterable[Upload],
    summary: UploadSummary,
    *,
    gallery: str | None = None,
    workers: int = 4,
    on_done: Callable[[], None] = lambda: None,
) -> None:
    """Store every tracklet, `workers` at a time, and count into `summary` what became of each.

    A tracklet that the service refuses does not stop the others. `uploads` is read only as fast as tracklets are
    stored, so memory holds the frames of at most twice `workers` of them.

    Raises:
        ApiProblem: the key does not allow uploads (401, 403); nothing else would go through either.
        UnreachableError: the service stopped answering. `summary` tells how far it went.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="upload") as pool:
        pending: set[Future[bool | Failure]] = set()
        try:
            for upload in uploads:
                if len(pending) >= 2 * workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    _count(done, summary, on_done)
                pending.add(pool.submit(_store, client, upload, gallery))
            _count(wait(pending).done, summary, on_done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _store(client: TfclipClient, upload: Upload, gallery: str | None) -> bool | Failure:
    """Return whether the tracklet was new, or why it was not stored."""
    try:
        stored = client.create_tracklet(
            upload.read(),
            upload.camera_id,
            gallery=gallery,
            external_id=upload.external_id,
            identity=upload.identity,
            started_at=upload.started_at,
            ended_at=upload.ended_at,
        )
    except OSError as error:
        return Failure(upload.external_id, "file cannot be read", str(error))
    except UnexpectedAnswerError as error:
        return Failure(upload.external_id, "unexpected answer", str(error))
    except ApiProblem as problem:
        if problem.status in (401, 403):
            raise
        return Failure(upload.external_id, problem.code, str(problem))
    return stored.created


def _count(done: Iterable[Future[bool | Failure]], summary: UploadSummary, on_done: Callable[[], None]) -> None:
    for future in done:
        outcome = future.result()
        if isinstance(outcome, Failure):
            summary.failures.append(outcome)
        elif outcome:
            summary.stored += 1
        else:
            summary.already_there += 1
        on_done()
