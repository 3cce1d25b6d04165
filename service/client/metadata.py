"""What a client says of a tracklet that it sends."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Descriptor:
    """A descriptor made elsewhere, by the model that serves the gallery: `GET /search` and lists of models name it."""

    model_id: str
    values: Sequence[float] = field(repr=False)

    def to_dict(self) -> dict[str, str]:
        """As the service takes it: base64 of float32 little endian."""
        content = struct.pack(f"<{len(self.values)}f", *self.values)
        return {"model_id": self.model_id, "values": base64.b64encode(content).decode()}


def metadata_of(
    camera_id: str,
    *,
    gallery: str | None = None,
    external_id: str | None = None,
    identity: str | None = None,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    labels: Mapping[str, Any] | None = None,
    descriptor: Descriptor | None = None,
) -> dict[str, Any]:
    """The metadata of a tracklet, without what is not given."""
    metadata = {
        "camera_id": camera_id,
        "gallery": gallery,
        "external_id": external_id,
        "identity": identity,
        "started_at": started_at.isoformat() if started_at else None,
        "ended_at": ended_at.isoformat() if ended_at else None,
        "labels": dict(labels) if labels else None,
        "descriptor": descriptor.to_dict() if descriptor else None,
    }
    return {name: value for name, value in metadata.items() if value is not None}
