"""`tfclip cameras` and `tfclip transits`: where cameras are, how wrong their clocks are, and the ways between them."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.tables import print_fields, print_list, print_table

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.client.wire.galleries import Camera, Transits

DEFAULT_GALLERY = "default"

Name = Annotated[str, typer.Argument(metavar="NAME", help="As tracklets name it.")]


class Field(StrEnum):
    """What can be taken back."""

    PLACE = "place"
    POSITION = "position"


_FIELDS = {Field.PLACE: ("place",), Field.POSITION: ("latitude", "longitude")}


def register(app: typer.Typer) -> None:
    """Add `tfclip cameras list|set|delete` and `tfclip transits show|set`."""
    cameras = typer.Typer(no_args_is_help=True, help="The cameras of a gallery.")
    cameras.command("list")(list_cameras)
    cameras.command("set")(set_camera)
    cameras.command("delete")(delete_camera)
    app.add_typer(cameras, name="cameras")
    transits = typer.Typer(no_args_is_help=True, help="How long the ways between cameras take.")
    transits.command("show")(show_transits)
    transits.command("set")(set_transits)
    app.add_typer(transits, name="transits")


def list_cameras(
    gallery: Gallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List a gallery's cameras."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_cameras(gallery),
            as_json,
            ("camera", "place", "latitude, longitude", "time offset (s)", "tracklets"),
            lambda c: (c.name, c.place, _position(c), f"{c.time_offset_seconds:g}", c.tracklets),
        )


def set_camera(
    name: Name,
    gallery: Gallery = None,
    place: Annotated[str | None, typer.Option(help="Where it is.")] = None,
    latitude: Annotated[
        float | None, typer.Option(min=-90, max=90, help="Degrees north of the equator; with --longitude.")
    ] = None,
    longitude: Annotated[
        float | None, typer.Option(min=-180, max=180, help="Degrees east of Greenwich; with --latitude.")
    ] = None,
    time_offset_seconds: Annotated[
        float | None, typer.Option(help="Added to its times wherever times are compared.")
    ] = None,
    clear: Annotated[list[Field] | None, typer.Option(help="Take this back; repeat for both.")] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say something of a camera, and make it if it is new; what is not given stays as it is."""
    given = {
        "place": place,
        "latitude": latitude,
        "longitude": longitude,
        "time_offset_seconds": time_offset_seconds,
    }
    cleared = {field: None for one in clear or () for field in _FIELDS[one]}
    for field in cleared:
        if given[field] is not None:
            raise typer.BadParameter(f"--{field} is given, too", param_hint="--clear")
    with service_at(url, api_key) as client:
        before = _find(client, gallery or DEFAULT_GALLERY, name)
        said = before.model_dump(include=set(given)) if before else {}
        said |= {field: value for field, value in given.items() if value is not None} | cleared
        # What somebody else says of it meanwhile must not be put back to what it was.
        version = before.version if before else None
        camera = client.put_camera(gallery or DEFAULT_GALLERY, name, **said, version=version, new=before is None)
    print_fields(camera.model_dump(mode="json"), as_json)


def delete_camera(
    name: Name, gallery: Gallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Delete a camera that no tracklet names."""
    with service_at(url, api_key) as client:
        client.delete_camera(gallery or DEFAULT_GALLERY, name)
    if as_json:
        print_json({"deleted": name})
    else:
        typer.echo(f"deleted {name}")


def show_transits(
    gallery: Gallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show how long the ways between cameras take; with --json as `tfclip transits set` takes it."""
    with service_at(url, api_key) as client:
        _show(client.get_transits(gallery or DEFAULT_GALLERY), as_json)


def set_transits(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON: cameras, and matrices min_seconds and max_seconds.")
    ],
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say how long all the ways between cameras take; what was said before is forgotten."""
    from pydantic import ValidationError

    from service.client.wire.galleries import Transits

    try:
        transits = Transits.model_validate_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise CommandError(
            f"{file} is no matrix of transit times: {where + ': ' if where else ''}{fault['msg']}"
        ) from error
    with service_at(url, api_key) as client:
        _show(client.put_transits(gallery or DEFAULT_GALLERY, transits), as_json)


def _find(client: "TfclipClient", gallery: str, name: str) -> "Camera | None":
    """The camera, or None when there is none yet."""
    from service.client.errors import ApiProblem

    try:
        return client.get_camera(gallery, name)
    except ApiProblem as problem:
        if problem.code != "not_found":
            raise
        return None


def name_unknown(client: "TfclipClient", gallery: str | None, names: Sequence[str]) -> None:
    """Say on standard error which of these cameras the gallery does not have: nothing passes by a misspelt name."""
    known = {camera.name for camera in client.list_cameras(gallery)} if names else set()
    unknown = ", ".join(repr(name) for name in dict.fromkeys(names) if name not in known)
    if unknown:
        gallery = gallery or DEFAULT_GALLERY
        typer.echo(
            f"gallery {gallery} has no camera {unknown}; see `tfclip cameras list --gallery {gallery}`", err=True
        )


def _position(camera: "Camera") -> str | None:
    return None if camera.latitude is None else f"{camera.latitude}, {camera.longitude}"


def _show(transits: "Transits", as_json: bool) -> None:
    if as_json:
        print_json(transits.model_dump(mode="json"))
        return
    rows = []
    for row, origin in enumerate(transits.cameras):
        for column, destination in enumerate(transits.cameras):
            longest = transits.max_seconds[row][column]
            bound = "-" if longest is None else f"{longest:g}"
            rows.append((origin, destination, f"{transits.min_seconds[row][column]:g}", bound))
    print_table(("from", "to", "at least (s)", "at most (s)"), rows)
