"""Other ways to make a sequence feature of frame features, for comparison with TMD (method.md 7.4).

They act on the projected CLS vectors of a clip's frames and know the order of frames through learned positions.
"""

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from model.config import MLP_RATIO, ModelConfig

_LAYERS = 6
_HEAD_WIDTH = 64


class TemporalConvolution(nn.Module):
    """Depthwise convolution over time that begins as a temporal shift, then the mean over frames.

    A quarter of the channels begins one frame back, half where it is, a quarter one frame on.

    Args:
        config: sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.projection
        self.positions = FramePositions(config.clip_length, channels)
        self.convolution = nn.Conv1d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False)
        quarter = channels // 4
        with torch.no_grad():
            self.convolution.weight.zero_()
            self.convolution.weight[:quarter, 0, 0] = 1
            self.convolution.weight[quarter : channels - quarter, 0, 1] = 1
            self.convolution.weight[channels - quarter :, 0, 2] = 1

    def forward(self, frames: Tensor) -> Tensor:
        """Turn frame features (B, T, projection) into sequence features (B, projection)."""
        mixed: Tensor = self.convolution(self.positions(frames).transpose(1, 2))
        return mixed.mean(dim=2)


class TemporalTransformer(nn.Module):
    """A transformer of six layers over the frames.

    Args:
        config: sizes.
        cls: read the feature from a CLS token of its own; otherwise the output is added to the input and averaged.
    """

    cls: nn.Parameter | None

    def __init__(self, config: ModelConfig, *, cls: bool) -> None:
        super().__init__()
        channels = config.projection
        self.positions = FramePositions(config.clip_length, channels)
        heads = max(1, channels // _HEAD_WIDTH)
        self.layers = nn.Sequential(
            *(ResidualAttentionBlock(channels, heads, MLP_RATIO, act_layer=QuickGELU) for _ in range(_LAYERS))
        )
        if cls:
            self.cls = nn.Parameter(channels**-0.5 * torch.randn(channels))
        else:
            self.register_parameter("cls", None)

    def forward(self, frames: Tensor) -> Tensor:
        """Turn frame features (B, T, projection) into sequence features (B, projection)."""
        tokens = self.positions(frames)
        if self.cls is None:
            mixed: Tensor = self.layers(tokens)
            return (frames + mixed).mean(dim=1)
        tokens = torch.cat([self.cls.expand(len(frames), 1, -1), tokens], dim=1)
        first: Tensor = self.layers(tokens)[:, 0]
        return first


class FramePositions(nn.Module):
    """Adds a learned vector for each place in the clip.

    Args:
        length: frames of the longest clip.
        channels: of a frame's vector.
    """

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.01 * torch.randn(length, channels))

    def forward(self, frames: Tensor) -> Tensor:
        """Add positions to (B, T, channels).

        Raises:
            ValueError: T is more than the clip length that the positions were learned for.
        """
        length = frames.shape[1]
        if length > len(self.table):
            raise ValueError(f"a clip has {length} frames, expected at most {len(self.table)}: positions are learned")
        return frames + self.table[:length]


def make_fusion(config: ModelConfig) -> TemporalConvolution | TemporalTransformer | None:
    """The fusion that `config.temporal_fusion` names; None for `mean`."""
    match config.temporal_fusion:
        case "conv1d":
            return TemporalConvolution(config)
        case "transformer_cls":
            return TemporalTransformer(config, cls=True)
        case "transformer_residual":
            return TemporalTransformer(config, cls=False)
    return None
