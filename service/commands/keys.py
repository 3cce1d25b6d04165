"""`tfclip keys`: who may do what."""

from typing import Annotated

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Url, service_at


def register(app: typer.Typer) -> None:
    """Add `tfclip keys create|list|revoke`."""
    keys = typer.Typer(no_args_is_help=True, help="API keys and what they may do.")
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")


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
