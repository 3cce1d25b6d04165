"""`tfclip models`: which weights galleries can be indexed under."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Url, service_at
from service.commands.tables import print_fields, print_list

if TYPE_CHECKING:
    from service.client.wire import RegisteredModel


ModelId = Annotated[str, typer.Argument(metavar="ID", help="The model's id, as `tfclip models list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip models list|add|show|remove`."""
    models = typer.Typer(no_args_is_help=True, help="The models that galleries can be indexed under.")
    models.command("list")(list_models)
    models.command("add")(add_model)
    models.command("show")(show_model)
    models.command("remove")(remove_model)
    app.add_typer(models, name="models")


def list_models(url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the models, newest first."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_models(),
            as_json,
            ("id", "name", "", "serves", "registered"),
            lambda m: (m.id, m.name, _kind(m), ", ".join(m.galleries) or None, m.created_at),
        )


def add_model(
    weights: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A .safetensors file here, which is sent to the service.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead: a file that lies in the service's models/ already.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it, unless the file says.")] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register a weights file, so that galleries can be re-indexed to it."""
    if (weights is None) == (path is None):
        raise typer.BadParameter("give either FILE or --path NAME")
    with service_at(url, api_key) as client:
        if path is not None:
            model = client.add_model_at(path, name)
        else:
            assert weights is not None
            if not weights.is_file():
                raise CommandError(f"there is no file {weights}")
            from rich.progress import open as open_with_progress

            with open_with_progress(weights, "rb", description="Sending", console=console) as file:
                model = client.add_model(file, name or weights.stem)
    if as_json:
        print_json(model.model_dump(mode="json"))
    else:
        typer.echo(
            f"model {model.id} {model.name} ({_kind(model)}); tfclip reindex --model {model.id} moves a gallery to it"
        )


def show_model(model: ModelId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything about one model."""
    with service_at(url, api_key) as client:
        document = client.get_model(model).model_dump(mode="json")
    print_fields(document, as_json)


def remove_model(model: ModelId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Remove a model that no generation is of, with its weights."""
    with service_at(url, api_key) as client:
        client.remove_model(model)
    if as_json:
        print_json({"removed": model})
    else:
        typer.echo(f"removed {model}")


def _kind(model: "RegisteredModel") -> str:
    kinds = ["default"] if model.default else []
    kinds += ["demo" if model.demo else "trained" if model.trained else "untrained"]
    return ", ".join(kinds if model.available else [*kinds, "weights missing"])
