"""`tfclip verify`: are these two the same person?"""

from typing import Annotated

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.queries import read_query

Side = Annotated[str, typer.Argument(help="The id of a stored tracklet, or a folder of frames in order of time.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip verify`."""
    app.command("verify")(verify)


def verify(
    one: Side,
    other: Side,
    gallery: Gallery = None,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compare two tracklets: stored ones by their ids, others by folders of frames, which are not stored."""
    sides = [read_query(one), read_query(other)]
    # A tracklet may stand first or second; the service takes the frames first.
    first, second = sorted(sides, key=lambda side: isinstance(side, str))
    with service_at(url, api_key) as client:
        if isinstance(first, str):
            compared = client.verify(one, other, gallery)
        else:
            compared = client.verify_frames(first, second, gallery)
    if as_json:
        print_json(compared.model_dump(mode="json"))
    else:
        chance = "" if compared.probability is None else f"probability {compared.probability:.4f}, "
        model = f"model {compared.model_id[:12]}, generation {compared.generation}"
        typer.echo(f"score {compared.score:.4f}, {chance}{model}")
