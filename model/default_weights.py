"""The network that is used when nobody names weights, the same in every command and in the service."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from model.checkpoint import describe_weights, load_model
from model.errors import WeightsError
from model.tfclip import TFCLIP

DEMO_WEIGHTS = Path(str(files("model.weights") / "demo.safetensors"))
"""The demo weights that come with the package; they learned from drawn people alone."""


def open_model(weights: Path | None) -> tuple[TFCLIP, dict[str, Any]]:
    """The network of a weights file with its provenance, or the demo weights when there is no file.

    Returns:
        The network on the CPU, and the provenance; `name` in it is the file's own without its ending where the
        maker gave none.

    Raises:
        WeightsError: the file cannot be used, or the demo weights are not where they were installed.
    """
    if weights is None and not DEMO_WEIGHTS.is_file():
        raise WeightsError(
            f"this installation lacks the demo weights ({DEMO_WEIGHTS}): install tfclip again, or name weights of your "
            "own with --weights or TFCLIP_WEIGHTS."
        )
    path = DEMO_WEIGHTS if weights is None else weights
    return load_model(path, device="cpu"), {"name": path.stem} | describe_weights(path).provenance
