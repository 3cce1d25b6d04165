"""What a tracklet's metadata must keep beyond its schema, and the upload that it makes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from service.api.schemas import TrackletFields
from service.api.values import name_text
from service.errors import FieldError, InvalidRequest
from service.ingest.arriving import Owner, Upload
from service.settings import Settings


def check_metadata(metadata: TrackletFields, settings: Settings) -> None:
    """Check what depends on the settings and on the clock.

    Raises:
        InvalidRequest.
    """
    check_labels(metadata.labels, "metadata.labels", settings)
    latest = datetime.now(UTC) + timedelta(seconds=settings.max_clock_skew_seconds)
    for name in ("started_at", "ended_at"):
        moment = getattr(metadata, name)
        if moment is not None and moment > latest:
            raise InvalidRequest(
                f"metadata.{name} is in the future by this server's clock ({datetime.now(UTC).isoformat()}).",
                [FieldError(f"metadata.{name}", "is in the future")],
            )


def check_new_name(name: str, where: str) -> None:
    """Check the name of what is new; what has another from before names were checked keeps it.

    Raises:
        InvalidRequest.
    """
    try:
        name_text(name)
    except ValueError as error:
        raise InvalidRequest(f"{where}: {error}", [FieldError(where, str(error))]) from None


def check_labels(labels: dict[str, Any], where: str, settings: Settings) -> None:
    """Check the size of labels.

    Raises:
        InvalidRequest.
    """
    if len(json.dumps(labels).encode()) > settings.max_labels_bytes:
        raise InvalidRequest(
            f"{where} are larger than {settings.max_labels_bytes} bytes (TFCLIP_MAX_LABELS_BYTES).",
            [FieldError(where, "too large")],
        )


def upload_of(
    metadata: TrackletFields, gallery: str, caller: str, owner: Owner, refusal: InvalidRequest | None = None
) -> Upload:
    """The tracklet as uploads take it, sent by `caller`; `refusal` is for it where it is not there already."""
    return Upload(
        gallery=gallery,
        camera=metadata.camera_id,
        external_id=metadata.external_id,
        identity=metadata.identity,
        started_at=metadata.started_at,
        ended_at=metadata.ended_at,
        labels=dict(metadata.labels),
        uploaded_by=caller,
        owner=owner,
        refusal=refusal,
        descriptor=None if metadata.descriptor is None else metadata.descriptor.given(),
    )
