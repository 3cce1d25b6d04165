"""Multiply-adds of a frame."""

from dataclasses import replace

from model.checkpoint import empty_model, new_model
from model.config import ModelConfig
from training.experiments.flops import multiply_adds_per_frame

VIT = ModelConfig.preset("vit_b16")


def without_temporal() -> int:
    return multiply_adds_per_frame(empty_model(replace(VIT, temporal_memory_diffusion=False)))


def block(tokens: int) -> int:
    """Four projections, the MLP, and the two products of attention."""
    return tokens * 12 * 768**2 + 2 * tokens**2 * 768


def test_the_encoder_costs_its_blocks_its_patches_and_its_projection() -> None:
    """The paper's 11.26 G are the twelve blocks; patches and projected tokens are 0.13 G more."""
    blocks, patches, projection = 12 * block(129), 128 * 768 * (3 * 16 * 16), 129 * 768 * 512
    assert round(blocks / 1e9, 2) == 11.26
    assert without_temporal() == blocks + patches + projection == 11_389_519_872


def test_temporal_memory_diffusion_costs_a_block_over_one_token_more() -> None:
    # Of a clip of 8 frames, over 8: the map of attention over time is 8 x 8.
    construction = 5 * 768**2 + 2 * 8 * 768
    added = multiply_adds_per_frame(empty_model(VIT)) - without_temporal()
    assert added == block(130) + construction


def test_fusions_cost_little() -> None:
    def cost(fusion: str) -> int:
        config = replace(ModelConfig.preset("tiny"), temporal_memory_diffusion=False, temporal_fusion=fusion)
        return multiply_adds_per_frame(empty_model(config))

    assert cost("conv1d") - cost("mean") == 3 * 64
    layer = 12 * 64**2 + 2 * 8 * 64
    assert cost("transformer_residual") - cost("mean") == 6 * layer


def test_the_models_own_tensors_and_mode_stay_as_they_are() -> None:
    model = new_model(ModelConfig.preset("tiny"), seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cost = multiply_adds_per_frame(model)
    assert cost == multiply_adds_per_frame(empty_model(model.config))
    assert not model.training
    assert all(bool((tensor == before[name]).all()) for name, tensor in model.state_dict().items())


def test_a_frame_costs_about_the_same_in_every_clip() -> None:
    tiny = ModelConfig.preset("tiny")
    one, eight = (multiply_adds_per_frame(empty_model(replace(tiny, clip_length=length))) for length in (1, 8))
    assert eight - one == 2 * 7 * 128  # attention over time sees seven frames more
