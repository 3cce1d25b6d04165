"""`tfclip evidence` and `tfclip purity`: what an answer rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Url, service_at
from service.commands.tables import print_table

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.client.wire.evidence import Evidence


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("evidence")(evidence)
    app.command("purity")(purity)


def evidence(
    tracklet: Annotated[str, typer.Argument(metavar="ID", help="A stored tracklet, say the query of a search.")],
    other: Annotated[str, typer.Argument(metavar="OTHER_ID", help="Another one of its gallery, say a result.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a PNG sheet: both tracklets' frames, how alike, and where it looked.")
    ] = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compare two tracklets frame by frame."""
    with service_at(url, api_key) as client:
        found = client.evidence(tracklet, other)
        if out is not None:
            _write_sheet(client, found, out)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    rows = [
        (str(position), *(f"{one:.2f}" for one in row))
        for position, row in zip(found.frames, found.similarities, strict=True)
    ]
    print_table(("frame", *map(str, found.other_frames)), rows, title=f"{tracklet} down, {other} across")
    pair = found.best_pair
    typer.echo(
        f"score {found.score:.4f}; most alike: frame {pair.position} and frame {pair.other_position}, "
        f"{pair.similarity:.4f}; model {found.model_id[:12]}"
    )


def purity(
    tracklet: Annotated[str, typer.Argument(metavar="ID", help="The stored tracklet to look into.")],
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Look for an identity switch inside a tracklet: frames that are of two people."""
    with service_at(url, api_key) as client:
        found = client.purity(tracklet)
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif found.purity is None or found.split is None:
        typer.echo(f"too few frames to say: {len(found.frames)}")
    else:
        verdict = "a possible identity switch" if found.possible_identity_switch else "no sign of an identity switch"
        typer.echo(
            f"purity {found.purity:.2f}, {verdict} (flagged below {found.min_purity:g}); frames up to "
            f"{found.split.after_position} differ most from those from {found.split.before_position} on"
        )


def _write_sheet(client: "TfclipClient", found: "Evidence", out: Path) -> None:
    from PIL import UnidentifiedImageError

    from service.commands.evidence_sheet import draw_sheet

    sides = ((found.tracklet_id, found.frames), (found.other_id, found.other_frames))
    frames, others = ([client.frame(one, position) for position in positions] for one, positions in sides)
    pair = found.best_pair
    looked = [
        client.attention_picture(found.tracklet_id, pair.position),
        client.attention_picture(found.other_id, pair.other_position),
    ]
    try:
        sheet = draw_sheet(found, frames, others, looked)
    except UnidentifiedImageError as error:
        raise CommandError(f"what came back for a frame is no image: {error}") from error
    try:
        sheet.save(out, "PNG")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror or error}") from error
