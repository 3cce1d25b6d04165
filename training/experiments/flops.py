"""What a frame costs: multiply-adds of the network at test (method.md 2.7)."""

from functools import cache

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.checkpoint import empty_model
from model.config import ModelConfig
from model.tfclip import TFCLIP


def multiply_adds_per_frame(model: TFCLIP) -> int:
    """Count the multiply-adds of matrix products and convolutions for one clip, over its frames.

    Everything that describes a clip is counted: patches, every block with its attention maps, the projection of all
    tokens, TMD and the temporal fusion. What only training needs is not: SSP, necks, classifiers.

    Args:
        model: of any weights, on any device; nothing is computed with it.
    """
    return _of_architecture(model.config)


@cache
def _of_architecture(config: ModelConfig) -> int:
    # In evaluation mode, and in fused attention, PyTorch runs kernels that its counter does not know. The twin has no
    # dropout, so that training mode computes the same.
    twin = empty_model(config).train()
    frames = torch.empty(1, config.clip_length, 3, config.image_height, config.image_width, device="meta")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        twin.describe(frames)
    return int(counter.get_total_flops()) // (2 * config.clip_length)
