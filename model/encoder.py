"""FrameEncoder: open_clip's visual tower, every token of it."""

from typing import NamedTuple

import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn

from model.config import MLP_RATIO, ModelConfig
from model.stem import ConvolutionalStem


class FrameTokens(NamedTuple):
    """Tokens of the last layer, CLS first.

    Attributes:
        tokens: (M, N, width), after the last LayerNorm (Z of method.md 2.1).
        projected: (M, N, projection), `tokens` times the projection (F of method.md 2.1).
    """

    tokens: Tensor
    projected: Tensor


class FrameEncoder(nn.Module):
    """CLIP's image encoder on a rectangular grid, with an optional camera embedding (method.md 2.1).

    The tower is open_clip's own module, so that its parameters carry CLIP's names; its `forward` is not used because it
    projects the CLS token alone and has no place for a camera.

    Args:
        config: sizes.
    """

    camera_embedding: nn.Parameter | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._grid = config.grid
        self.visual = VisionTransformer(
            image_size=(config.image_height, config.image_width),
            patch_size=config.patch_size,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            mlp_ratio=MLP_RATIO,
            output_dim=config.projection,
            act_layer=QuickGELU,
        )
        if config.stem == "convolutional":
            self.visual.conv1 = ConvolutionalStem(config)
        if config.cameras:
            self.camera_embedding = nn.Parameter(torch.empty(config.cameras, config.width))
            nn.init.trunc_normal_(self.camera_embedding, std=0.02)
        else:
            self.register_parameter("camera_embedding", None)

    def forward(self, frames: Tensor, cameras: Tensor | None = None) -> FrameTokens:
        """Encode frames.

        Args:
            frames: (M, 3, H, W) float, normalised.
            cameras: (M,) int64 rows of the camera table; a number outside it means "no camera". Without a table, or
                with None, no frame has a camera.
        """
        tokens = self.visual.ln_post(self.visual.transformer(self._first_tokens(frames, cameras)))
        return FrameTokens(tokens, tokens @ self.visual.proj)

    @torch.no_grad()
    def attention(self, frames: Tensor, cameras: Tensor | None = None) -> Tensor:
        """Where the last layer's CLS token looks: (M, rows, columns) float, >= 0, each frame's summing to 1.

        The attention of CLS to the patches in the last block, mean over heads, as Caron et al. show it (DINO, ICCV
        2021, arXiv 2104.14294). What CLS gives to itself is left out before the weights are made to sum to 1. It is one
        layer's attention to tokens that those before have mixed: it says where the network read, not which pixels made
        a score.

        Args:
            frames, cameras: as of `forward`.
        """
        tokens = self._first_tokens(frames, cameras)
        *earlier, last = self.visual.transformer.resblocks
        for block in earlier:
            tokens = block(tokens)
        normed = last.ln_1(tokens)
        weights = last.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)[1]
        to_patches = weights.float()[:, :, 0, 1:].mean(dim=1)
        shares: Tensor = to_patches / to_patches.sum(dim=1, keepdim=True)
        return shares.view(len(frames), *self._grid)

    def _first_tokens(self, frames: Tensor, cameras: Tensor | None) -> Tensor:
        """(M, N, width): what the first block sees."""
        patches = self.visual.conv1(frames).flatten(2).transpose(1, 2)
        cls = self.visual.class_embedding.expand(len(frames), 1, -1)
        if cameras is not None and self.camera_embedding is not None:
            cls = cls + self._camera_vectors(self.camera_embedding, cameras).unsqueeze(1)
        tokens: Tensor = self.visual.ln_pre(torch.cat([cls, patches], dim=1) + self.visual.positional_embedding)
        return tokens

    @staticmethod
    def _camera_vectors(table: Tensor, cameras: Tensor) -> Tensor:
        """(M, width): the camera's row, zero for a camera that the table does not have."""
        known = (cameras >= 0) & (cameras < len(table))
        return table[cameras.clamp(0, len(table) - 1)] * known.unsqueeze(1)
