"""Where the network looks: attention recomputed from the weights alone, beside a forward pass that stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model import TFCLIP, ModelConfig, new_model
from model.default_weights import open_model

NETWORKS = {
    "tiny": lambda: new_model(ModelConfig.preset("tiny"), seed=3),
    # Two of its twelve layers: the last one is all that matters here, and random numbers take time to draw.
    "vit_b16": lambda: new_model(replace(ModelConfig.preset("vit_b16"), layers=2), seed=3),
    "demo weights": lambda: open_model(None)[0],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_attention_is_that_of_cls_in_the_last_block_without_itself(name: str) -> None:
    network = NETWORKS[name]()
    frames = random_frames(network, 2)
    found = network.encoder.attention(frames)
    assert found.shape == (2, *network.config.grid)
    torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2))
    assert (found >= 0).all()
    expected = recomputed(network, frames).reshape(found.shape)
    assert np.abs(found.numpy() - expected).max() < 1e-6
    assert np.abs(expected - expected.mean()).max() > 1e-4, "attention that is the same everywhere would prove nothing"


def test_attention_knows_the_camera(network: TFCLIP) -> None:
    frames = random_frames(network, 1).expand(2, -1, -1, -1)
    # Untrained embeddings are small; this one is seen.
    with torch.no_grad():
        network.encoder.camera_embedding[1] *= 100
    found = network.encoder.attention(frames, torch.tensor([-1, 1]))
    torch.testing.assert_close(found[0], network.encoder.attention(frames[:1])[0])
    assert (found[0] - found[1]).abs().max() > 1e-5


def test_looking_changes_nothing(network: TFCLIP, frames: Tensor) -> None:
    before = network.describe(frames)
    network.encoder.attention(frames.flatten(0, 1))
    assert torch.equal(network.describe(frames), before)


def random_frames(network: TFCLIP, count: int) -> Tensor:
    size = (count, 3, network.image.height, network.image.width)
    return torch.randn(size, generator=torch.Generator().manual_seed(5))


def recomputed(network: TFCLIP, frames: Tensor) -> NDArray[np.float64]:
    """(M, patches): softmax of CLS's query with every token's key, head by head, of what the last block really saw."""
    seen: list[Tensor] = []
    last: nn.Module = network.encoder.visual.transformer.resblocks[-1]
    hook = last.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        network.encoder(frames)
    hook.remove()
    weights = {name: value.double().numpy() for name, value in last.state_dict().items()}
    tokens = seen[0].double().numpy()
    spread = tokens.var(axis=2, keepdims=True) + last.ln_1.eps
    normed = (tokens - tokens.mean(axis=2, keepdims=True)) / np.sqrt(spread)
    normed = normed * weights["ln_1.weight"] + weights["ln_1.bias"]
    width, heads = network.config.width, network.config.heads
    projected = normed @ weights["attn.in_proj_weight"].T + weights["attn.in_proj_bias"]
    queries, keys = projected[:, 0, :width], projected[:, :, width : 2 * width]
    size = width // heads
    total = np.zeros(keys.shape[:2])
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.einsum("mc,mnc->mn", queries[:, part], keys[:, :, part]) / np.sqrt(size)
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        total += exponents / exponents.sum(axis=1, keepdims=True) / heads
    return total[:, 1:] / total[:, 1:].sum(axis=1, keepdims=True)
