"""CLIP's text tower, read from CLIP weights and frozen: embeddings of a prompt in, text features out."""

from pathlib import Path

import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

from model.errors import WeightsError
from model.foreign import read_state_dict, to_float32
from model.tensors import load_strictly

_CHANNELS_PER_HEAD = 64
"""In every text tower that OpenAI published."""

_PARTS = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")


class TextTower(nn.Module):
    """The frozen text tower of a CLIP.

    Args:
        tower: with its weights; set to evaluation, its parameters need no gradient.
    """

    def __init__(self, tower: TextTransformer) -> None:
        super().__init__()
        self.tower = tower.eval().requires_grad_(False)
        self._tokenizer = SimpleTokenizer(context_length=tower.context_length)

    @property
    def width(self) -> int:
        """Channels of a token's embedding."""
        return int(self.tower.width)

    @property
    def projection(self) -> int:
        """Channels of a text feature."""
        return int(self.tower.text_projection.shape[1])

    def tokens(self, text: str) -> Tensor:
        """Token numbers of a text, (L,) int64, from start to end token; without what CLIP pads with.

        The mask is causal, so that what comes after the end token changes nothing before it.
        """
        row: Tensor = self._tokenizer(text)[0]
        return row[: int(row.argmax()) + 1]

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of token numbers, (..., width); without positions."""
        embedded: Tensor = self.tower.token_embedding(tokens)
        return embedded

    def forward(self, embeddings: Tensor) -> Tensor:
        """Turn embeddings (B, L, width), the end token last, into text features (B, projection), not normalised.

        Raises:
            ValueError: L is more than the tower has positions for.
        """
        length = embeddings.shape[1]
        if length > self.tower.context_length:
            raise ValueError(f"{length} tokens, expected at most {self.tower.context_length}")
        hidden = embeddings + self.tower.positional_embedding[:length]
        hidden = self.tower.transformer(hidden, attn_mask=self.tower.attn_mask[:length, :length])
        features: Tensor = self.tower.ln_final(hidden[:, -1]) @ self.tower.text_projection
        return features


def load_text_tower(path: Path) -> TextTower:
    """Read the text tower of CLIP weights.

    Args:
        path: a whole CLIP with QuickGELU, OpenAI's or open_clip's, as `model.clip_weights.load_clip` takes it.

    Raises:
        WeightsError: the file cannot be read, has no text tower, or its tensors do not fit together.
    """
    everything = read_state_dict(path)
    bare = {name.removeprefix("text."): tensor for name, tensor in everything.items()}
    tensors = to_float32({name: tensor for name, tensor in bare.items() if name.split(".")[0] in _PARTS})
    if lacking := [part for part in _PARTS if not any(name.split(".")[0] == part for name in tensors)]:
        raise WeightsError(f"{path} has no text tower ({', '.join(lacking)} missing): pass a whole CLIP's weights.")
    vocabulary, width = tensors["token_embedding.weight"].shape
    with torch.device("meta"):
        tower = TextTransformer(
            context_length=len(tensors["positional_embedding"]),
            vocab_size=vocabulary,
            width=width,
            heads=max(1, width // _CHANNELS_PER_HEAD),
            layers=len({name.split(".")[2] for name in tensors if name.startswith("transformer.resblocks.")}),
            output_dim=tensors["text_projection"].shape[1],
            act_layer=QuickGELU,
        )
    load_strictly(tower, tensors, str(path), "Pass OpenAI's or open_clip's weights of a plain CLIP.")
    tower.attn_mask = torch.full((tower.context_length, tower.context_length), -torch.inf).triu_(1)
    return TextTower(tower)
