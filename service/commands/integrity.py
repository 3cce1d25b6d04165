"""`tfclip integrity` and `tfclip repair`: is everything of a gallery there, and mending what is not."""

from typing import Annotated

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.following import Wait, see_through
from service.commands.tables import print_table


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("integrity")(integrity)
    app.command("repair")(repair)


def integrity(
    gallery: Gallery = None,
    full: Annotated[bool, typer.Option("--full", help="Read every frame file, not a sample.")] = False,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compare rows, descriptors, frames and index of a gallery; exit code 1 when they differ."""
    with service_at(url, api_key) as client:
        report = client.check_integrity(gallery, full=full)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        if report.findings:
            rows = [(one.kind, str(one.count), "\n".join(one.examples[:3]), one.remedy) for one in report.findings]
            print_table(("found", "count", "for example", "remedy"), rows)
        looked = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in report.checked.items())
        verdict = "all agree" if report.ok else "they differ; tfclip repair mends what it can"
        index = f"generation {report.generation}, index of process {report.process}"
        typer.echo(f"gallery {report.gallery}, {index}: {looked}: {verdict}")
    if not report.ok:
        raise typer.Exit(1)


def repair(
    gallery: Gallery = None,
    wait: Wait = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compare everything of a gallery, down to describing every tracklet again, and mend what can be."""
    with service_at(url, api_key) as client:
        job = see_through(client, client.repair(gallery), title="Repairing", wait=wait, as_json=as_json)
    if not as_json:
        for what in ("mended", "left"):
            for finding in (job.result or {}).get(what, []):
                typer.echo(f"{what}: {finding['count']} {finding['kind']}; {finding['remedy']}")
