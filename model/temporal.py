"""Temporal Memory Diffusion: what the frames of one clip tell each other (method.md 2.4)."""

from typing import Any

import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from model.config import MLP_RATIO, ModelConfig
from model.fusion import FramePositions


class TemporalMemoryConstruction(nn.Module):
    """TMC: one memory token per frame, which has looked at the other frames of its clip.

    Args:
        config: sizes; with `temporal_positions` the memories know the place of their frame in the clip (method.md 8.2).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.attention = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.positions = FramePositions(config.clip_length, config.width) if config.temporal_positions else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Turn tokens (B, T, N, width) into frame memories (B, T, width).

        Raises:
            ValueError: T is more than the clip length that positions were learned for.
        """
        memories: Tensor = self.projection(tokens.mean(dim=2))
        if self.positions is not None:
            memories = self.positions(memories)
        normed = self.norm(memories)
        attended: Tensor = self.attention(normed, normed, normed, need_weights=False)[0]
        return memories + attended


class MemoryDiffusion(nn.Module):
    """MD: self-attention within a frame over its tokens and its memory; the memory stays among the output tokens.

    Args:
        config: sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.block = ResidualAttentionBlock(config.width, config.heads, MLP_RATIO, act_layer=QuickGELU)

    def forward(self, tokens: Tensor, memories: Tensor) -> Tensor:
        """Turn tokens (M, N, width) and memories (M, width) into tokens (M, N + 1, width), the memory last."""
        diffused: Tensor = self.block(torch.cat([tokens, memories.unsqueeze(1)], dim=1))
        return diffused


class TemporalMemoryDiffusion(nn.Module):
    """TMD = TMC, then MD, then the mean over tokens.

    Without `temporal_positions` it knows no order of frames: permuting them permutes the output.

    Args:
        config: sizes; `detach_temporal_input` stops gradients at the input, `temporal_gradient` lets a share through,
            without `memory_diffusion` it is TMC alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gradient = 0.0 if config.detach_temporal_input else config.temporal_gradient
        self.construction = TemporalMemoryConstruction(config)
        self.diffusion = MemoryDiffusion(config) if config.memory_diffusion else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Turn the encoder's tokens (B, T, N, width) into frame features (B, T, width), g_f of method.md 2.1.

        Raises:
            ValueError: T is more than the clip length that positions were learned for.
        """
        if self.gradient == 0:
            tokens = tokens.detach()
        elif self.gradient < 1:
            tokens = _ShareOfGradient.apply(tokens, self.gradient)
        memories: Tensor = self.construction(tokens)
        if self.diffusion is None:
            return memories
        diffused: Tensor = self.diffusion(tokens.flatten(0, 1), memories.flatten(0, 1))
        return diffused.mean(dim=1).view_as(memories)


class _ShareOfGradient(torch.autograd.Function):
    """The input itself; of the gradient that comes back only a share goes on."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, share: float) -> Tensor:
        ctx.share = share
        return tokens.view_as(tokens)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.share, None
