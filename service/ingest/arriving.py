"""A tracklet that arrives: what is known of it, and who sends it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.errors import InvalidRequest
from service.ingest.frames import digest_of
from service.ingest.given import GivenDescriptor


@dataclass(frozen=True)
class Owner:
    """The key that sends a tracklet, and how many it may store; None where there is no key or no limit."""

    key_id: uuid.UUID | None = None
    quota: int | None = None


@dataclass(frozen=True)
class Upload:
    """What is known of a tracklet when it arrives, already validated.

    Attributes:
        refusal: of a tracklet that is not there already: it has names that nothing new may have.
    """

    gallery: str
    camera: str
    external_id: str | None
    identity: str | None
    started_at: datetime | None
    ended_at: datetime | None
    labels: dict[str, Any]
    uploaded_by: str
    owner: Owner = Owner()
    refusal: InvalidRequest | None = None
    descriptor: GivenDescriptor | None = None

    def digest(self, contents: Sequence[bytes]) -> bytes:
        """What names the tracklet's content: its frames, or where it has none its descriptor."""
        return digest_of(contents) if contents or self.descriptor is None else self.descriptor.digest
