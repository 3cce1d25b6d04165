"""Archives of tracklets, as `POST /tracklets/batch` takes them, written while they are read."""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from service.client.metadata import Descriptor, metadata_of

CONTENT_TYPE = "application/x-tar"
_ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class PackedTracklet:
    """A tracklet on its way into an archive; its frames, in their order in time, are files or their bytes."""

    camera_id: str
    external_id: str
    frames: Sequence[bytes | Path] = field(default=(), repr=False)
    identity: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    labels: Mapping[str, Any] | None = None
    descriptor: Descriptor | None = None


class Archive:
    """The bytes of a tar archive, made anew whenever somebody goes through them; holds one frame at a time.

    Going through them raises OSError where a file cannot be read.
    """

    def __init__(self, tracklets: Sequence[PackedTracklet]) -> None:
        self._tracklets = tracklets

    def __iter__(self) -> Iterator[bytes]:
        yield from _member("manifest.jsonl", self._manifest())
        for number, tracklet in enumerate(self._tracklets, start=1):
            for name, frame in zip(_names(number, tracklet), tracklet.frames, strict=True):
                yield from _member(name, frame.read_bytes() if isinstance(frame, Path) else frame)
        yield _END

    def _manifest(self) -> bytes:
        lines = []
        for number, tracklet in enumerate(self._tracklets, start=1):
            line = metadata_of(
                tracklet.camera_id,
                external_id=tracklet.external_id,
                identity=tracklet.identity,
                started_at=tracklet.started_at,
                ended_at=tracklet.ended_at,
                labels=tracklet.labels,
                descriptor=tracklet.descriptor,
            )
            lines.append(json.dumps({**line, "frames": _names(number, tracklet)}) + "\n")
        return "".join(lines).encode()


def _names(number: int, tracklet: PackedTracklet) -> list[str]:
    """Names of a tracklet's members: short, and the same every time."""
    endings = (
        frame.suffix.lower() if isinstance(frame, Path) else _ENDINGS.get(frame[:2], "") for frame in tracklet.frames
    )
    return [f"{number:06d}/{place:05d}{ending}" for place, ending in enumerate(endings, start=1)]


def _member(name: str, content: bytes) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    yield header.tobuf(tarfile.USTAR_FORMAT)
    yield content
    yield bytes(-len(content) % tarfile.BLOCKSIZE)
