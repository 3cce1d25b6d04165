"""Archives of tracklets: `tfclip pack` writes one, `tfclip ingest archive` sends it."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.tables import print_table

if TYPE_CHECKING:
    from service.client.wire.bulk import BatchReport

_SHOWN_FAILURES = 10
_PIECE_BYTES = 256 * 1024


def register(app: typer.Typer) -> None:
    """Add `tfclip pack`."""
    app.command("pack")(pack)


def pack(
    folder: Annotated[Path, typer.Argument(help="A folder IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}.")],
    file: Annotated[Path, typer.Argument(help="The archive to write.")],
    as_json: AsJson = False,
) -> None:
    """Write a folder data set as an archive to ingest. The external id of a tracklet is IDENTITY/CAMERA/TRACKLET."""
    from rich.progress import Progress

    from model.clips import spread_evenly
    from model.data.folder import FolderError, read_folder
    from service.client.archives import Archive, PackedTracklet
    from service.commands.upload_sources import FRAMES_PER_TRACKLET

    try:
        data = read_folder(folder)
        packed = [
            PackedTracklet(
                tracklet.camera,
                tracklet.path,
                [tracklet.frames[place] for place in spread_evenly(len(tracklet.frames), FRAMES_PER_TRACKLET)],
                identity=tracklet.identity,
            )
            for tracklet in data.tracklets
        ]
        frames = sum(len(tracklet.frames) for tracklet in packed)
        incoming = file.with_name(f"{file.name}.incoming")
        with Progress(console=console) as progress:
            # Of each member there are a header, the content and what fills the last block; the manifest is one too.
            task = progress.add_task("Packing", total=3 * (frames + 1))
            try:
                with incoming.open("wb") as archive:
                    for piece in Archive(packed):
                        archive.write(piece)
                        progress.advance(task)
                incoming.replace(file)
            finally:
                incoming.unlink(missing_ok=True)
    except (FolderError, OSError) as error:
        raise CommandError(str(error)) from error
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "tracklets": len(packed), "frames": frames, "bytes": size})
    else:
        typer.echo(f"{file}: {len(packed)} tracklets, {frames} frames, {size} bytes")


def ingest_archive(
    file: Annotated[Path, typer.Argument(help="A plain tar archive: manifest.jsonl, then the frames.")],
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Store the tracklets of an archive. Running it again goes on where it ended and stores nothing twice."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        size = file.stat().st_size
        _refuse_what_is_no_archive(file)
        with service_at(url, api_key, patient=True) as client:
            client.ready()
            with Progress(*columns, console=console) as progress:
                task = progress.add_task("Sending", total=size)
                content = _FileContent(file, lambda sent: progress.update(task, completed=sent))
                report = client.send_archive(content, gallery=gallery, size=size)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from error
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _show(report)
    if report.failed or not report.complete:
        typer.echo(f"{report.failed} could not be stored; running again retries only those.", err=True)
        raise typer.Exit(1)


def _refuse_what_is_no_archive(file: Path) -> None:
    """Look at the first header, so that nothing of a wrong file is sent.

    Raises:
        CommandError: the file does not begin as a plain tar archive does.
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        block = content.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise CommandError(f"{file} is no plain tar archive; `tfclip pack` writes one") from error


class _FileContent:
    """A file's bytes, from its beginning whenever somebody goes through them."""

    def __init__(self, path: Path, on_sent: Callable[[int], None]) -> None:
        self._path = path
        self._on_sent = on_sent

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
                sent += len(piece)
                self._on_sent(sent)


def _show(report: "BatchReport") -> None:
    rows = [
        ("created", str(report.created)),
        ("already there", str(report.existing)),
        ("failed", str(report.failed)),
    ]
    print_table(("tracklets", "count"), rows)
    if report.problem is not None:
        typer.echo(f"the archive: {report.problem.detail}")
    if report.unlisted:
        typer.echo(f"not in the manifest: {report.unlisted} members, for example {report.unlisted_examples[0]}")
    failures = [item for item in report.items if item.problem is not None]
    for item in failures[:_SHOWN_FAILURES]:
        assert item.problem is not None
        typer.echo(f"failed: line {item.line}, {item.external_id or 'no external id'}: {item.problem.detail}")
    if len(failures) > _SHOWN_FAILURES:
        typer.echo(f"... and {len(failures) - _SHOWN_FAILURES} more; --json names them all.")
