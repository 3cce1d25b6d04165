"""`tfclip tracklets`: look at what is stored, and delete it."""

from itertools import islice
from typing import Annotated

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at

TrackletId = Annotated[str, typer.Argument(metavar="ID", help="The tracklet's id.")]

_SWITCH = {True: "possible", False: "no", None: "-"}


def register(app: typer.Typer) -> None:
    """Add `tfclip tracklets list|show|delete`."""
    group = typer.Typer(no_args_is_help=True, help="The tracklets that the service holds.")
    group.command("list")(list_tracklets)
    group.command("show")(show_tracklet)
    group.command("delete")(delete_tracklet)
    app.add_typer(group, name="tracklets")


def list_tracklets(
    gallery: Gallery = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List a gallery's newest tracklets."""
    with service_at(url, api_key) as client:
        found = list(islice(client.list_tracklets(gallery, page_size=min(limit, 500)), limit))
    if as_json:
        print_json({"items": [tracklet.model_dump(mode="json") for tracklet in found]})
        return
    from service.commands.tables import print_table

    rows = [
        (
            t.id,
            t.camera_id,
            t.identity or "-",
            str(t.frame_count),
            _SWITCH[t.possible_identity_switch],
            t.external_id or "-",
        )
        for t in found
    ]
    print_table(("tracklet", "camera", "identity", "frames", "identity switch", "external id"), rows)


def show_tracklet(tracklet: TrackletId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything about one tracklet."""
    with service_at(url, api_key) as client:
        found = client.get_tracklet(tracklet)
    document = found.model_dump(mode="json")
    if as_json:
        print_json(document)
    else:
        for name, value in document.items():
            typer.echo(f"{name:14} {value}")


def delete_tracklet(
    tracklet: TrackletId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Delete one tracklet; no search finds it from then on."""
    with service_at(url, api_key) as client:
        client.delete_tracklet(tracklet)
    if as_json:
        print_json({"deleted": tracklet})
    else:
        typer.echo(f"deleted {tracklet}")
