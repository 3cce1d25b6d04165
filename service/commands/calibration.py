"""`tfclip calibrate` and `tfclip calibrations`: what scores of a gallery mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model.cli import CommandError, console, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.tables import print_list, print_table

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.client.wire import Job
    from service.client.wire.calibration import Calibration, Rate

CalibrationId = Annotated[str, typer.Argument(metavar="ID", help="As `tfclip calibrations list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip calibrate` and `tfclip calibrations list|show|delete`."""
    app.command("calibrate")(calibrate)
    group = typer.Typer(no_args_is_help=True, help="What scores of a gallery mean.")
    group.command("list")(list_calibrations)
    group.command("show")(show)
    group.command("delete")(delete)
    app.add_typer(group, name="calibrations")


def calibrate(
    gallery: Gallery = None,
    reference_gallery: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take labels from this gallery.", show_default="the gallery")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Store this folder IDENTITY/CAMERA/TRACKLET/FRAME in the reference gallery first."),
    ] = None,
    match_fpir: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Searches for someone absent answered `match`, at most.")
    ] = 0.01,
    possible_fpir: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="The same for `match` and `possible` together.")
    ] = 0.1,
    prior: Annotated[
        float | None, typer.Option(help="Share of pairs that is the same person.", show_default="counted from labels")
    ] = None,
    strangers: Annotated[
        bool, typer.Option("--strangers", help="No tracklet without identity is of a person who has one elsewhere.")
    ] = False,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Learn from tracklets with an identity what scores mean: probabilities of pairs, decisions of searches."""
    if root is not None and reference_gallery in (None, gallery or "default"):
        raise typer.BadParameter("name another gallery than the one to calibrate", param_hint="--reference-gallery")
    with service_at(url, api_key, patient=root is not None) as client:
        if root is not None:
            _store(client, root, reference_gallery)
        unlabelled: Literal["strangers"] | None = "strangers" if strangers else None
        job = client.calibrate(
            gallery,
            reference_gallery=reference_gallery,
            match_fpir=match_fpir,
            possible_fpir=possible_fpir,
            prior=prior,
            unlabelled=unlabelled,
        )
        job = _wait(client, job)
        made = client.calibration(gallery)
    if made is None or made.id != job.id:
        raise CommandError(f"calibration {job.id} was deleted, or another one took its place meanwhile")
    _print(made, as_json)


def list_calibrations(
    gallery: Gallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List a gallery's calibrations, newest first."""
    with service_at(url, api_key) as client:
        current = client.calibration(gallery)
        found = list(client.list_calibrations(gallery))

    def row(made: "Calibration") -> tuple[object, ...]:
        state = (made.reason or "stale") if made.stale else "in force" if current and made.id == current.id else None
        match, possible = (f"{one.threshold:.4f}" for one in (made.decisions.match, made.decisions.possible))
        return made.id, state, made.tracklets, match, possible, made.made_by, made.created_at

    print_list(found, as_json, ("id", "state", "tracklets", "match", "possible", "made by", "made"), row)


def show(
    calibration: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Such as an answer names.", show_default="the one in force"),
    ] = None,
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a calibration, or the one that a gallery's answers are judged by."""
    if calibration is not None and gallery is not None:
        raise typer.BadParameter("an ID says which gallery already", param_hint="--gallery")
    with service_at(url, api_key) as client:
        made = client.calibration(gallery) if calibration is None else client.get_calibration(calibration)
    if made is None:
        raise CommandError(f"gallery {gallery or 'default'} is not calibrated; tfclip calibrate does it")
    _print(made, as_json)


def delete(calibration: CalibrationId, url: Url = LOCAL_URL, api_key: ApiKey = None) -> None:
    """Forget a calibration; the one before it is in force again."""
    with service_at(url, api_key) as client:
        client.delete_calibration(calibration)
    typer.echo(f"calibration {calibration} deleted")


def _store(client: "TfclipClient", root: Path, gallery: str | None) -> None:
    from model.data.folder import FolderError, read_folder
    from service.client.uploading import UploadSummary
    from service.commands.ingest import upload_with_progress
    from service.commands.upload_sources import folder_uploads

    try:
        data = read_folder(root)
    except (FolderError, OSError) as error:
        raise CommandError(str(error)) from error
    summary = UploadSummary()
    upload_with_progress(client, folder_uploads(data, summary), summary, len(data.tracklets), gallery)
    if summary.failures:
        first = summary.failures[0]
        raise CommandError(
            f"{len(summary.failures)} tracklets could not be stored: {first.external_id}: {first.detail}"
        )


def _wait(client: "TfclipClient", job: "Job") -> "Job":
    from rich.progress import Progress

    with Progress(console=console) as progress:
        task = progress.add_task("Calibrating", total=job.total)
        job = client.wait_for_job(
            job.id, on_progress=lambda state: progress.update(task, completed=state.done, total=state.total)
        )
    if job.status != "succeeded":
        raise CommandError(f"{job.kind} {job.status}: {job.error or 'no reason given'}")
    return job


def _print(made: "Calibration", as_json: bool) -> None:
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    decisions = (("match", made.decisions.match), ("possible", made.decisions.possible))
    rows = [
        (name, f"{rates.threshold:.4f}", f"{rates.target_fpir:g}", _rate(rates.fpir), _rate(rates.fnir))
        for name, rates in decisions
    ]
    print_table(("decision", "from score", "wanted FPIR", "FPIR (95 %)", "FNIR (95 %)"), rows)
    pairs = made.probability
    parts = [(f"{part.probability:.3f}", f"{part.same:.3f}", str(part.pairs)) for part in pairs.parts]
    print_table(("probability", "was the same", "pairs"), parts)
    typer.echo(
        f"Brier {_rate(pairs.brier)}, of the prior alone {pairs.brier_of_prior:.4f}; expected calibration error "
        f"{_rate(pairs.expected_calibration_error)}; "
        f"prior {pairs.prior:.6f}{', counted' if pairs.prior_counted else ''}"
    )
    labels = made.labels
    typer.echo(
        f"calibration {made.id}: {labels.searches} searches by {labels.identities} people, {labels.pairs} pairs of one "
        f"person, {labels.people_compared} people compared and {labels.people_beyond:g} beyond; for a gallery of "
        f"{made.tracklets} tracklets, model {made.model_id[:12]}"
    )
    if made.stale:
        typer.echo(f"stale: {made.reason}; run tfclip calibrate again", err=True)


def _rate(rate: "Rate") -> str:
    return f"{rate.value:.4f} ({rate.low:.4f} to {rate.high:.4f})"
