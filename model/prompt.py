"""Sequence-Specific Prompt: adapts the CLIP-Memory to the sequence at hand (method.md 2.3). Used in training only."""

from typing import Literal

import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from model.config import MLP_RATIO


class SequenceSpecificPrompt(nn.Module):
    """A decoder whose queries are the memory and whose context is the sequence.

    Args:
        width: channels d of memory and context.
        variant: `released` lets the memory's entries attend to each other before they attend to the context; `paper`
            has cross-attention and MLP alone.
        layers: N.
        heads: of every attention; divides `width`.
        dropout: in output projections and MLPs.
    """

    def __init__(
        self,
        width: int,
        *,
        variant: Literal["released", "paper"] = "released",
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}, expected a multiple of heads ({heads})")
        self.context_projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.LayerNorm(width))
        self.memory_projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.layers = nn.ModuleList(
            _DecoderLayer(width, heads, dropout, attends_to_itself=variant == "released") for _ in range(layers)
        )
        self.output_projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, memory: Tensor, context: Tensor) -> Tensor:
        """Compute the prompts, which the caller adds to the memory.

        Args:
            memory: (Y, d).
            context: (B, S, d): projected tokens, S = N (`released`), or CLS vectors of frames, S = T (`paper`).

        Returns:
            (B, Y, d).
        """
        context = self.context_projection(context)
        prompt: Tensor = self.memory_projection(memory).expand(len(context), -1, -1)
        for layer in self.layers:
            prompt = layer(prompt, context)
        prompt = self.output_projection(prompt)
        return prompt


class _DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float, *, attends_to_itself: bool) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width) if attends_to_itself else None
        self.self_attention = _Attention(width, heads, dropout) if attends_to_itself else None
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = _Attention(width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, MLP_RATIO * width),
            QuickGELU(),
            nn.Dropout(dropout),
            nn.Linear(MLP_RATIO * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, context: Tensor) -> Tensor:
        if self.self_attention is not None and self.self_norm is not None:
            normed = self.self_norm(rows)
            rows = rows + self.self_attention(normed, normed)
        rows = rows + self.cross_attention(self.cross_norm(rows), context)
        updated: Tensor = rows + self.dropout(self.mlp(self.mlp_norm(rows)))
        return updated


class _Attention(nn.Module):
    """Multi-head attention with no bias but the output's."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, context: Tensor) -> Tensor:
        parts = (self.query(rows), self.key(context), self.value(context))
        queries, keys, values = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended: Tensor = F.scaled_dot_product_attention(queries, keys, values)
        output: Tensor = self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        return output
