"""Many tracklets out of one archive: each is stored as soon as its frames have come, and fails alone."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import structlog

from service.client.retries import RetryPolicy
from service.errors import BodyTooLarge, InvalidArchive, InvalidFrame, ServiceError, Unavailable
from service.ingest.arriving import Upload
from service.ingest.tar_reading import Member, TarReader
from service.ingest.uploads import Uploads

log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""Tracklets of one archive that are stored at a time: enough to fill a batch of the network's."""

_PATIENCE = RetryPolicy(attempts=30)
"""With what is full or away for the moment: about half a minute for each tracklet."""

EXAMPLES = 20


@dataclass(frozen=True)
class Outcome:
    """What became of one tracklet; `error` says why it failed."""

    status: Literal["created", "existing", "failed"]
    tracklet_id: uuid.UUID | None = None
    error: ServiceError | None = None


@dataclass
class Line:
    """A tracklet as the manifest names it.

    Attributes:
        upload: None where the line breaks a rule; then its outcome says which.
        frames: names of its members, in their order in time.
        contents: frames that have come, by their place.
    """

    number: int
    external_id: str | None
    upload: Upload | None
    frames: tuple[str, ...] = ()
    outcome: Outcome | None = None
    contents: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def held(self) -> int:
        """Bytes of the frames that have come."""
        return sum(len(content) for content in self.contents.values())


class Batch:
    """The tracklets of one archive.

    Args:
        lines: of its manifest; no two name the same member.
        held_limit: bytes of frames in memory, of tracklets that are not whole yet or are being stored.
        frame_limit: bytes of one frame.

    Attributes:
        unlisted: how many members no line names, with the names of some.
    """

    def __init__(self, uploads: Uploads, lines: Sequence[Line], held_limit: int, frame_limit: int) -> None:
        self.lines = lines
        self.unlisted = 0
        self.unlisted_names: list[str] = []
        self._uploads = uploads
        self._held_limit = held_limit
        self._frame_limit = frame_limit
        self._held = 0
        self._wanted = {name: (line, place) for line in lines for place, name in enumerate(line.frames)}
        self._running: set[asyncio.Task[None]] = set()

    async def store(self, archive: TarReader) -> InvalidArchive | None:
        """Read the archive to its end and store what it brings; every line has an outcome then.

        Returns:
            What was wrong with the archive from some place on. What was whole before is stored.

        Raises:
            Whatever reading the body raises: what was whole by then is stored all the same.
        """
        broken = None
        try:
            for line in self.lines:
                if line.upload is not None and not line.frames:
                    await self._begin(line)
            while (member := await archive.next()) is not None:
                await self._take(archive, member)
        except InvalidArchive as error:
            broken = error
        except asyncio.CancelledError:
            for task in self._running:
                task.cancel()
            raise
        finally:
            await asyncio.gather(*self._running, return_exceptions=True)
        await archive.drain()
        for line in self.lines:
            if line.outcome is None:
                line.outcome = Outcome("failed", error=_incomplete(line, broken))
        return broken

    async def _take(self, archive: TarReader, member: Member) -> None:
        """See to one member; what is not read of it is passed over."""
        if member.kind == "folder":
            return
        line, place = self._wanted.pop(member.name, (None, 0))
        if line is None:
            self.unlisted += 1
            if len(self.unlisted_names) < EXAMPLES:
                self.unlisted_names.append(member.name.encode("utf-8", "replace").decode()[:200])
            return
        if line.outcome is not None:
            return
        if member.kind != "file":
            self._fail(line, InvalidArchive(f"Member {member.name!r} is no plain file."))
        elif member.size > self._frame_limit:
            self._fail(
                line,
                InvalidFrame(
                    f"Member {member.name!r} is larger than {self._frame_limit} bytes (TFCLIP_MAX_FRAME_BYTES)."
                ),
            )
        elif line.held + member.size > self._held_limit:
            self._fail(
                line,
                BodyTooLarge(
                    f"The tracklet's frames are larger than {self._held_limit} bytes (TFCLIP_MAX_BODY_BYTES); send "
                    "fewer or smaller ones."
                ),
            )
        else:
            await self._make_room(member)
            self._held += member.size
            line.contents[place] = await archive.read()
            if len(line.contents) == len(line.frames):
                await self._begin(line)

    async def _make_room(self, member: Member) -> None:
        while self._held + member.size > self._held_limit:
            if not self._running:
                raise InvalidArchive(
                    f"At member {member.name!r}, frames of tracklets that are not whole yet are larger than "
                    f"{self._held_limit} bytes (TFCLIP_MAX_BODY_BYTES). Put each tracklet's frames together in the "
                    "archive."
                )
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    def _fail(self, line: Line, error: ServiceError) -> None:
        self._held -= line.held
        line.contents.clear()
        line.outcome = Outcome("failed", error=error)

    async def _begin(self, line: Line) -> None:
        while len(self._running) >= _AT_ONCE:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._store(line), name="tracklet of a batch")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _store(self, line: Line) -> None:
        assert line.upload is not None
        contents = [line.contents[place] for place in range(len(line.frames))]
        try:
            line.outcome = await self._outcome(line.upload, contents)
        except ServiceError as error:
            line.outcome = Outcome("failed", error=error)
        except Exception:
            log.exception("a tracklet of a batch could not be stored")
            line.outcome = Outcome("failed", error=ServiceError("Something failed; the log has the request id."))
        finally:
            self._held -= line.held
            line.contents.clear()

    async def _outcome(self, upload: Upload, contents: Sequence[bytes]) -> Outcome:
        for attempt in count(1):
            try:
                stored, _, created = await self._uploads.add(upload, contents)
            except Unavailable as error:
                delay = _PATIENCE.delay(attempt, error.retry_after)
                if delay is None:
                    raise
                await asyncio.sleep(delay)
            else:
                return Outcome("created" if created else "existing", stored.id)
        raise AssertionError("unreachable")


def _incomplete(line: Line, broken: InvalidArchive | None) -> InvalidArchive:
    """Why a tracklet is not whole."""
    if broken is not None:
        return InvalidArchive("The archive could not be read to the last frame of this tracklet.")
    missing = [name for place, name in enumerate(line.frames) if place not in line.contents]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return InvalidArchive(f"The archive has no member {missing[0]!r}{more}.")
