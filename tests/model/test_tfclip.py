"""What the network does with clips, cameras and gradients."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model import TFCLIP, ImageSpecification, ModelConfig, new_model
from model.tfclip import mean_of_clips


def test_a_descriptor_is_the_same_alone_and_in_a_batch(network: TFCLIP) -> None:
    frames = torch.randn(5, 4, 3, 32, 16)
    cameras = torch.tensor([0, 1, 2, -1, 0])
    together = network.describe(frames, cameras)
    alone = torch.cat([network.describe(frames[i : i + 1], cameras[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 11])
def test_any_number_of_frames_makes_a_descriptor(network: TFCLIP, config: ModelConfig, length: int) -> None:
    described = network.describe(torch.randn(2, length, 3, 32, 16))
    assert described.shape == (2, config.descriptor_dim)
    assert described.isfinite().all()


def test_the_descriptor_is_cls_projected_cls_and_temporal_feature(network: TFCLIP, frames: Tensor) -> None:
    features = network(frames)
    assert features.g is not None
    assert features.g_frames is not None
    torch.testing.assert_close(features.u, features.u_frames.mean(1))
    torch.testing.assert_close(features.v, features.u @ network.encoder.visual.proj)
    torch.testing.assert_close(features.v, features.projected_tokens[:, 0])
    torch.testing.assert_close(features.g, features.g_frames.mean(1))
    expected = torch.cat([features.u, features.v, features.g], dim=1)
    torch.testing.assert_close(network.describe(frames), expected, rtol=0, atol=1e-5)


def test_without_temporal_memory_diffusion_the_descriptor_is_the_encoders(config: ModelConfig, frames: Tensor) -> None:
    network = new_model(replace(config, temporal_memory_diffusion=False))
    assert network(frames).g is None
    assert network.describe(frames).shape == (2, 48)
    assert replace(ModelConfig.preset("vit_b16"), temporal_memory_diffusion=False).descriptor_dim == 1280


def test_the_encoder_equals_open_clips_own_forward(network: TFCLIP, frames: Tensor) -> None:
    images = frames.flatten(0, 1)
    torch.testing.assert_close(network.encoder(images).projected[:, 0], network.encoder.visual(images))


@pytest.mark.parametrize("camera", [-1, 3, 10**9, -(10**9)])
def test_an_unknown_camera_is_no_camera(network: TFCLIP, frames: Tensor, camera: int) -> None:
    cameras = torch.tensor([camera, 1])
    described = network.describe(frames, cameras)
    torch.testing.assert_close(described[0], network.describe(frames)[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(described[1], network.describe(frames, torch.tensor([1, 1]))[1], rtol=0, atol=1e-5)


def test_a_known_camera_shifts_cls_before_the_positions(network: TFCLIP, frames: Tensor) -> None:
    described = network.describe(frames, torch.tensor([2, 2]))
    assert (described - network.describe(frames)).abs().max() > 1e-4
    table = network.encoder.camera_embedding
    assert table is not None
    with torch.no_grad():
        network.encoder.visual.class_embedding += table[2]
    torch.testing.assert_close(described, network.describe(frames), rtol=0, atol=1e-5)


def test_a_network_without_a_camera_table_takes_any_camera(config: ModelConfig, frames: Tensor) -> None:
    network = new_model(replace(config, cameras=0))
    assert torch.equal(network.describe(frames, torch.tensor([0, 5])), network.describe(frames))


def test_the_temporal_part_knows_no_order_of_frames(network: TFCLIP) -> None:
    assert network.temporal is not None
    tokens = torch.randn(2, 6, 9, 32)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        torch.testing.assert_close(network.temporal(tokens)[:, order], network.temporal(tokens[:, order]))


def test_the_temporal_part_lets_frames_of_one_clip_see_each_other_and_no_others(network: TFCLIP) -> None:
    assert network.temporal is not None
    tokens = torch.randn(2, 4, 9, 32)
    changed = tokens.clone()
    changed[0, 3] += 1
    with torch.no_grad():
        before, after = network.temporal(tokens), network.temporal(changed)
    assert ((before - after)[0].abs().amax(dim=1) > 1e-6).all()
    torch.testing.assert_close(before[1], after[1])


def test_a_detached_temporal_part_sends_no_gradient_to_the_encoder(network: TFCLIP, frames: Tensor) -> None:
    features = network(frames, torch.tensor([0, 1]))
    features.g.square().sum().backward()
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert network.temporal is not None
    assert all(parameter.grad is not None for parameter in network.temporal.parameters())


def test_a_temporal_part_that_is_not_detached_reaches_the_encoder(config: ModelConfig, frames: Tensor) -> None:
    network = new_model(replace(config, detach_temporal_input=False))
    network(frames).g.square().sum().backward()
    assert network.encoder.visual.conv1.weight.grad.abs().max() > 0


def test_without_memory_diffusion_the_frame_features_are_the_frame_memories(config: ModelConfig) -> None:
    network = new_model(replace(config, memory_diffusion=False))
    assert network.temporal is not None
    tokens = torch.randn(2, 4, 9, 32)
    with torch.no_grad():
        assert torch.equal(network.temporal(tokens), network.temporal.construction(tokens))
    whole = new_model(config)
    assert whole.temporal is not None
    assert whole.temporal.diffusion is not None
    count = sum(one.numel() for one in network.temporal.parameters())
    assert count + sum(one.numel() for one in whole.temporal.diffusion.parameters()) == sum(
        one.numel() for one in whole.temporal.parameters()
    )
    assert "memory_diffusion" not in config.to_dict()


def test_the_encoder_and_the_camera_table_learn_from_u_and_v(network: TFCLIP, frames: Tensor) -> None:
    features = network(frames, torch.tensor([0, -1]))
    (features.u.square().sum() + features.v.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in network.encoder.parameters())
    table = network.encoder.camera_embedding
    assert table is not None
    assert table.grad is not None
    assert table.grad[0].abs().max() > 0
    assert not table.grad[1:].any()


@pytest.mark.parametrize(
    ("shape", "cameras"),
    [
        ((2, 4, 3, 16, 32), None),
        ((4, 3, 32, 16), None),
        ((2, 0, 3, 32, 16), None),
        ((0, 4, 3, 32, 16), None),
        ((2, 4, 1, 32, 16), None),
        ((2, 4, 3, 32, 16), torch.tensor([0])),
        ((2, 4, 3, 32, 16), torch.tensor([0.0, 1.0])),
    ],
)
def test_inputs_that_do_not_fit_are_refused(network: TFCLIP, shape: tuple[int, ...], cameras: Tensor | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        network.describe(torch.zeros(shape), cameras)


def test_pixels_that_were_not_normalised_are_refused(network: TFCLIP) -> None:
    with pytest.raises(ValueError, match=r"uint8, expected a normalised"):
        network.describe(torch.zeros(1, 4, 3, 32, 16, dtype=torch.uint8))


def test_an_image_specification_of_another_size_is_refused(config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="expects 32x16"):
        TFCLIP(config, ImageSpecification(height=256, width=128))


def test_the_mean_of_clips_is_each_tracklets_own() -> None:
    clips = torch.arange(12.0).view(6, 2)
    means = mean_of_clips(clips, torch.tensor([1, 3, 2]))
    assert torch.equal(means, torch.tensor([[0.0, 1.0], [4.0, 5.0], [9.0, 10.0]]))


@pytest.mark.parametrize("counts", [[1, 2], [6, 0], [7, -1], []])
def test_clip_counts_that_do_not_add_up_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="that sum to 6"):
        mean_of_clips(torch.zeros(6, 2), torch.tensor(counts, dtype=torch.int64))
