"""Descriptors of single frames, beside those of their clip."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model import TFCLIP, ModelConfig, new_model


def whitened_and_mirrored(config: ModelConfig) -> TFCLIP:
    network = new_model(replace(config, whitened=True, mirrored=True), seed=2)
    assert network.whitening is not None
    generator = torch.Generator().manual_seed(1)
    network.whitening.mean.normal_(generator=generator)
    network.whitening.matrix.normal_(generator=generator)
    return network


def test_a_frames_descriptor_is_made_of_the_frames_features(config: ModelConfig, frames: Tensor) -> None:
    network = whitened_and_mirrored(config)
    found = network.describe_frames(frames)
    with torch.no_grad():
        plain, mirrored = network(frames), network(frames.flip(-1))
    for clip in range(2):
        for frame in range(4):
            views = [
                torch.cat([view.u_frames[clip, frame], view.v_frames[clip, frame], view.g_frames[clip, frame]])
                for view in (plain, mirrored)
            ]
            expected = ((views[0] + views[1]) / 2 - network.whitening.mean) @ network.whitening.matrix
            torch.testing.assert_close(found.frames[clip, frame], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("temporal", [True, False])
def test_the_mean_of_a_clips_frames_is_its_descriptor(config: ModelConfig, frames: Tensor, temporal: bool) -> None:
    network = whitened_and_mirrored(replace(config, temporal_memory_diffusion=temporal))
    found = network.describe_frames(frames)
    assert found.frames.shape == (2, 4, network.config.descriptor_dim)
    torch.testing.assert_close(found.frames.mean(dim=1), found.clips, rtol=0, atol=1e-4)


def test_the_clips_descriptor_is_bit_for_bit_what_it_is_without_its_frames(config: ModelConfig, frames: Tensor) -> None:
    network = whitened_and_mirrored(config)
    with torch.no_grad():
        both = (network(frames).descriptor + network(frames.flip(-1)).descriptor) / 2
        expected = network.whitening(both)
    assert torch.equal(network.describe_frames(frames).clips, expected)
    assert torch.equal(network.describe(frames), expected)
