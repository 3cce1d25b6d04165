"""Archives as tests write them: by the standard library, so that our writer does not check our reader."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import httpx

from tests.support import RunningService


def tar_of(members: Sequence[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of these files."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return buffer.getvalue()


def manifest(lines: Sequence[Mapping[str, Any]]) -> tuple[str, bytes]:
    """The member `manifest.jsonl`; every line has a camera."""
    text = "".join(json.dumps({"camera_id": "c1", **line}) + "\n" for line in lines)
    return "manifest.jsonl", text.encode()


def archive_of(tracklets: Mapping[str, Sequence[bytes]]) -> bytes:
    """An archive of tracklets by their external ids."""
    lines = [
        {"external_id": name, "frames": [f"{name}/{n}.jpg" for n in range(len(frames))]}
        for name, frames in tracklets.items()
    ]
    members = [(f"{name}/{n}.jpg", frame) for name, frames in tracklets.items() for n, frame in enumerate(frames)]
    return tar_of([manifest(lines), *members])


def post(running: RunningService, content: Any, gallery: str, kind: str = "application/x-tar") -> httpx.Response:
    """POST /tracklets/batch."""
    with running.client() as client:
        return client.post(
            "/tracklets/batch", params={"gallery": gallery}, content=content, headers={"Content-Type": kind}
        )


def report(running: RunningService, content: Any, gallery: str) -> dict[str, Any]:
    """The report on an archive that is read."""
    answer = post(running, content, gallery)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fates(found: dict[str, Any]) -> list[tuple[int, str, str | None]]:
    """Line, status and code of the problem of each item."""
    return [(one["line"], one["status"], (one["problem"] or {}).get("code")) for one in found["items"]]
