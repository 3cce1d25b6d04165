"""`tfclip weights`: make, import and show weights files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model.cli import CommandError, console, print_json

if TYPE_CHECKING:
    from model.tfclip import TFCLIP

OutOption = Annotated[Path, typer.Option("--out", help="Weights file to write (.safetensors).")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the group `weights` to the command."""
    weights = typer.Typer(no_args_is_help=True, help="Make, import and show weights files.")
    weights.command("init")(init)
    weights.command("import-official")(import_official_checkpoint)
    weights.command("show")(show)
    app.add_typer(weights, name="weights")


def init(
    out: OutOption,
    preset: Annotated[Literal["vit_b16", "tiny"], typer.Option(help="Architecture.")] = "vit_b16",
    clip: Annotated[
        str, typer.Option(help="Start of the encoder: openai (downloaded), a CLIP file, or none (random).")
    ] = "openai",
    tmd: Annotated[Literal["random", "none"], typer.Option(help="Temporal Memory Diffusion.")] = "random",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a network that has not been trained on tracklets: CLIP's encoder, or random numbers."""
    _check_out(out, force)
    from dataclasses import replace

    from model.checkpoint import new_model
    from model.clip_weights import download_openai_clip, load_clip
    from model.config import ModelConfig

    if clip == "openai" and preset != "vit_b16":
        raise CommandError(f"OpenAI's ViT-B/16 does not fit the preset {preset}: pass --clip none or a CLIP file.")
    model = new_model(replace(ModelConfig.preset(preset), temporal_memory_diffusion=tmd == "random"), seed)
    report: dict[str, Any] = {"used": [], "ignored": []}
    if clip != "none":
        console.print("Reading CLIP weights ...")
        imported = load_clip(model, download_openai_clip() if clip == "openai" else Path(clip))
        report = {"used": imported.used, "ignored": imported.ignored}
    provenance = {
        "trained": False,
        "source": {"preset": preset, "clip": clip if clip in ("openai", "none") else Path(clip).name, "seed": seed},
    }
    _save(model, out, provenance, report, as_json)


def import_official_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="Checkpoint that the authors released.")],
    out: OutOption,
    cameras: Annotated[
        Literal["keep", "drop"],
        typer.Option(help="The camera table fits the cameras it was trained with; elsewhere, drop it."),
    ] = "keep",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a released TF-CLIP checkpoint into a weights file."""
    _check_out(out, force)
    from model.official import import_official

    console.print("Reading the checkpoint ...")
    imported = import_official(checkpoint, keep_cameras=cameras == "keep")
    provenance = {"trained": True, "source": {"official_checkpoint": checkpoint.name, "cameras": cameras}}
    report = {"used": imported.used, "training_only": imported.training_only, "dropped": imported.dropped}
    _save(imported.model, out, provenance, report, as_json)


def show(
    weights: Annotated[Path, typer.Argument(metavar="W", help="Weights file.")], as_json: JsonOption = False
) -> None:
    """Check a weights file and print what it is."""
    from model.checkpoint import describe_weights

    document = describe_weights(weights).to_dict()
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if isinstance(value, dict):
            typer.echo(f"{key}:")
            for name, entry in value.items():
                typer.echo(f"  {name}: {_plain(entry)}")
        else:
            typer.echo(f"{key}: {_plain(value)}")


def _check_out(out: Path, force: bool) -> None:
    if not out.parent.is_dir():
        raise CommandError(f"there is no folder {out.parent}: make it, or choose another --out.")
    if out.is_dir():
        raise CommandError(f"{out} is a folder: choose a file name for --out.")
    if out.exists() and not force:
        raise CommandError(f"{out} exists: choose another --out, or overwrite it with --force.")


def _save(model: "TFCLIP", out: Path, provenance: dict[str, Any], report: dict[str, list[str]], as_json: bool) -> None:
    """Save the model and say what is in the file and what of the source is not."""
    from model.checkpoint import save_model

    identifier = save_model(model, out, provenance)
    document = {
        "path": str(out),
        "model_id": identifier,
        "descriptor_dim": model.config.descriptor_dim,
        "cameras": model.config.cameras,
        "trained": provenance["trained"],
        **report,
    }
    if as_json:
        print_json(document)
        return
    typer.echo(f"wrote {out}: model {identifier}, descriptor of {model.config.descriptor_dim} numbers")
    for kind, names in report.items():
        if kind != "used" and names:
            typer.echo(f"{kind.replace('_', ' ')}, left out ({len(names)}): {', '.join(names)}")
    if not provenance["trained"]:
        typer.echo("These weights have not been trained on tracklets.")


def _plain(value: Any) -> str:
    return f"{value:,}" if type(value) is int else value if isinstance(value, str) else json.dumps(value)
