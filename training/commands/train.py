"""`tfclip train`: from labelled tracklets to weights that the service loads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli import CommandError, console, print_json
from training.commands.describing import DeviceOption, JsonOption, choose_device

if TYPE_CHECKING:
    from training.config import TrainingConfig
    from training.datasets.tracklets import DataSet
    from training.distributed import Processes
    from training.run_folder import RunFolder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    config: Annotated[
        str, typer.Option("--config", help="A shipped config, such as mars_vit_b16 or folder_tiny, or a YAML file.")
    ],
    root: Annotated[Path, typer.Option("--root", help="Where the data set lies.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run, new or with --resume.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field: --set schedule.epochs=60. Repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Learn TF-CLIP weights from labelled tracklets.

    The result is OUT/weights.safetensors. Several GPUs: torchrun --nproc-per-node N -m model.cli train ...
    """
    try:
        from training.config import ConfigError, load_config
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: pip install 'tfclip[training]'") from error
    from training.datasets.registry import read_data_set
    from training.datasets.tracklets import DataSetError
    from training.distributed import join_processes, leave_processes
    from training.run_folder import RunFolder

    where = choose_device(device)
    try:
        settings = load_config(config, tuple(changes or ()))
        data = read_data_set(settings.data_set, root, split=settings.split)
        processes = join_processes(where)
        try:
            # The first process alone decides whether the folder can be used; the others follow it there.
            folder = RunFolder(out, resume=resume or not processes.first)
            _describe_data(data, quiet=not processes.first)
            _train(settings, data, folder, where, processes)
        finally:
            leave_processes()
    except (ConfigError, DataSetError) as error:
        raise CommandError(str(error)) from error
    if processes.first:
        _report(folder, settings.data_set, as_json)


def _train(config: "TrainingConfig", data: "DataSet", folder: "RunFolder", where: str, processes: "Processes") -> None:
    import torch
    from rich.console import Console

    from training.config import ConfigError
    from training.fit import Run, TrainingError
    from training.progress import Progress

    # Without a number every process takes the device of its own.
    device = torch.device(where, processes.local_rank) if where == "cuda" else torch.device(where)
    shown = console if processes.first else Console(stderr=True, quiet=True)
    try:
        with Progress(shown) as progress:
            run = Run(config, data, folder, device, processes, progress)
            if processes.first:
                folder.keep_config(config)
                folder.keep_json("labels.json", list(run.labels))
                folder.keep_json("run.json", _surroundings(run, processes))
            run.fit()
    except ConfigError:
        raise
    except (ValueError, TrainingError) as error:
        raise CommandError(str(error)) from error


def _describe_data(data: "DataSet", *, quiet: bool) -> None:
    if quiet:
        return
    from training.datasets.report import data_table

    console.print(data_table(data, data.findings))


def _surroundings(run: Any, processes: "Processes") -> dict[str, Any]:
    """What a run depends on beside its config."""
    import platform
    import sys
    from importlib.metadata import version

    import torch

    from training.start import source_state

    packages = ("tfclip", "torch", "open_clip_torch", "numpy", "Pillow")
    return {
        "arguments": sys.argv[1:],
        "source": source_state(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "device": torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else platform.processor(),
        "threads": torch.get_num_threads(),
        "processes": processes.world,
        "data_set": run.data.name,
        "identities": len(run.labels),
        "tracklets": len(run.learned),
        "held_out_identities": len({one.identity for one in run.held_out}),
    }


def _report(folder: "RunFolder", data_set: str, as_json: bool) -> None:
    from model.checkpoint import describe_weights

    identifier = describe_weights(folder.weights).model_id
    if as_json:
        print_json({"weights": str(folder.weights), "model_id": identifier, "run": str(folder.root)})
        return
    typer.echo(f"{folder.weights}  model {identifier[:12]}")
    # The public sets hold their test half themselves; a folder is all test.
    root = "OTHER_PEOPLE" if data_set == "folder" else "ROOT"
    console.print(
        f"Next: tfclip evaluate --weights {folder.weights} --dataset {data_set} --root {root}", soft_wrap=True
    )
    console.print(f"      tfclip serve --weights {folder.weights}", soft_wrap=True)
