"""The visual tower of CLIP weights, in OpenAI's or open_clip's layout, for our frame encoder."""

import math
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import ModelConfig
from model.errors import WeightsError
from model.foreign import read_state_dict, to_float32
from model.tensors import load_strictly, summarise
from model.tfclip import TFCLIP

OPENAI_URL = open_clip.get_pretrained_url("ViT-B-16", "openai")
"""Where OpenAI publishes ViT-B-16.pt, the weights that `vit_b16` starts from."""

_VISUAL = "visual."

_NOT_VISUAL = {
    "attn_mask",
    "context_length",
    "input_resolution",
    "ln_final",
    "logit_bias",
    "logit_scale",
    "positional_embedding",
    "text",
    "text_projection",
    "token_embedding",
    "transformer",
    "vocab_size",
}
"""What else a whole CLIP has beside `visual.`: the text tower, its mask, the temperature and three integers."""


@dataclass(frozen=True)
class ClipImport:
    """What was taken from CLIP weights.

    Attributes:
        used: names of the visual tower's tensors, without `visual.`.
        ignored: names of the tensors of the rest, text tower and temperature.
        grid: rows and columns of patches that the positions had before they were resized.
    """

    used: list[str]
    ignored: list[str]
    grid: tuple[int, int]


def download_openai_clip() -> Path:
    """Return OpenAI's ViT-B/16 weights from open_clip's cache, downloading them if they are not there.

    Raises:
        WeightsError: they are not in the cache and cannot be downloaded.
    """
    try:
        downloaded = open_clip.download_pretrained(open_clip.get_pretrained_cfg("ViT-B-16", "openai"))
    except Exception as error:
        # The hub's client raises many types for "no network"; the remedy is one.
        raise WeightsError(
            f"CLIP weights cannot be downloaded ({type(error).__name__}). Fetch {OPENAI_URL} on a machine that is "
            "connected, copy it here, then run `tfclip weights init --clip ViT-B-16.pt`."
        ) from error
    return Path(downloaded)


def load_clip(model: TFCLIP, path: Path) -> ClipImport:
    """Put the visual tower of CLIP weights into a network; every tensor of the file is used or named.

    Args:
        model: changed in place: the visual tower alone.
        path: OpenAI's TorchScript archive or state dict, or open_clip's `.pt`, `.bin` or `.safetensors`; a whole CLIP
            (`visual.` prefixes) or the bare visual tower. It must have been trained with QuickGELU, as OpenAI's was.

    Raises:
        WeightsError: the file cannot be read; a tensor is unknown, missing, or not finite; or the tower has other sizes
            or another stem than the model.
    """
    if model.config.stem != "patch":
        raise WeightsError(f"{path} is CLIP's, whose stem is patch; the network's is {model.config.stem}.")
    visual, ignored = _split(path, read_state_dict(path))
    _check_sizes(path, visual, model.config)
    positions, grid = _resize_positions(path, visual["positional_embedding"], model.config.grid)
    load_strictly(
        model.encoder.visual,
        to_float32({**visual, "positional_embedding": positions}),
        str(path),
        "Pass OpenAI's or open_clip's weights of a plain CLIP vision transformer.",
    )
    return ClipImport(sorted(visual), sorted(ignored), grid)


def _split(path: Path, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The visual tower's tensors under bare names, and the names of the rest."""
    if not any(name.startswith(_VISUAL) for name in tensors):
        return tensors, []
    visual = {name.removeprefix(_VISUAL): tensor for name, tensor in tensors.items() if name.startswith(_VISUAL)}
    rest = [name for name in tensors if not name.startswith(_VISUAL)]
    if unknown := [name for name in rest if name.split(".")[0] not in _NOT_VISUAL]:
        raise WeightsError(f"{path} has tensors that no CLIP has: {summarise(unknown)}.")
    return visual, rest


def _check_sizes(path: Path, visual: dict[str, Tensor], config: ModelConfig) -> None:
    telling = {"conv1.weight": 4, "positional_embedding": 2, "proj": 2}
    if wrong := [name for name, ndim in telling.items() if name not in visual or visual[name].ndim != ndim]:
        raise WeightsError(
            f"{path} is no CLIP vision transformer: {summarise(wrong)} missing or of another rank. Pass OpenAI's "
            f"ViT-B-16.pt ({OPENAI_URL})."
        )
    blocks = {name.split(".")[2] for name in visual if name.startswith("transformer.resblocks.")}
    found = _sizes(visual["conv1.weight"].shape[3], visual["proj"].shape[0], len(blocks), visual["proj"].shape[1])
    expected = _sizes(config.patch_size, config.width, config.layers, config.projection)
    if found != expected:
        raise WeightsError(f"{path} is a CLIP of {found}; the preset needs {expected}.")


def _sizes(patch_size: int, width: int, layers: int, projection: int) -> str:
    return f"patch size {patch_size}, width {width}, {layers} layers, projection {projection}"


def _resize_positions(path: Path, positions: Tensor, grid: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """Resize a square grid of positions to `grid`, the CLS row kept (method.md 2.1); also return the old grid."""
    cls, patches = positions[:1].float(), positions[1:].float()
    side = math.isqrt(len(patches))
    if len(patches) == 0 or side * side != len(patches):
        raise WeightsError(f"{path} has {len(positions)} positions, expected CLS and a square grid: 197 = 1 + 14x14.")
    image = patches.T.reshape(1, -1, side, side)
    resized = F.interpolate(image, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([cls, resized.flatten(2)[0].T]).contiguous(), (side, side)
