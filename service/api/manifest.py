"""Reading the manifest of an archive, line by line."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from pydantic import ValidationError

from service.api.batch_schemas import ManifestLine
from service.api.metadata import check_metadata, upload_of
from service.api.problems import field_errors
from service.errors import FieldError, InvalidArchive, InvalidFrame, InvalidRequest, ServiceError, TooManyFrames
from service.ingest.arriving import Owner
from service.ingest.batches import Line, Outcome
from service.ingest.tar_reading import TarReader
from service.settings import Settings

MANIFEST = "manifest.jsonl"
_LONGEST_LINE = 1024 * 1024
_SHOWN_ERRORS = 5


async def read_manifest(
    archive: TarReader, settings: Settings, gallery: str, caller: str, owner: Owner
) -> tuple[list[Line], bytes]:
    """The tracklets of the manifest, and its SHA-256; a line that breaks a rule is one that failed.

    Raises:
        InvalidArchive: there is no manifest, it is too large, or a line is no JSON object.
    """
    member = await archive.next()
    if member is None or (member.name, member.kind) != (MANIFEST, "file"):
        raise InvalidArchive(f"The archive must begin with the file {MANIFEST}, a line of JSON for each tracklet.")
    if member.size > settings.max_manifest_bytes:
        raise InvalidArchive(
            f"The manifest is larger than {settings.max_manifest_bytes} bytes (TFCLIP_MAX_MANIFEST_BYTES). Send "
            "several archives."
        )
    reading = _Reading(settings, gallery, caller, owner)
    number = 0
    digest = hashlib.sha256()
    async for text in _lines(archive):
        digest.update(text + b"\n")
        number += 1
        if not text.strip():
            continue
        if len(reading.lines) == settings.max_batch_tracklets:
            raise InvalidArchive(
                f"The manifest has more than {settings.max_batch_tracklets} tracklets (TFCLIP_MAX_BATCH_TRACKLETS). "
                "Send several archives."
            )
        reading.take(number, text)
    return reading.lines, digest.digest()


async def _lines(archive: TarReader) -> AsyncIterator[bytes]:
    held = bytearray()
    async for piece in archive.pieces():
        held += piece
        *whole, held = held.split(b"\n")
        for text in whole:
            yield bytes(text)
        if len(held) > _LONGEST_LINE:
            raise InvalidArchive(f"A line of the manifest is longer than {_LONGEST_LINE} bytes.")
        # What has arrived is read without waiting: others must get their turn.
        await asyncio.sleep(0)
    if held:
        yield bytes(held)


class _Reading:
    """Lines so far, and what may come once only: external ids, and names of members."""

    def __init__(self, settings: Settings, gallery: str, caller: str, owner: Owner) -> None:
        self.lines: list[Line] = []
        self._settings = settings
        self._gallery = gallery
        self._caller = caller
        self._owner = owner
        self._ids: dict[str, int] = {}
        self._members: dict[str, int] = {}

    def take(self, number: int, text: bytes) -> None:
        """Check one line.

        Raises:
            InvalidArchive: it is no JSON object.
        """
        try:
            line = ManifestLine.model_validate_json(text)
        except ValidationError as error:
            if any(one["type"] in ("json_invalid", "model_type") and not one["loc"] for one in error.errors()):
                raise InvalidArchive(f"Line {number} of the manifest is no JSON object.") from None
            errors = field_errors(error)[:_SHOWN_ERRORS]
            refusal = InvalidRequest(f"{errors[0].location}: {errors[0].message}", errors)
            self._refuse(number, _external_id(text, errors), refusal)
            return
        try:
            self._check(line)
        except ServiceError as refusal:
            self._refuse(number, line.external_id, refusal)
            return
        self._ids[line.external_id] = number
        self._members.update(dict.fromkeys(line.frames, number))
        upload = upload_of(line, self._gallery, self._caller, self._owner)
        self.lines.append(Line(number, line.external_id, upload, tuple(line.frames)))

    def _check(self, line: ManifestLine) -> None:
        check_metadata(line, self._settings)
        if line.external_id in self._ids:
            message = f"line {self._ids[line.external_id]} has it already"
            raise InvalidRequest(f"external_id: {message}.", [FieldError("external_id", message)])
        if len(line.frames) > self._settings.max_frames:
            raise TooManyFrames(f"A tracklet has at most {self._settings.max_frames} frames (TFCLIP_MAX_FRAMES).")
        if not line.frames and line.descriptor is None:
            raise InvalidFrame("There is no frame: name one or more members as `frames`, or give a `descriptor`.")
        if len(set(line.frames)) < len(line.frames):
            raise InvalidRequest("frames: a member is named twice.", [FieldError("frames", "named twice")])
        for name in line.frames:
            if name in self._members:
                message = f"line {self._members[name]} has member {name[:200]!r} already"
                raise InvalidRequest(f"frames: {message}.", [FieldError("frames", message)])

    def _refuse(self, number: int, external_id: str | None, error: ServiceError) -> None:
        self.lines.append(Line(number, external_id, None, outcome=Outcome("failed", error=error)))


def _external_id(text: bytes, errors: list[FieldError]) -> str | None:
    """The external id of a line of which something else is wrong."""
    if any(error.location.startswith("external_id") for error in errors):
        return None
    with suppress(ValueError, KeyError):
        return str(json.loads(text)["external_id"])
    return None
