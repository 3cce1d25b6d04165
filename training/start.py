"""How a run starts: which people it learns, and the first weights of its network."""

import subprocess
from pathlib import Path

import numpy as np

from model.checkpoint import load_model, new_model
from model.clip_weights import download_openai_clip, load_clip
from model.data.folder import natural_key
from model.errors import WeightsError
from model.tfclip import TFCLIP
from training.config import Network
from training.datasets.tracklets import LabelledTracklet
from training.whiten import without_whitening

Tracklets = tuple[LabelledTracklet, ...]


def hold_out(tracklets: Tracklets, share: float, seed: int) -> tuple[Tracklets, Tracklets]:
    """Split tracklets by identity: those to learn from, and those kept to choose by.

    Args:
        tracklets: of a training set.
        share: of the identities to keep, in 0..1; when it is not 0, at least two are kept.
        seed: names the split.

    Raises:
        ValueError: fewer than two identities would be left to learn from.
    """
    identities = sorted({one.identity for one in tracklets}, key=natural_key)
    count = max(2, round(share * len(identities))) if share else 0
    if len(identities) - count < 2:
        raise ValueError(f"{len(identities)} identities, {count} of them held out: expected two or more to learn from")
    order = np.random.default_rng([seed, 0x401D]).permutation(len(identities))
    held = {identities[index] for index in order[:count]}
    return (
        tuple(one for one in tracklets if one.identity not in held),
        tuple(one for one in tracklets if one.identity in held),
    )


def starting_model(network: Network, cameras: int, seed: int) -> tuple[TFCLIP, str]:
    """Make the network with its first weights.

    Args:
        network: section of the config.
        cameras: cameras of the data set.
        seed: of what is random.

    Returns:
        The network, and in words where its weights are from.

    Raises:
        WeightsError: the weights cannot be read or do not fit.
    """
    model = new_model(network.architecture(cameras), seed)
    if network.start == "random":
        return model, "random numbers"
    if network.start == "openai":
        load_clip(model, download_openai_clip())
        return model, "OpenAI's CLIP ViT-B/16"
    path = Path(network.start)
    if _is_weights_file(path):
        earlier = without_whitening(load_model(path))
        if earlier.config != model.config:
            raise WeightsError(f"{path} is of another architecture than the config: {earlier.config.to_dict()}")
        return earlier, path.name
    load_clip(model, path)
    return model, path.name


def clip_file(network: Network) -> Path:
    """The CLIP weights that a network starts from, with their text tower.

    Raises:
        WeightsError: it starts from something else, or they cannot be downloaded.
    """
    if network.start == "openai":
        return download_openai_clip()
    path = Path(network.start)
    if network.start == "random" or _is_weights_file(path):
        raise WeightsError(
            f"network.start is {network.start}, expected CLIP weights with a text tower: "
            "openai or the path of a CLIP file"
        )
    return path


def _is_weights_file(path: Path) -> bool:
    """Whether it says that it is one of this project's; CLIP files may be safetensors as well."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as handle:
            return "tfclip.format" in (handle.metadata() or {})
    except (OSError, SafetensorError):
        return False


def source_state() -> dict[str, str | bool | None]:
    """The commit of the code that runs, and whether files differ from it; None where the code is no checkout."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit.strip(), "changed": bool(_git(folder, "status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout  # noqa: S607
