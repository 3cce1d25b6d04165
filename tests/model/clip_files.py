"""CLIP files as OpenAI and open_clip lay them out, of any size, with random numbers in them."""

import warnings
from pathlib import Path

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

TEXT = CLIPTextCfg(context_length=5, vocab_size=50, width=16, heads=2, layers=1)


def make_clip(
    kind: type[CLIP | CustomTextCLIP] = CLIP,
    width: int = 32,
    layers: int = 2,
    projection: int = 16,
    image_size: int = 112,
    patch_size: int = 8,
    head_width: int = 16,
) -> CLIP:
    """A CLIP with a small text tower; by default 112 pixels in patches of 8 make OpenAI's grid of 14x14."""
    vision = CLIPVisionCfg(
        layers=layers, width=width, head_width=head_width, patch_size=patch_size, image_size=image_size
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return kind(embed_dim=projection, vision_cfg=vision, text_cfg=TEXT, quick_gelu=True).eval()


def torchscript(clip: CLIP, path: Path) -> None:
    """As OpenAI made its files: a traced CLIP in half precision with three integers beside the weights."""
    side, _ = clip.visual.image_size
    context_length, vocab_size = clip.context_length, clip.vocab_size
    for name, value in (("input_resolution", side), ("context_length", context_length), ("vocab_size", vocab_size)):
        clip.__dict__.pop(name, None)
        clip.register_buffer(name, torch.tensor(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(
            clip, (torch.zeros(1, 3, side, side), torch.zeros(1, context_length, dtype=torch.int64)), check_trace=False
        )
        torch.jit.save(traced.half(), path)
