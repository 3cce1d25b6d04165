"""Whitening of descriptors: the map, and the network that has it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model import ModelConfig, load_model, new_model, save_model
from model.checkpoint import describe_weights
from model.tfclip import mean_of_clips
from model.whitening import Whitening, within_identity_whitening


def people(count: int = 40, each: int = 6, dimension: int = 5) -> tuple[Tensor, Tensor]:
    """Identities far apart in every direction, tracklets of one identity spread along the first two most."""
    rng = np.random.default_rng(3)
    spread = np.array([8.0, 3.0, 0.5, 0.5, 0.2])[:dimension]
    rows = rng.normal(4, 2, (count, 1, dimension)) + rng.normal(0, spread, (count, each, dimension))
    return torch.tensor(rows.reshape(-1, dimension)).float(), torch.arange(count).repeat_interleave(each)


def within_covariance(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    parts = [rows[labels == label] - rows[labels == label].mean(axis=0) for label in np.unique(labels)]
    stacked = np.concatenate(parts)
    return stacked.T @ stacked / len(stacked)


def test_identities_vary_alike_in_every_direction_after_it() -> None:
    rows, labels = people()
    mean, matrix = within_identity_whitening(rows, labels, shrinkage=1e-9)
    after = ((rows - mean) @ matrix).double().numpy()
    covariance = within_covariance(after, labels.numpy())
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(5), atol=1e-3)
    np.testing.assert_allclose(after.mean(axis=0), 0, atol=1e-3)


def test_shrinkage_stops_short_of_it() -> None:
    rows, labels = people()
    ratios = []
    for shrinkage in (1e-9, 0.1, 1000):
        _, matrix = within_identity_whitening(rows, labels, shrinkage)
        values = torch.linalg.svdvals(matrix)
        ratios.append(float(values[0] / values[-1]))
    assert ratios[0] > ratios[1] > ratios[2]
    assert ratios[2] == pytest.approx(1, abs=0.02)


def test_lengths_stay_what_they_were() -> None:
    rows, labels = people()
    mean, matrix = within_identity_whitening(rows, labels)
    before, after = (rows - mean).square().mean(), ((rows - mean) @ matrix).square().mean()
    assert float(after) == pytest.approx(float(before), rel=1e-4)


def test_people_are_found_again_more_often_after_it() -> None:
    rows, labels = people()
    mean, matrix = within_identity_whitening(rows[:120], labels[:120])

    def found(vectors: Tensor) -> float:
        unit = torch.nn.functional.normalize(vectors, dim=1)
        nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1)
        return float((labels[120:][nearest] == labels[120:]).float().mean())

    assert found((rows[120:] - mean) @ matrix) > found(rows[120:]) + 0.1


@pytest.mark.parametrize(
    ("rows", "labels", "shrinkage", "message"),
    [
        (torch.zeros(3), torch.zeros(3), 0.1, "descriptors are"),
        (torch.zeros(3, 2), torch.zeros(2), 0.1, "labels"),
        (torch.zeros(3, 2), torch.tensor([0, 0, 1]), 0.1, "1 identities have two tracklets or more"),
        (torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]), 0.0, "shrinkage is 0.0"),
    ],
)
def test_what_cannot_be_whitened_is_refused(rows: Tensor, labels: Tensor, shrinkage: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        within_identity_whitening(rows, labels, shrinkage)


def test_a_new_whitening_changes_nothing() -> None:
    rows, _ = people()
    torch.testing.assert_close(Whitening(5)(rows), rows)


def test_a_whitened_network_is_saved_and_loaded_and_its_map_commutes_with_the_mean_over_clips(
    config: ModelConfig, tmp_path: Path
) -> None:
    network = new_model(replace(config, whitened=True), seed=1)
    assert network.whitening is not None
    generator = torch.Generator().manual_seed(2)
    network.whitening.mean.copy_(torch.randn(config.descriptor_dim, generator=generator))
    network.whitening.matrix.copy_(torch.randn(config.descriptor_dim, config.descriptor_dim, generator=generator))
    identifier = save_model(network, tmp_path / "w.safetensors", {"trained": True})
    again = load_model(tmp_path / "w.safetensors")
    clips = torch.randn(3, 2, 3, config.image_height, config.image_width, generator=generator)
    found = again.describe(clips)
    torch.testing.assert_close(found, network.describe(clips))
    plain = torch.stack([network(clip.unsqueeze(0)).descriptor.detach()[0] for clip in clips])
    mean = mean_of_clips(found, torch.tensor([3]))[0]
    torch.testing.assert_close(mean, network.whitening(plain.mean(dim=0, keepdim=True))[0], rtol=1e-3, atol=1e-3)
    info = describe_weights(tmp_path / "w.safetensors")
    assert info.parameters["whitening"] == config.descriptor_dim * (config.descriptor_dim + 1)
    assert info.model_id == identifier


def test_a_mirrored_network_describes_a_clip_and_its_mirror_image_alike(config: ModelConfig) -> None:
    plain = new_model(config, seed=1)
    mirrored = new_model(replace(config, mirrored=True), seed=1)
    clip = torch.randn(1, 4, 3, config.image_height, config.image_width, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(mirrored.describe(clip), mirrored.describe(clip.flip(-1)), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain.describe(clip), plain.describe(clip.flip(-1)), atol=1e-3)
    both = (plain.describe(clip) + plain.describe(clip.flip(-1))) / 2
    torch.testing.assert_close(mirrored.describe(clip), both)
