"""`tfclip search`: where else was this person?"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.caution import caution
from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, parse_time, service_at

if TYPE_CHECKING:
    from service.wire import Ranking


def register(app: typer.Typer) -> None:
    """Add `tfclip search`."""
    app.command("search")(search)


def search(
    query: Annotated[str, typer.Argument(metavar="ID", help="The stored tracklet to look for elsewhere.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many results.")] = 20,
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
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Rank a gallery against a stored tracklet, which is never in its own ranking."""
    from service.client import SearchOptions

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
        labels=_labels(label) if label else None,
        min_frames=min_frames,
        min_score=min_score,
        min_time_gap_seconds=min_time_gap_seconds,
        feasible_transit=feasible_transit or None,
    )
    with service_at(url, api_key) as client:
        ranking = client.search(query, options)
    if as_json:
        print_json(ranking.model_dump(mode="json"))
    else:
        _show(ranking)


def _labels(given: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` each; what is not JSON is a text."""
    labels: dict[str, Any] = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{one!r}: expected KEY=VALUE", param_hint="--label")
        try:
            labels[key] = json.loads(value)
        except ValueError:
            labels[key] = value
    return labels


def _show(ranking: "Ranking") -> None:
    from service.commands.tables import moment, print_table

    rows = [
        (
            str(match.rank),
            f"{match.score:.4f}",
            match.identity or "-",
            match.camera_id,
            moment(match.started_at),
            moment(match.ended_at),
            match.tracklet_id,
        )
        for match in ranking.results
    ]
    print_table(("rank", "score", "identity", "camera", "started", "ended", "tracklet"), rows)
    model = ranking.model
    by = f"model {f'{model.name} ' if model else ''}{ranking.model_id[:12]}, generation {ranking.generation}"
    typer.echo(f"{len(rows)} results in {ranking.took_ms:.1f} ms, {by}")
    said = caution(trained=model.trained, demo=model.demo) if model else None
    if said is not None:
        typer.echo(f"answered by {said}", err=True)
