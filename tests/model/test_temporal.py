"""What TMD can be told: the order of frames, and how much of its gradient goes on."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from model import ModelConfig, load_model, new_model, save_model
from model.identity import model_id
from model.temporal import TemporalMemoryDiffusion

ORDER = torch.tensor([2, 0, 3, 1])


@pytest.fixture
def tokens() -> Tensor:
    """Two clips of four frames, (2, 4, 9, 32)."""
    return torch.randn(2, 4, 9, 32, generator=torch.Generator().manual_seed(5))


def temporal_part(config: ModelConfig, **fields: Any) -> TemporalMemoryDiffusion:
    torch.manual_seed(2)
    return TemporalMemoryDiffusion(replace(config, **fields))


@pytest.mark.parametrize("positions", [False, True])
def test_frames_have_an_order_only_with_positions(config: ModelConfig, tokens: Tensor, positions: bool) -> None:
    part = temporal_part(config, temporal_positions=positions)
    with torch.no_grad():
        same = torch.allclose(part(tokens)[:, ORDER], part(tokens[:, ORDER]), atol=1e-6)
    assert same is not positions


def test_positions_are_added_to_the_frame_memories_before_they_see_each_other(
    config: ModelConfig, tokens: Tensor
) -> None:
    construction = temporal_part(config, temporal_positions=True).construction
    assert construction.positions is not None
    table = construction.positions.table
    assert table.shape == (4, 32)
    assert 0.005 < float(table.detach().std()) < 0.02
    with torch.no_grad():
        for length in (4, 3):
            clips = tokens[:, :length]
            memories = clips.mean(dim=2) @ construction.projection.weight.T + construction.projection.bias
            memories = memories + table[:length]
            normed = construction.norm(memories)
            expected = memories + construction.attention(normed, normed, normed)[0]
            torch.testing.assert_close(construction(clips), expected)


def test_a_clip_longer_than_the_positions_is_refused(config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="5 frames, expected at most 4"):
        temporal_part(config, temporal_positions=True)(torch.zeros(1, 5, 9, 32))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_the_gradient_goes_on_and_the_output_stays(
    config: ModelConfig, frames: Tensor, share: float
) -> None:
    whole, part = (
        new_model(replace(config, detach_temporal_input=False, temporal_gradient=one), seed=1) for one in (1.0, share)
    )
    outputs, gradients = [], []
    for network in (whole, part):
        features = network(frames)
        features.g.square().sum().backward()
        outputs.append(features.g.detach())
        gradients.append({name: one.grad for name, one in network.named_parameters() if one.grad is not None})
    assert torch.equal(*outputs)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[1].items():
        reached = share if name.startswith("encoder") else 1.0
        torch.testing.assert_close(gradient, reached * gradients[0][name])


def test_u_and_v_teach_the_encoder_as_before(config: ModelConfig, frames: Tensor) -> None:
    gradients = []
    for share in (1.0, 0.1):
        network = new_model(replace(config, detach_temporal_input=False, temporal_gradient=share), seed=1)
        features = network(frames)
        (features.u.square().sum() + features.v.square().sum()).backward()
        gradients.append(network.encoder.visual.conv1.weight.grad)
    assert torch.equal(*gradients)


def test_models_without_them_keep_their_id_and_models_with_them_load(config: ModelConfig, tmp_path: Any) -> None:
    assert {"temporal_positions", "temporal_gradient"}.isdisjoint(config.to_dict())
    other = replace(config, temporal_positions=True, detach_temporal_input=False, temporal_gradient=0.1)
    assert ModelConfig.from_dict(other.to_dict()) == other
    network = new_model(other, seed=1)
    save_model(network, tmp_path / "weights.safetensors", {})
    loaded = load_model(tmp_path / "weights.safetensors")
    assert loaded.config == other
    assert model_id(loaded) == model_id(network)


@pytest.mark.parametrize("share", [0, -0.1, 1.1, True, "0.1", float("nan")])
def test_a_share_that_is_none_is_refused(config: ModelConfig, share: Any) -> None:
    with pytest.raises(ValueError, match=r"temporal_gradient is .*over 0 and at most 1"):
        replace(config, detach_temporal_input=False, temporal_gradient=share)
