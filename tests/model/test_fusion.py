"""Temporal fusions, and the config field that names them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model import ModelConfig, new_model
from model.config import FUSIONS
from model.fusion import TemporalConvolution, TemporalTransformer, make_fusion

OTHERS = [name for name in FUSIONS if name != "mean"]


@pytest.fixture
def frames_of_clips() -> Tensor:
    return torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(1))


def test_the_convolution_begins_as_a_temporal_shift(config: ModelConfig, frames_of_clips: Tensor) -> None:
    fusion = TemporalConvolution(config)
    with torch.no_grad():
        fusion.positions.table.zero_()
        found = fusion(frames_of_clips)
    back, still, on = frames_of_clips.split([4, 8, 4], dim=2)
    # The mean over T of a sequence moved by one frame lacks the frame that fell off.
    expected = torch.cat([back[:, :-1].sum(1) / 4, still.mean(1), on[:, 1:].sum(1) / 4], dim=1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", OTHERS)
def test_a_fusion_knows_the_order_of_frames(config: ModelConfig, frames_of_clips: Tensor, name: str) -> None:
    fusion = make_fusion(replace(config, temporal_fusion=name))
    assert fusion is not None
    with torch.no_grad():
        found = fusion(frames_of_clips)
        assert found.shape == (2, 16)
        assert not torch.allclose(found, fusion(frames_of_clips.flip(1)))
        with pytest.raises(ValueError, match="5 frames, expected at most 4"):
            fusion(torch.zeros(1, 5, 16))


def test_six_layers_have_the_papers_number_of_parameters() -> None:
    layers = TemporalTransformer(ModelConfig.preset("vit_b16"), cls=True).layers
    # Table 5 of the supplement: 106.22 M less 87.31 M of the convolution, which has positions as well.
    assert sum(one.numel() for one in layers.parameters()) == pytest.approx(106.22e6 - 87.31e6, abs=0.02e6)


@pytest.mark.parametrize("name", OTHERS)
def test_only_v_is_fused(config: ModelConfig, frames: Tensor, name: str) -> None:
    with torch.no_grad():
        plain, fused = (new_model(replace(config, temporal_fusion=one), seed=1)(frames) for one in ("mean", name))
    assert torch.equal(plain.u_frames, fused.u_frames)
    assert torch.equal(plain.v_frames, fused.v_frames)
    assert not torch.allclose(plain.v, fused.v)


def test_models_made_before_the_field_keep_their_id(config: ModelConfig) -> None:
    assert "temporal_fusion" not in config.to_dict()
    assert ModelConfig.from_dict(config.to_dict()) == config
    other = replace(config, temporal_fusion="conv1d")
    assert ModelConfig.from_dict(other.to_dict()) == other


def test_an_unknown_fusion_is_refused(config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="expected one of mean"):
        replace(config, temporal_fusion="lstm")
