"""`tfclip experiments subgroups`: does a network serve all alike?"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from model.cli import CommandError, console
from training.commands.describing import BatchClipsOption, DeviceOption, JsonOption, choose_device, open_network
from training.commands.experiments.options import OutOption, claim, command_line, finish, one_line_errors


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("subgroups")(subgroups)


def subgroups(
    out: OutOption,
    weights: Annotated[
        Path | None,
        typer.Option(envvar="TFCLIP_WEIGHTS", help="A .safetensors weights file.", show_default="those of the service"),
    ] = None,
    people: Annotated[int, typer.Option(min=2, help="Identities that are drawn.")] = 200,
    cameras: Annotated[int, typer.Option(min=2, help="Every person passes every one.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each tracklet.")] = 8,
    seed: Annotated[
        int,
        typer.Option(min=0, max=(1 << 29) - 1, help="Of the scene; not one that the weights have learned from."),
    ] = 424242,
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="1: a street. 0: good cameras, nothing in the way.")
    ] = 1.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw.", show_default="one for each CPU")
    ] = None,
    batch_clips: BatchClipsOption = 16,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure drawn people by skin, build, clothing and hair: who is found, who is taken for whom.

    The people are drawn into OUT/scene once; other weights can be measured on the same ones.
    """
    where = choose_device(device)
    with one_line_errors():
        from model.checkpoint import model_id
        from training.experiments.cells import measured
        from training.experiments.subgroups import Scene, draw_scene, group_table, measure_groups
        from training.progress import Progress

        scene = Scene(people, cameras, frames, seed, difficulty)
        groups = scene.groups()
        network = open_network(weights)
        identifier = model_id(network)
        # A scene that was drawn by another version shows other people.
        shown = hashlib.sha256(json.dumps(groups).encode()).hexdigest()
        claim(out, {"experiment": "subgroups", **asdict(scene), "shown": shown})
        try:
            with Progress(console) as progress:
                data = draw_scene(scene, out, workers or os.cpu_count() or 1, progress.bar("tracklets drawn"))
                result = measured(
                    out / f"{identifier[:12]}.json",
                    {"model_id": identifier},
                    lambda: measure_groups(
                        network,
                        data,
                        groups,
                        device=where,
                        batch_clips=batch_clips,
                        progress=progress.bar("clips described"),
                    ),
                )
        except ValueError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or out} cannot be written: {error.strerror}.") from error
        name = f"model {identifier[:12]}" if weights is None else f"{weights.name}, model {identifier[:12]}"
        command = command_line(
            "subgroups",
            weights=weights,
            out=out,
            people=people,
            cameras=cameras,
            frames=frames,
            seed=seed,
            difficulty=difficulty,
        )
        finish(out, group_table(result, scene, name, command), as_json)
