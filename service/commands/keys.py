"""`tfclip keys`: who may do what."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli import CommandError, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Url, service_at
from service.commands.tables import print_list

if TYPE_CHECKING:
    from service.client.wire import Key

Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `tfclip keys list` shows it.")]
RequestsPerMinute = Annotated[
    int | None, typer.Option(min=0, help="Requests it may send in a minute; 0: no limit.", show_default="the service's")
]
MaxTracklets = Annotated[
    int | None, typer.Option(min=0, help="Tracklets it may store; 0: no limit.", show_default="the service's")
]


def register(app: typer.Typer) -> None:
    """Add `tfclip keys create|list|change|revoke`."""
    keys = typer.Typer(no_args_is_help=True, help="API keys and what they may do.")
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("change")(change_key)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")


def create_key(
    name: Annotated[str, typer.Argument(help="What or who uses it.")],
    scope: Annotated[list[str], typer.Option(help="read, write or admin; repeat for more.")],
    requests_per_minute: RequestsPerMinute = None,
    max_tracklets: MaxTracklets = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, which is shown this once."""
    with service_at(url, api_key) as client:
        key = client.create_key(name, scope, requests_per_minute=requests_per_minute, max_tracklets=max_tracklets)
    if as_json:
        print_json(key.model_dump(mode="json"))
    else:
        typer.echo(f"key {key.id} ({', '.join(key.scopes)}); keep the secret, it is not shown again:", err=True)
        typer.echo(key.secret)


def list_keys(url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_keys(),
            as_json,
            ("id", "name", "scopes", "created", "revoked", "tracklets"),
            lambda k: (k.id, k.name, ", ".join(k.scopes), k.created_at, k.revoked_at, _stored(k)),
        )


def change_key(
    key: Id,
    name: Annotated[str | None, typer.Option(help="What or who uses it.")] = None,
    requests_per_minute: RequestsPerMinute = None,
    max_tracklets: MaxTracklets = None,
    defaults: Annotated[bool, typer.Option(help="Take the service's defaults for the limits not given.")] = False,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change a key's name or limits."""
    limits = {"requests_per_minute": requests_per_minute, "max_tracklets": max_tracklets}
    changes: dict[str, Any] = {} if name is None else {"name": name}
    changes |= {limit: value for limit, value in limits.items() if defaults or value is not None}
    if not changes:
        raise CommandError("nothing to change: give --name, --requests-per-minute, --max-tracklets or --defaults")
    with service_at(url, api_key) as client:
        changed = client.change_key(key, **changes)
    if as_json:
        print_json(changed.model_dump(mode="json"))
    else:
        said = [] if name is None else [f"name {changed.name}"]
        for limit in limits:
            value = getattr(changed, limit)
            said.append(f"{limit} {'default' if value is None else value}")
        typer.echo(f"changed {key}: {', '.join(said)}")


def revoke_key(
    key: Id,
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


def _stored(key: "Key") -> str:
    return f"{key.tracklets} of {key.max_tracklets}" if key.max_tracklets else str(key.tracklets)
