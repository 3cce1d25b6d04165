"""The convolutional stem, and the config field that asks for it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model import ModelConfig, new_model
from model.clip_weights import load_clip
from model.errors import WeightsError
from model.stem import ConvolutionalStem


@pytest.fixture
def convolutional(config: ModelConfig) -> ModelConfig:
    return replace(config, stem="convolutional")


def frames(config: ModelConfig, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, 3, config.image_height, config.image_width, generator=generator)


def test_the_stem_gives_one_position_for_each_patch(convolutional: ModelConfig) -> None:
    patches = ConvolutionalStem(convolutional)(frames(convolutional, 2))
    assert patches.shape == (2, convolutional.width, *convolutional.grid)


def test_a_frame_is_described_alike_alone_and_among_others(convolutional: ModelConfig) -> None:
    model = new_model(convolutional, seed=0)
    clips = frames(convolutional, 6).unsqueeze(1)
    together, alone = model.describe(clips), torch.cat([model.describe(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_half_of_the_channels_do_not_see_the_exposure_of_a_frame(convolutional: ModelConfig) -> None:
    first = ConvolutionalStem(convolutional).steps[0]
    picture = frames(convolutional, 1)
    with torch.no_grad():
        plain, brighter = first(picture), first(1.7 * picture)
        # Away from the edge, beyond which is always 0, a cast is a constant in every channel.
        cast = first(picture + torch.tensor([1.5, 0.0, -1.5])[:, None, None])
    half = plain.shape[1] // 2
    torch.testing.assert_close(plain[:, :half], brighter[:, :half], rtol=1e-2, atol=1e-2)
    moved = (cast - plain)[:, :, 1:, 1:].abs().mean(dim=(0, 2, 3))
    assert moved[:half].mean() < 0.5 * moved[half:].mean()


def test_the_stem_learns(convolutional: ModelConfig) -> None:
    model = new_model(convolutional, seed=0)
    model(frames(convolutional, 2).unsqueeze(1)).descriptor.square().sum().backward()
    gradients = [parameter.grad for parameter in model.encoder.visual.conv1.parameters()]
    assert all(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)


def test_a_model_with_another_stem_has_another_id_and_an_older_one_keeps_its_own(config: ModelConfig) -> None:
    assert "stem" not in config.to_dict()
    assert replace(config, stem="convolutional").to_dict()["stem"] == "convolutional"


def test_weights_of_clip_are_refused(convolutional: ModelConfig) -> None:
    with pytest.raises(WeightsError, match="ViT is CLIP's, whose stem is patch; the network's is convolutional"):
        load_clip(new_model(convolutional, seed=0), Path("ViT"))


def test_patches_that_cannot_be_halved_are_refused(config: ModelConfig) -> None:
    sizes = {"patch_size": 12, "image_height": 24, "image_width": 24, "stem": "convolutional"}
    with pytest.raises(ValueError, match="patch_size is 12, expected a power of two"):
        replace(config, **sizes)
    with pytest.raises(ValueError, match="the frame is one patch"):
        replace(config, patch_size=8, image_height=8, image_width=8, stem="convolutional")
    with pytest.raises(ValueError, match="stem is 'plain', expected one of patch, convolutional"):
        replace(config, stem="plain")
