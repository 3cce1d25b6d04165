"""`tfclip tracklets`: look at what is stored, change what is known of it, and delete it."""

from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, parse_labels, service_at
from service.commands.histories import print_history
from service.commands.tables import print_fields, print_list

if TYPE_CHECKING:
    from service.client.wire import Tracklet

TrackletId = Annotated[str, typer.Argument(metavar="ID", help="The tracklet's id.")]


class Field(StrEnum):
    """What can be taken back."""

    IDENTITY = "identity"
    LABELS = "labels"


def register(app: typer.Typer) -> None:
    """Add `tfclip tracklets list|show|history|set|delete`."""
    group = typer.Typer(no_args_is_help=True, help="The tracklets that the service holds.")
    group.command("list")(list_tracklets)
    group.command("show")(show_tracklet)
    group.command("history")(show_history)
    group.command("set")(set_tracklet)
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
        print_list(
            islice(client.list_tracklets(gallery, page_size=min(limit, 500)), limit),
            as_json,
            ("tracklet", "camera", "identity", "frames", "identity switch", "external id"),
            lambda t: (t.id, t.camera_id, t.identity, t.frame_count, _switch(t), t.external_id),
        )


def show_tracklet(tracklet: TrackletId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything about one tracklet."""
    with service_at(url, api_key) as client:
        found = client.get_tracklet(tracklet)
    print_fields(found.model_dump(mode="json"), as_json)


def show_history(
    tracklet: TrackletId,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show who gave a tracklet to whom, and what was decided of it; also of one that was deleted."""
    with service_at(url, api_key) as client:
        print_history(islice(client.tracklet_history(tracklet), limit), as_json)


def set_tracklet(
    tracklet: TrackletId,
    identity: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who it is: an identity by name, made by its first use.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A label to add or to change, repeat for more; VALUE is JSON or text."),
    ] = None,
    clear: Annotated[
        list[Field] | None, typer.Option(help="Take away its identity, or all labels but those given; repeat for both.")
    ] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change what is known of a tracklet; what is not given stays as it is."""
    cleared = set(clear or ())
    if identity is not None and Field.IDENTITY in cleared:
        raise typer.BadParameter("--identity is given, too", param_hint="--clear")
    changes: dict[str, Any] = {}
    if identity is not None or Field.IDENTITY in cleared:
        changes["identity"] = identity
    if label or Field.LABELS in cleared:
        changes["labels"] = parse_labels(label or ())
    if not changes:
        raise typer.BadParameter("nothing to change: give --identity, --label or --clear")
    with service_at(url, api_key) as client:
        if "labels" in changes and Field.LABELS not in cleared:
            before = client.get_tracklet(tracklet)
            # Labels that somebody else sets meanwhile must not be lost.
            changes |= {"labels": before.labels | changes["labels"], "version": before.version}
        changed = client.change_tracklet(tracklet, **changes)
    print_fields(changed.model_dump(mode="json"), as_json)


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


def _switch(tracklet: "Tracklet") -> str | None:
    flagged = tracklet.possible_identity_switch
    return None if flagged is None else "possible" if flagged else "no"
