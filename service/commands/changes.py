"""`tfclip changes`: what happened in a gallery, one line each."""

from typing import Annotated

import typer

from service.commands.connection import LOCAL_URL, ApiKey, Gallery, Url, service_at


def register(app: typer.Typer) -> None:
    """Add `tfclip changes`."""
    app.command("changes")(changes)


def changes(
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until it is stopped.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only changes after this number.")] = 0,
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on each line.")] = False,
) -> None:
    """Print a gallery's changes in order: number, what was done, the tracklet, and when."""
    with service_at(url, api_key, patient=follow) as client:
        for change in client.changes(gallery, after=after, follow=follow):
            if as_json:
                typer.echo(change.model_dump_json())
            else:
                at = change.at.isoformat(timespec="seconds")
                typer.echo(f"{change.number:>10}  {change.kind:7}  {change.tracklet_id}  {at}")
