"""Import of checkpoints that the authors of TF-CLIP released."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from model.checkpoint import empty_model
from model.config import ModelConfig
from model.errors import WeightsError
from model.foreign import read_state_dict, to_float32
from model.tensors import load_strictly, summarise
from model.tfclip import TFCLIP

_CAMERA_TABLE = "cv_embed"
_POSITIONS = "image_encoder.positional_embedding"

_NAMES = {
    "image_encoder.": "encoder.visual.",
    "TMD.resblocks.0.message_fc.": "temporal.construction.projection.",
    "TMD.resblocks.0.message_ln.": "temporal.construction.norm.",
    "TMD.resblocks.0.message_attn.": "temporal.construction.attention.",
    "TMD.resblocks.0.": "temporal.diffusion.block.",
}
"""Their prefix -> ours; the first that fits counts."""

_TRAINING_ONLY = {
    "SSP",
    "bottleneck",
    "bottleneck_proj",
    "bottleneck_proj_temp",
    "bottleneck_proj_temp2",
    "classifier2",
    "classifier_proj",
    "classifier_proj_temp",
    "classifier_proj_temp2",
}
"""Their modules that no descriptor passes through: prompts, necks, classifiers (method.md 2.3, 2.5)."""

_REMEDY = "Only released TF-CLIP checkpoints with a CLIP ViT-B/16 encoder can be imported."


@dataclass(frozen=True)
class OfficialImport:
    """A network made from a released checkpoint.

    Attributes:
        model: in evaluation mode, on the CPU.
        used: names of the tensors that the network consists of, as the checkpoint has them.
        training_only: names of the tensors that only training needs, left out.
        dropped: the camera table's name when it was left out on request, else empty.
    """

    model: TFCLIP
    used: list[str]
    training_only: list[str]
    dropped: list[str]


def import_official(path: Path, keep_cameras: bool) -> OfficialImport:
    """Turn a released checkpoint into a network; every tensor of it is used or named.

    Args:
        path: `.pt` or `.pth`: the state dict, bare or under `state_dict` or `model`, `module.` prefixes or not.
        keep_cameras: keep the camera table, if there is one; its rows are the cameras of the data set of its training.

    Raises:
        WeightsError: the file cannot be read; a tensor is unknown, missing, of wrong shape or not finite; or the
            encoder is not a ViT-B/16 for frames twice as high as wide.
    """
    found = read_state_dict(path)
    training_only = [name for name in found if name.split(".")[0] in _TRAINING_ONLY]
    dropped = [] if keep_cameras else [name for name in found if name == _CAMERA_TABLE]
    used = {name: tensor for name, tensor in found.items() if name not in {*training_only, *dropped}}
    renamed = {_our_name(name): tensor for name, tensor in used.items()}
    if unknown := [name for name in used if _our_name(name) == name]:
        raise WeightsError(f"{path} has tensors that no TF-CLIP checkpoint has: {summarise(unknown)}. {_REMEDY}")
    model = empty_model(_config(path, used))
    load_strictly(model, to_float32(renamed), str(path), _REMEDY)
    return OfficialImport(model, sorted(used), sorted(training_only), dropped)


def _our_name(name: str) -> str:
    if name == _CAMERA_TABLE:
        return "encoder.camera_embedding"
    for theirs, ours in _NAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _config(path: Path, tensors: dict[str, Tensor]) -> ModelConfig:
    """ViT-B/16 with the number of cameras and the grid that the shapes tell."""
    if _POSITIONS not in tensors:
        raise WeightsError(f"{path} has no tensor {_POSITIONS}. {_REMEDY}")
    config = ModelConfig.preset("vit_b16")
    positions = len(tensors[_POSITIONS])
    columns = math.isqrt(max(positions - 1, 0) // 2)
    if columns < 1 or 2 * columns**2 + 1 != positions:
        raise WeightsError(f"{path} has {positions} positions, expected 1 + 2n x n, as 129 = 1 + 16x8. {_REMEDY}")
    return replace(
        config,
        image_height=2 * columns * config.patch_size,
        image_width=columns * config.patch_size,
        cameras=len(tensors[_CAMERA_TABLE]) if _CAMERA_TABLE in tensors else 0,
    )
