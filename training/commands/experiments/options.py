"""What the experiments share: their options, their data, and errors as one line."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli import CommandError, console, print_json
from training.commands.describing import choose_device

if TYPE_CHECKING:
    import torch

    from training.config import TrainingConfig
    from training.experiments.people import People
    from training.experiments.tables import Table

ConfigOption = Annotated[
    str, typer.Option("--config", help="A shipped config, such as folder_small, or a YAML file: what all rows share.")
]
RootOption = Annotated[Path, typer.Option("--root", help="Where the config's data set lies.")]
TestOption = Annotated[
    Path | None,
    typer.Option(
        "--test",
        help="A folder of other people to measure on, for a config of `folder`. "
        "Without it a fifth of the identities, always the same, is kept from training.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder of the experiment, new or of the same command that was stopped.")
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each row, from the config's seed on.")]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field for all rows: --set schedule.epochs=60."),
]
RowsOption = Annotated[
    str | None, typer.Option("--rows", help="Only these rows, by name, with commas: --rows B2,B4.", show_default=False)
]


@dataclass(frozen=True)
class Setting:
    """What an experiment is made with.

    Attributes:
        config: what all rows share, the changes of the command line in it.
        people: who is learned and who is measured.
        device: where to compute.
    """

    config: "TrainingConfig"
    people: "People"
    device: "torch.device"

    def claim(self, name: str, out: Path) -> None:
        """Take a folder for an experiment of this name with this config and these people.

        Raises:
            ConfigError: as `claim`.
        """
        claim(out, {"experiment": name, "config": self.config.to_dict(), "measured": self.people.fingerprint})


def open_setting(config: str, changes: list[str] | None, root: Path, test: Path | None, device: str) -> Setting:
    """Read config and data; `out` stays as it is.

    Raises:
        ConfigError: the config cannot be used.
        DataSetError: the data set cannot be read.
        CommandError: there is no such device.
    """
    import torch

    from training.config import load_config
    from training.experiments.people import read_people

    where = torch.device(choose_device(device))
    settings = load_config(config, tuple(changes or ()))
    with console.status("Listing the frames ..."):
        people = read_people(settings, root, test)
    return Setting(settings, people, where)


def claim(out: Path, document: dict[str, Any]) -> None:
    """Take a folder for an experiment: make it, or check that it is of the same one.

    Args:
        out: the folder.
        document: JSON values that an experiment in one folder does not change: its name, config, data.

    Raises:
        ConfigError: it is no folder, holds something else, or another experiment.
    """
    from training.config import ConfigError
    from training.experiments.cells import keep_document

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / "experiment.json").is_file():
        raise ConfigError(f"{out} is not empty and holds no experiment: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    keep_document(out / "experiment.json", document, "another experiment or config, choose another --out")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line, exit code 2, when an experiment cannot be made."""
    try:
        from training.config import ConfigError
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: pip install 'tfclip[training]'") from error
    from training.datasets.tracklets import DataSetError
    from training.experiments.cells import CellError

    try:
        yield
    except (ConfigError, DataSetError, CellError) as error:
        raise CommandError(str(error)) from error


def command_line(name: str, **options: Any) -> str:
    """The command as one could type it again; options that are None, False or empty are left out.

    Args:
        name: of the experiment.
        options: values by the names of options, `_` for `-`; a list repeats its option.
    """
    words = ["tfclip", "experiments", name]
    for option, value in options.items():
        if value is None or value is False:
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{option.replace('_', '-')}"] if one is True else [f"--{option.replace('_', '-')}", str(one)]
    return shlex.join(words)


def finish(out: Path, table: "Table", as_json: bool) -> None:
    """Write the table of an experiment and print it."""
    from training.experiments.tables import write_table

    write_table(out, table)
    if as_json:
        print_json(table.to_dict())
        return
    typer.echo(table.to_markdown())
    console.print(f"{out / 'table.md'}, {out / 'table.json'}", highlight=False, markup=False, soft_wrap=True)
