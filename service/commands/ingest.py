"""`tfclip ingest`: tracklets from a folder data set, from a video and its tracks, or from an archive."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json
from service.commands.archives import ingest_archive
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, parse_time, service_at
from service.commands.tables import print_table

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.client.uploading import Upload, UploadSummary

Workers = Annotated[int, typer.Option(min=1, max=64, help="Uploads under way at a time.")]
_SHOWN_FAILURES = 10


def register(app: typer.Typer) -> None:
    """Add `tfclip ingest folder`, `tfclip ingest video` and `tfclip ingest archive`."""
    group = typer.Typer(no_args_is_help=True, help="Store tracklets in the service.")
    group.command("folder")(ingest_folder)
    group.command("video")(ingest_video)
    group.command("archive")(ingest_archive)
    app.add_typer(group, name="ingest")


def ingest_folder(
    root: Annotated[Path, typer.Argument(help="A folder IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}.")],
    gallery: Gallery = None,
    workers: Workers = 4,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Store a folder data set. Running it again stores nothing twice: the external id is IDENTITY/CAMERA/TRACKLET."""
    from model.data.folder import FolderError, read_folder
    from service.client.uploading import UploadSummary
    from service.commands.upload_sources import folder_uploads

    try:
        data = read_folder(root)
    except (FolderError, OSError) as error:
        raise CommandError(str(error)) from error
    summary = UploadSummary()
    with service_at(url, api_key, patient=True) as client:
        upload_with_progress(client, folder_uploads(data, summary), summary, len(data.tracklets), gallery, workers)
    _finish(summary, as_json)


def ingest_video(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    tracks: Annotated[Path, typer.Option(help="Its tracks: lines frame,id,left,top,width,height (MOTChallenge).")],
    camera: Annotated[str, typer.Option(help="The camera that took it.")],
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="Frames per second, where the video's own are wrong.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first frame (ISO 8601; UTC without an offset). Gives tracklets times."),
    ] = None,
    min_frames: Annotated[int, typer.Option(min=1, help="Skip tracks with fewer boxes inside the picture.")] = 8,
    gallery: Gallery = None,
    workers: Workers = 4,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Cut each track of a video into a tracklet and store it. The external id is CAMERA/VIDEO FILE NAME/TRACK."""
    from service.client.uploading import UploadSummary
    from service.commands.upload_sources import FRAMES_PER_TRACKLET, video_uploads
    from service.ingest.tracks import TracksError, read_tracks
    from service.ingest.video import CutOptions, VideoError

    options = CutOptions(min_frames, FRAMES_PER_TRACKLET, fps, parse_time(start))
    summary = UploadSummary()
    try:
        boxes = read_tracks(tracks)
        with service_at(url, api_key, patient=True) as client:
            uploads = video_uploads(video, boxes, camera, options, summary)
            upload_with_progress(client, uploads, summary, len(boxes), gallery, workers)
    except (TracksError, VideoError) as error:
        raise CommandError(str(error)) from error
    _finish(summary, as_json)


def upload_with_progress(
    client: "TfclipClient",
    uploads: Iterable["Upload"],
    summary: "UploadSummary",
    total: int,
    gallery: str | None = None,
    workers: int = 4,
) -> None:
    """Store every tracklet under a progress bar on standard error; `summary` counts what became of each.

    Raises:
        CommandError: the service stopped answering; the message says how many tracklets were stored before.
        ApiProblem: the key does not allow uploads.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from service.client.errors import UnreachableError
    from service.client.uploading import upload_all

    client.ready()  # A service that is not there is told at once, not after the patience of the uploads.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Storing tracklets", total=total)
        advance: Callable[[], None] = lambda: progress.advance(task)  # noqa: E731
        try:
            upload_all(client, uploads, summary, gallery=gallery, workers=workers, on_done=advance)
        except UnreachableError as error:
            done = summary.stored + summary.already_there
            raise CommandError(f"{error}; {done} of {total} tracklets are stored, run again for the rest") from error


def _finish(summary: "UploadSummary", as_json: bool) -> None:
    if as_json:
        print_json(summary.to_dict())
    else:
        _show(summary)
    if summary.failures:
        typer.echo(f"{len(summary.failures)} could not be stored; running again retries only those.", err=True)
        raise typer.Exit(1)


def _show(summary: "UploadSummary") -> None:
    rows = [("stored", "", str(summary.stored)), ("already there", "", str(summary.already_there))]
    rows += [("skipped", reason, str(number)) for reason, number in sorted(summary.skipped.items())]
    rows += [("failed", reason, str(number)) for reason, number in sorted(summary.failed().items())]
    print_table(("tracklets", "reason", "count"), rows)
    if summary.thinned:
        typer.echo(f"{summary.thinned} were longer than one upload may be: frames spread evenly over them were sent.")
    for note in summary.notes:
        typer.echo(note)
    for failure in summary.failures[:_SHOWN_FAILURES]:
        typer.echo(f"failed: {failure.external_id}: {failure.detail}")
    if len(summary.failures) > _SHOWN_FAILURES:
        typer.echo(f"... and {len(summary.failures) - _SHOWN_FAILURES} more; --json names them all.")
