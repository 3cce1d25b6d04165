"""`tfclip reindex`, `tfclip generations` and `tfclip jobs`: indexes built, gone back to and removed, as jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import print_json
from service.commands.connection import LOCAL_URL, ApiKey, AsJson, Gallery, Url, service_at
from service.commands.following import Wait, see_through
from service.commands.tables import print_list

if TYPE_CHECKING:
    from service.client.wire import Generation, Job

AnyGallery = Annotated[str | None, typer.Option("--gallery", help="Only this gallery.", show_default="all")]
GenerationId = Annotated[int, typer.Argument(metavar="ID", help="As `tfclip generations list` shows it.", min=1)]
JobId = Annotated[str, typer.Argument(metavar="ID", help="As `tfclip jobs list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add `tfclip reindex`, `tfclip generations list|activate|purge` and `tfclip jobs list|show|cancel`."""
    app.command("reindex")(reindex)
    generations = typer.Typer(no_args_is_help=True, help="The indexes of galleries, one of which serves each.")
    generations.command("list")(list_generations)
    generations.command("activate")(activate)
    generations.command("purge")(purge)
    app.add_typer(generations, name="generations")
    jobs = typer.Typer(no_args_is_help=True, help="Long work in the service.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show_job)
    jobs.command("cancel")(cancel_job)
    app.add_typer(jobs, name="jobs")


def reindex(
    gallery: Gallery = None,
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Describe everything again by this model.", show_default="the same")
    ] = None,
    wait: Wait = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Build a gallery's next generation while the present one goes on answering, and switch to it."""
    with service_at(url, api_key) as client:
        see_through(client, client.reindex(gallery, model), title="Re-indexing", wait=wait, as_json=as_json)


def list_generations(
    gallery: AnyGallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List generations, newest first."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_generations(gallery),
            as_json,
            ("id", "gallery", "number", "status", "model", "model id", "created"),
            lambda g: (g.id, g.gallery, g.number, _status(g), g.model_name, g.model_id[:12], g.created_at),
        )


def activate(
    generation: GenerationId,
    wait: Wait = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Go back to a generation, or go on with one that was not finished; what it lacks is described first."""
    with service_at(url, api_key) as client:
        see_through(client, client.activate_generation(generation), title="Activating", wait=wait, as_json=as_json)


def purge(
    generation: GenerationId,
    wait: Wait = True,
    url: Url = LOCAL_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Remove a generation that does not serve, and the descriptors that only it needed."""
    with service_at(url, api_key) as client:
        see_through(client, client.purge_generation(generation), title="Purging", wait=wait, as_json=as_json)


def list_jobs(
    gallery: AnyGallery = None, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List jobs, newest first."""
    with service_at(url, api_key) as client:
        print_list(
            client.list_jobs(gallery),
            as_json,
            ("id", "kind", "gallery", "status", "done", "created"),
            lambda job: (job.id, job.kind, job.gallery, job.status, _progress(job), job.created_at),
        )


def show_job(job: JobId, url: Url = LOCAL_URL, api_key: ApiKey = None) -> None:
    """Print a job as a JSON document."""
    with service_at(url, api_key) as client:
        print_json(client.job(job).model_dump(mode="json"))


def cancel_job(job: JobId, url: Url = LOCAL_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Ask a job to stop; one that waits is cancelled at once."""
    with service_at(url, api_key) as client:
        asked = client.cancel_job(job)
    if as_json:
        print_json(asked.model_dump(mode="json"))
    else:
        typer.echo(f"job {job} {asked.status if asked.finished else 'was asked to stop'}")


def _status(generation: "Generation") -> str:
    return "serving" if generation.serving else generation.status


def _progress(job: "Job") -> str:
    return f"{job.done}/{'?' if job.total is None else job.total}"
