"""Commands that start a job: wait for its end, show how far it is, and say what came of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json

if TYPE_CHECKING:
    from service.client import TfclipClient
    from service.client.wire import Job

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the job has ended.")]


def see_through(client: "TfclipClient", job: "Job", *, title: str, wait: bool, as_json: bool) -> "Job":
    """Print what became of a job, after its end where that is waited for.

    Raises:
        CommandError: it ended badly.
    """
    if wait:
        from rich.progress import Progress

        with Progress(console=console) as progress:
            task = progress.add_task(title, total=job.total)
            job = client.wait_for_job(
                job.id, on_progress=lambda state: progress.update(task, completed=state.done, total=state.total)
            )
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        count = f", {job.done} of {job.total}" if job.total is not None else ""
        result = "".join(
            f", {name} {value}" for name, value in (job.result or {}).items() if not isinstance(value, list)
        )
        typer.echo(f"job {job.id} {job.status}{count}{result}")
    if wait and job.status != "succeeded":
        raise CommandError(f"{job.kind} {job.status}: {job.error or 'no reason given'}")
    return job
