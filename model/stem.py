"""ConvolutionalStem: patches made by a few small convolutions in place of CLIP's single large one (method.md 8.6)."""

import itertools

import torch
from torch import Tensor, nn

from model.config import ModelConfig


class ConvolutionalStem(nn.Module):
    """Strided 3x3 convolutions that halve the frame until one position is one patch, then a 1x1 convolution.

    A transformer that starts from random numbers learns sooner and better behind such a stem than behind one large
    convolution ("Early Convolutions Help Transformers See Better", arXiv 2106.14881). Half of each step's channels are
    normalised channel by channel over the frame: how bright and how contrasty a camera is goes, and with it much of its
    colour cast. The other half is normalised all channels together, and keeps how they stand to each other, which is
    colour (as IBN-Net, arXiv 1807.09441, has both kinds). No statistics of a batch are kept, so a frame is described
    alike alone and among others.

    Args:
        config: sizes; `patch_size` is a power of two.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        steps = config.patch_size.bit_length() - 1
        channels = [3, *(max(8, config.width >> (steps - step)) for step in range(1, steps + 1))]
        self.steps = nn.Sequential(*(_Step(below, above) for below, above in itertools.pairwise(channels)))
        self.projection = nn.Conv2d(channels[-1], config.width, kernel_size=1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Turn frames (M, 3, H, W) into patches (M, width, H / patch_size, W / patch_size)."""
        patches: Tensor = self.projection(self.steps(frames))
        return patches


class _Step(nn.Module):
    def __init__(self, below: int, above: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(below, above, kernel_size=3, stride=2, padding=1, bias=False)
        self.alone = nn.InstanceNorm2d(above // 2, affine=True)
        self.together = nn.GroupNorm(1, above - above // 2)
        self.activation = nn.GELU()

    def forward(self, maps: Tensor) -> Tensor:
        convolved: Tensor = self.convolution(maps)
        half = self.alone.num_features
        normed = torch.cat([self.alone(convolved[:, :half]), self.together(convolved[:, half:])], dim=1)
        activated: Tensor = self.activation(normed)
        return activated
