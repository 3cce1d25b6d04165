"""`tfclip experiments test-time`: how many frames of a tracklet are enough."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from model.cli import CommandError, console
from training.commands.describing import DeviceOption, JsonOption, choose_device
from training.commands.experiments.options import (
    ChangesOption,
    OutOption,
    RootOption,
    SeedsOption,
    TestOption,
    claim,
    command_line,
    finish,
    one_line_errors,
    open_setting,
)

if TYPE_CHECKING:
    from training.experiments.tables import Table


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("test-time")(at_test_time)


def at_test_time(
    root: RootOption,
    out: OutOption,
    config: Annotated[
        str | None, typer.Option("--config", help="A shipped config or a YAML file: train networks to measure.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Measure these weights in place of training.", show_default=False)
    ] = None,
    dataset: Annotated[
        Literal["mars", "ls_vid", "ilids_vid", "folder"],
        typer.Option("--dataset", help="With --weights: layout of the data set. All of a folder is measured."),
    ] = "folder",
    test: TestOption = None,
    seeds: SeedsOption = 3,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure with all frames of a tracklet, with few of them, and with single clips: accuracy against cost."""
    if (config is None) == (weights is None):
        raise CommandError("pass --config to train networks, or --weights to measure one that is trained")
    with one_line_errors():
        if weights is None:
            assert config is not None
            table = _of_trainings(config, changes, root, test, seeds, out, device)
        elif changes or test:
            raise CommandError("--set and --test are for training: leave them out with --weights")
        else:
            table = _of_weights(weights, dataset, root, out, device)
        finish(out, table, as_json)


def _of_trainings(
    config: str, changes: list[str] | None, root: Path, test: Path | None, seeds: int, out: Path, device: str
) -> "Table":
    from training.experiments.at_test_time import measure_samplings, name_of, sampling_table
    from training.experiments.cells import make_cell, train_cell
    from training.progress import Progress

    setting = open_setting(config, changes, root, test, device)
    setting.claim("test-time", out)
    data, first = setting.people.data, setting.config.seed
    trained, found = [], []
    with Progress(console) as progress:
        for seed in range(first, first + seeds):
            progress.note(f"seed {seed}")
            cell = make_cell("network", setting.config, seed)
            trained.append(train_cell(cell, data, out, setting.device, progress))
            path = trained[-1].folder.root / "samplings.json"
            found.append(measure_samplings(trained[-1].weights, data, path, setting.device, progress))
    command = command_line("test-time", config=config, root=root, test=test, out=out, seeds=seeds, set=changes)
    seconds = [one.seconds for one in trained]
    return sampling_table(found, seconds, trained[0].load(), data, name_of(setting.device), command)


def _of_weights(weights: Path, dataset: str, root: Path, out: Path, device: str) -> "Table":
    import torch

    from model.checkpoint import describe_weights, load_model
    from training.datasets.registry import read_data_set
    from training.experiments.at_test_time import measure_samplings, name_of, sampling_table
    from training.experiments.people import fingerprint
    from training.progress import Progress

    where = torch.device(choose_device(device))
    model = load_model(weights)
    with console.status("Listing the frames ..."):
        data = read_data_set(dataset, root)
    identifier = describe_weights(weights).model_id
    measured = fingerprint(data.query, data.gallery)
    claim(out, {"experiment": "test-time", "model_id": identifier, "measured": measured})
    with Progress(console) as progress:
        found = measure_samplings(weights, data, out / "samplings.json", where, progress)
    layout = None if dataset == "folder" else dataset
    command = command_line("test-time", weights=weights, dataset=layout, root=root, out=out)
    return sampling_table([found], [], model, data, name_of(where), command)
