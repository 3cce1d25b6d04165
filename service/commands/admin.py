"""`tfclip reindex` and `tfclip keys`: what an administrator does to a running service."""

from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.wire import Job


def register(app: typer.Typer) -> None:
    """Add `tfclip reindex` and `tfclip keys create|list|revoke`."""
    app.command("reindex")(reindex)
    keys = typer.Typer(no_args_is_help=True, help="API keys and what they may do.")
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")


def reindex(
    gallery: Gallery = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the job has ended.")] = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Build a gallery's index anew from the stored descriptors, while the old one goes on answering."""
    with service_at(url, api_key) as client:
        job = client.reindex(gallery)
        if wait:
            job = _follow(client, job)
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        count = f", {job.done} of {job.total} tracklets" if job.total is not None else ""
        typer.echo(f"job {job.id} {job.status}{count}")
    if wait and job.status != "succeeded":
        raise CommandError(f"re-index {job.status}: {job.error or 'no reason given'}")


def create_key(
    name: Annotated[str, typer.Argument(help="What or who uses it.")],
    scope: Annotated[list[str], typer.Option(help="read, write or admin; repeat for more.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, which is shown this once."""
    with service_at(url, api_key) as client:
        key = client.create_key(name, scope)
    if as_json:
        print_json(key.model_dump(mode="json"))
    else:
        typer.echo(f"key {key.id} ({', '.join(key.scopes)}); keep the secret, it is not shown again:", err=True)
        typer.echo(key.secret)


def list_keys(url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    with service_at(url, api_key) as client:
        keys = client.list_keys()
    if as_json:
        print_json({"items": [key.model_dump(mode="json") for key in keys]})
        return
    from service.commands.tables import moment, print_table

    rows = [(k.id, k.name, ", ".join(k.scopes), moment(k.created_at), moment(k.revoked_at)) for k in keys]
    print_table(("id", "name", "scopes", "created", "revoked"), rows)


def revoke_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `tfclip keys list` shows it.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take a key out of force, for good."""
    with service_at(url, api_key) as client:
        client.revoke_key(key)
    if as_json:
        print_json({"revoked": key})
    else:
        typer.echo(f"revoked {key}")


def _follow(client: "TfclipClient", job: "Job") -> "Job":
    from rich.progress import Progress

    with Progress(console=console) as progress:
        task = progress.add_task("Re-indexing", total=job.total)
        return client.wait_for_job(
            job.id, on_progress=lambda state: progress.update(task, completed=state.done, total=state.total)
        )
