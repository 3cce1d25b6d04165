"""`tfclip galleries`: make, describe and delete them."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from model.cli import CommandError
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Url, service_at
from service.commands.following import Wait, see_through
from service.commands.tables import print_fields, print_list

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `tfclip galleries list` shows it.")]
Description = Annotated[str | None, typer.Option(help="What it holds.")]
Purpose = Annotated[str | None, typer.Option(help="What it is for.")]
LegalBasis = Annotated[str | None, typer.Option(help="What allows it to be kept.")]
FrameCap = Annotated[
    int | None, typer.Option(min=1, help="Frames of a tracklet that are embedded.", show_default="TFCLIP_FRAME_CAP")
]


class Field(StrEnum):
    """What can be taken back."""

    DESCRIPTION = "description"
    PURPOSE = "purpose"
    LEGAL_BASIS = "legal-basis"
    FRAME_CAP = "frame-cap"


def register(app: typer.Typer) -> None:
    """Add `tfclip galleries list|show|create|set|delete`."""
    group = typer.Typer(no_args_is_help=True, help="Named sets of tracklets, each searched for itself.")
    group.command("list")(list_galleries)
    group.command("show")(show_gallery)
    group.command("create")(create_gallery)
    group.command("set")(set_gallery)
    group.command("delete")(delete_gallery)
    app.add_typer(group, name="galleries")


def list_galleries(url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the galleries, oldest first."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_galleries(),
            as_json,
            ("gallery", "purpose", "model", "generation", "created"),
            lambda g: (g.name, g.purpose, g.model_name, g.generation, g.created_at),
            leave_out={"statistics"},
        )


def show_gallery(name: Name, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything about one gallery, and how much it holds."""
    with service_at(url, api_key) as client:
        document = client.get_gallery(name).model_dump(mode="json")
    _show(document, as_json)


def create_gallery(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, - and _; at most 63.")],
    description: Description = None,
    purpose: Purpose = None,
    legal_basis: LegalBasis = None,
    frame_cap: FrameCap = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make an empty gallery; the first upload that names one makes it, too."""
    with service_at(url, api_key) as client:
        made = client.create_gallery(
            name, description=description, purpose=purpose, legal_basis=legal_basis, frame_cap=frame_cap
        )
    document = made.model_dump(mode="json", exclude={"statistics"})
    _show(document, as_json)


def set_gallery(
    name: Name,
    description: Description = None,
    purpose: Purpose = None,
    legal_basis: LegalBasis = None,
    frame_cap: FrameCap = None,
    clear: Annotated[list[Field] | None, typer.Option(help="Take this back; repeat for more.")] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change what is said of a gallery. Descriptors that are there stay as they are until `tfclip reindex`."""
    given = {"description": description, "purpose": purpose, "legal_basis": legal_basis, "frame_cap": frame_cap}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    for field in clear or ():
        cleared = field.value.replace("-", "_")
        if cleared in changes:
            raise typer.BadParameter(f"--{field.value} is given, too", param_hint="--clear")
        changes[cleared] = None
    if not changes:
        raise typer.BadParameter("nothing to change")
    with service_at(url, api_key) as client:
        document = client.change_gallery(name, changes).model_dump(mode="json", exclude={"statistics"})
    _show(document, as_json)


def delete_gallery(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Wait = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Delete a gallery with everything in it."""
    if not yes and not sys.stdin.isatty():
        raise CommandError(f"deleting gallery {name} needs a confirmation, and nobody can be asked here; give --yes")
    if not yes:
        typer.confirm(f"Delete gallery {name} with everything in it?", abort=True, err=True)
    with service_at(url, api_key) as client:
        see_through(client, client.delete_gallery(name), title="Deleting", wait=wait, as_json=as_json)


def _show(document: dict[str, Any], as_json: bool) -> None:
    """What is said of a gallery; on the terminal with its statistics and its index's in lines of their own."""
    if not as_json:
        statistics = document.pop("statistics", None) or {}
        index = statistics.pop("index", None) or {}
        document |= statistics | {f"index_{field}": value for field, value in index.items()}
    print_fields(document, as_json)
