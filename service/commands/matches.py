"""`tfclip match` and `tfclip matches`: what people decide of pairs of tracklets."""

from itertools import islice
from typing import Annotated, Literal

import typer

from model.cli import CommandError, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.tables import print_list

DecisionId = Annotated[str, typer.Argument(metavar="ID", help="The decision, as `tfclip matches list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip match` and `tfclip matches list|show|undo`."""
    app.command("match")(match)
    group = typer.Typer(no_args_is_help=True, help="What was decided of pairs of tracklets.")
    group.command("list")(list_matches)
    group.command("show")(show_match)
    group.command("undo")(undo_match)
    app.add_typer(group, name="matches")


def match(
    one: Annotated[str, typer.Argument(metavar="ID", help="A tracklet.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Another tracklet of the gallery.", show_default=False)
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="ID", help="An identity in its place, as `tfclip identities list` shows it.")
    ] = None,
    same: Annotated[
        bool | None, typer.Option("--same/--different", help="Whether they are one person.", show_default=False)
    ] = None,
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Confirm or reject that a tracklet is the person of another one, or of an identity."""
    if same is None:
        raise CommandError("say --same or --different")
    if (other is None) == (identity is None):
        raise CommandError("give another tracklet or --identity, one of the two")
    with service_at(url, api_key) as client:
        decided = client.decide_match(
            one, "same" if same else "different", other_tracklet_id=other, identity_id=identity, gallery=gallery
        )
    if as_json:
        print_json(decided.model_dump(mode="json"))
        return
    if decided.identity_id is not None:
        typer.echo(f"{'both are' if identity is None else 'it is'} of identity {decided.identity_id}")
    else:
        typer.echo("no proposal will put them together")
    for decision in decided.items:
        typer.echo(f"decision {decision.id}; `tfclip matches undo {decision.id}` takes it back")


def list_matches(
    gallery: Gallery = None,
    verdict: Annotated[Literal["same", "different"] | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List what was decided in a gallery and not taken back."""
    with service_at(url, api_key) as client:
        print_list(
            islice(client.list_matches(gallery, verdict=verdict), limit),
            as_json,
            ("decision", "verdict", "tracklet", "tracklet", "by", "at"),
            lambda m: (m.id, m.verdict, *m.tracklet_ids, m.decided_by, m.at),
        )


def show_match(decision: DecisionId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show one decision."""
    with service_at(url, api_key) as client:
        found = client.get_match(decision).model_dump(mode="json")
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            typer.echo(f"{name:14} {' '.join(value) if isinstance(value, list) else value}")


def undo_match(decision: DecisionId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Take a decision back; what it put together comes apart again, unless somebody moved it since."""
    with service_at(url, api_key) as client:
        client.undo_match(decision)
    if as_json:
        print_json({"undone": decision})
    else:
        typer.echo(f"took {decision} back")
