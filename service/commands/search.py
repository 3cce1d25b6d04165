"""`tfclip search`: where else was this person?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model.caution import caution
from model.cli import CommandError, print_json
from service.commands.cameras import name_unknown
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, parse_labels, parse_time, service_at
from service.commands.queries import read_query
from service.commands.tables import moment, print_table

if TYPE_CHECKING:
    from service.client.wire import Match, Ranking

Combine = Literal["mean", "max"]
ExportFormat = Literal["csv", "json", "png"]


def register(app: typer.Typer) -> None:
    """Add `tfclip search`."""
    app.command("search")(search)


def search(
    query: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...", help="The tracklet to look for elsewhere; several of one person; or a folder of frames."
        ),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="How many results: up to 1000, more with --export.")] = 20,
    gallery: Gallery = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat for more.")] = None,
    exclude_camera: Annotated[list[str] | None, typer.Option(help="Not this camera; repeat for more.")] = None,
    exclude_query_camera: Annotated[bool, typer.Option("--exclude-query-camera", help="Only other cameras.")] = False,
    started_after: Annotated[str | None, typer.Option(help="ISO 8601; UTC without an offset.")] = None,
    ended_before: Annotated[str | None, typer.Option(help="ISO 8601; UTC without an offset.")] = None,
    identity: Annotated[list[str] | None, typer.Option(help="Only this person; repeat for more.")] = None,
    identity_known: Annotated[
        bool | None, typer.Option("--known/--unknown", help="Only tracklets with an identity, or only those without.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only with this label; VALUE is JSON or text.")
    ] = None,
    min_frames: Annotated[int | None, typer.Option(min=1, help="Only tracklets of so many frames.")] = None,
    min_score: Annotated[float | None, typer.Option(min=-1, max=1, help="Least cosine similarity.")] = None,
    min_time_gap_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Only tracklets that ended so long before the query, or began so long after."),
    ] = None,
    feasible_transit: Annotated[
        bool,
        typer.Option("--feasible-transit", help="Only what the same walking person could be: see `tfclip transits`."),
    ] = False,
    negative: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A tracklet of somebody else; repeat for more.")
    ] = None,
    query_camera: Annotated[str | None, typer.Option(help="Which camera saw the frames of the folder.")] = None,
    query_started_at: Annotated[
        str | None, typer.Option(help="When the first of these frames was seen: ISO 8601; UTC without an offset.")
    ] = None,
    query_ended_at: Annotated[str | None, typer.Option(help="When the last of them was.")] = None,
    combine: Annotated[
        Combine, typer.Option(help="Several tracklets: similarity to their mean, or to the most similar one.")
    ] = "mean",
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")] = False,
    rerank_top: Annotated[int | None, typer.Option(min=1, help="How many rows to re-rank.", show_default="200")] = None,
    rerank_k1: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="Neighbours that may be mutual: about as many as a person has.", show_default="20"
        ),
    ] = None,
    rerank_k2: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Nearest whose neighbourhoods are averaged.", show_default="6"),
    ] = None,
    rerank_lambda: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the plain distance in the re-ranked one.", show_default="0.3"),
    ] = None,
    expand: Annotated[
        int | None, typer.Option(min=1, max=100, help="Re-rank by the mean of the query and so many of its nearest.")
    ] = None,
    by_identity: Annotated[
        bool, typer.Option("--by-identity", help="Only the best tracklet of each identity.")
    ] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier answer: its next_cursor.")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a .csv, .json or .png file instead.")
    ] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Rank a gallery against a stored tracklet, or several, which are never in their own ranking, or against frames."""
    from service.client import SearchOptions

    kind = _kind(export) if export is not None else None
    options = SearchOptions(
        k=k,
        gallery=gallery,
        camera_id=camera or (),
        exclude_camera_id=exclude_camera or (),
        exclude_query_camera=exclude_query_camera or None,
        started_after=parse_time(started_after),
        ended_before=parse_time(ended_before),
        identity=identity or (),
        identity_known=identity_known,
        labels=parse_labels(label) if label else None,
        min_frames=min_frames,
        min_score=min_score,
        min_time_gap_seconds=min_time_gap_seconds,
        feasible_transit=feasible_transit or None,
        rerank="k_reciprocal" if rerank else None,
        rerank_top=rerank_top,
        rerank_k1=rerank_k1,
        rerank_k2=rerank_k2,
        rerank_lambda=rerank_lambda,
        expand=expand,
        group_by="identity" if by_identity else None,
        cursor=cursor,
        query_camera_id=query_camera,
        query_started_at=parse_time(query_started_at),
        query_ended_at=parse_time(query_ended_at),
    )
    sighting = {
        "--query-camera": query_camera,
        "--query-started-at": query_started_at,
        "--query-ended-at": query_ended_at,
    }
    ids, frames = _asked(query, negative or [], [option for option, given in sighting.items() if given is not None])
    cameras = [*(camera or ()), *(exclude_camera or ())]
    with service_at(url, api_key) as client:
        if export is not None and kind is not None:
            if frames:
                content = client.export_search_frames(frames, kind, options)
            elif len(ids) > 1 or negative:
                content = client.export_search_examples(ids, kind, negative or (), options, combine=combine)
            else:
                content = client.export_search(ids[0], kind, options)
            name_unknown(client, gallery, cameras)
            _write(export, content)
            if as_json:
                print_json({"file": str(export), "bytes": len(content)})
            else:
                typer.echo(f"wrote {export}, {len(content)} bytes")
            return
        if frames:
            ranking = client.search_frames(frames, options)
        elif len(ids) > 1 or negative:
            ranking = client.search_examples(ids, negative or (), options, combine=combine)
        else:
            ranking = client.search(ids[0], options)
        name_unknown(client, gallery, cameras)
    if as_json:
        print_json(ranking.model_dump(mode="json"))
    else:
        _show(ranking)


