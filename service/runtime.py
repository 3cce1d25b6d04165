"""A running service: everything that one process consists of."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from service.embedding.models import Models
from service.embedding.registry import ModelRegistry
from service.evidence.evidence import Evidence
from service.export.sheets import Sheets
from service.gallery.awaiting import ChangeBell
from service.gallery.galleries import Galleries
from service.gallery.ranking import Search
from service.idempotency import IdempotencyKeys
from service.identities.editing import Editor
from service.identities.proposals import Proposals
from service.ingest.admission import Admission
from service.ingest.uploads import Uploads
from service.integrity.checks import Checker
from service.jobs.queue import JobQueue
from service.metrics import Metrics
from service.rate_limits import RateLimits
from service.settings import Settings
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.lookups import ChangesLookup, KeyLookup
from service.store.models import ModelRecord


@dataclass
class Service:
    """The parts that the API works with."""

    settings: Settings
    metrics: Metrics
    database: Database
    callers: KeyLookup
    model: ModelRecord
    models: Models
    registry: ModelRegistry
    galleries: Galleries
    changes: ChangesLookup
    bell: ChangeBell
    uploads: Uploads
    evidence: Evidence
    frames: FrameStore
    admission: Admission
    batches: Admission
    search: Search
    sheets: Sheets
    jobs: JobQueue
    checker: Checker
    identities: Editor
    proposals: Proposals
    idempotency: IdempotencyKeys
    rate_limits: RateLimits
    parts: AsyncExitStack

    async def close(self) -> None:
        """Stop everything, in reverse order, saving what makes the next start fast."""
        await self.parts.aclose()