def _asked(query: list[str], negative: list[str], sighting: list[str]) -> tuple[list[str], list[bytes]]:
    """The ids, or the frames of a folder, which stands alone. `sighting`: the options given that only frames have."""
    asked = [read_query(one) for one in query]
    ids = [one for one in asked if isinstance(one, str)]
    if len(ids) < len(asked) and (len(asked) > 1 or negative):
        raise typer.BadParameter("a folder of frames stands alone, without ids and --negative", param_hint="ID")
    if ids and sighting:
        raise typer.BadParameter("only with a folder of frames; stored tracklets have theirs", param_hint=sighting)
    return ids, [frame for one in asked if not isinstance(one, str) for frame in one]


def _kind(file: Path) -> ExportFormat:
    kinds: dict[str, ExportFormat] = {".csv": "csv", ".json": "json", ".png": "png"}
    if file.suffix.lower() not in kinds:
        raise typer.BadParameter(f"{file}: expected a name that ends in .csv, .json or .png", param_hint="--export")
    return kinds[file.suffix.lower()]


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error


def _score(match: "Match") -> str:
    distance = "" if match.rerank_distance is None else f" / {match.rerank_distance:.4f}"
    return f"{match.score:.4f}{distance}"


_UNDECIDED = {
    "several_examples": "a calibration says what the scores of one tracklet mean, not those of several",
    "min_score": "--min-score hides tracklets that would decide",
}
"""What is worth saying in a gallery that is calibrated."""


def _show(ranking: "Ranking") -> None:
    judged = any(match.probability is not None for match in ranking.results)
    rows = [
        (
            str(match.rank),
            _score(match),
            *(["-" if match.probability is None else f"{match.probability:.4f}"] if judged else []),
            match.identity or "-",
            match.camera_id,
            moment(match.started_at),
            moment(match.ended_at),
            match.tracklet_id,
        )
        for match in ranking.results
    ]
    score = "score" if ranking.rerank is None else "score / distance"
    chance = ["probability"] if judged else []
    print_table(("rank", score, *chance, "identity", "camera", "started", "ended", "tracklet"), rows)
    model = ranking.model
    by = f"model {f'{model.name} ' if model else ''}{ranking.model_id[:12]}, generation {ranking.generation}"
    typer.echo(f"{len(rows)} results in {ranking.took_ms:.1f} ms, {by}")
    if ranking.rerank is not None:
        typer.echo(f"re-ranked {ranking.rerank.top} rows in {ranking.rerank.took_ms:.1f} ms")
    if ranking.next_cursor is not None:
        typer.echo(f"more with --cursor {ranking.next_cursor}")
    if ranking.decision is not None:
        typer.echo(f"decision: {ranking.decision}")
    elif ranking.calibration is not None and ranking.calibration.stale:
        typer.echo(f"no decision, the calibration is stale: {ranking.calibration.reason}", err=True)
    elif ranking.undecided_because in _UNDECIDED:
        typer.echo(f"no decision, {_UNDECIDED[ranking.undecided_because]}", err=True)
    said = caution(trained=model.trained, demo=model.demo) if model else None
    if said is not None:
        typer.echo(f"answered by {said}", err=True)
