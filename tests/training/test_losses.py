"""Losses against slow and obvious twins, and how gradients run."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import ModelConfig, new_model
from training.heads import IdentityHeads
from training.losses import (
    LossWeights,
    batch_hard_triplet,
    smoothed_cross_entropy,
    supervised_contrastive,
    total_loss,
    video_to_memory_logits,
)
from training.memory import build_memory, load_memory, save_memory


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_triplet(features: list[list[float]], labels: list[int], margin: float) -> float:
    costs = []
    for anchor, label in zip(features, labels, strict=True):
        away = [math.dist(anchor, other) for other in features]
        positive = max(d for d, other in zip(away, labels, strict=True) if other == label)
        negatives = [d for d, other in zip(away, labels, strict=True) if other != label]
        costs.append(max(0.0, positive - min(negatives) + margin) if negatives else 0.0)
    return sum(costs) / len(costs)


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=12), seed=st.integers(0, 1000))
def test_the_triplet_loss_equals_its_plain_twin(labels: list[int], seed: int) -> None:
    features = random(len(labels), 5, seed=seed)
    expected = plain_triplet(features.tolist(), labels, 0.3)
    assert float(batch_hard_triplet(features, torch.tensor(labels))) == pytest.approx(expected, abs=1e-4)


def test_the_triplet_gradient_is_finite_where_features_coincide() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    batch_hard_triplet(features, torch.tensor([0, 0, 1, 1])).backward()
    assert features.grad is not None
    assert bool(torch.isfinite(features.grad).all())


def test_small_distances_between_long_features_do_not_cancel() -> None:
    features = 500 + 1e-2 * random(4, 512)
    labels = torch.tensor([0, 0, 1, 1])
    expected = plain_triplet(features.double().tolist(), labels.tolist(), 0.3)
    assert float(batch_hard_triplet(features, labels)) == pytest.approx(expected, rel=1e-3)


def plain_contrastive(features: list[list[float]], labels: list[int], temperature: float) -> float:
    def scaled_cosine(one: list[float], other: list[float]) -> float:
        return (
            sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other)) / temperature
        )

    costs = []
    for anchor, label in enumerate(labels):
        others = [row for row in range(len(labels)) if row != anchor]
        positives = [row for row in others if labels[row] == label]
        everything = sum(math.exp(scaled_cosine(features[anchor], features[row])) for row in others)
        shares = [math.exp(scaled_cosine(features[anchor], features[row])) / everything for row in positives]
        costs.append(-sum(math.log(share) for share in shares) / len(shares) if shares else 0.0)
    return sum(costs) / len(costs)


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=12), seed=st.integers(0, 1000))
def test_the_contrastive_loss_equals_its_plain_twin(labels: list[int], seed: int) -> None:
    features = random(len(labels), 5, seed=seed)
    expected = plain_contrastive(features.tolist(), labels, 0.2)
    assert float(supervised_contrastive(features, torch.tensor(labels), 0.2)) == pytest.approx(expected, abs=1e-4)


def test_the_contrastive_loss_counts_only_when_it_is_asked_for() -> None:
    model = new_model(ModelConfig.preset("tiny"), seed=0)
    features = model(random(4, 1, 3, 128, 64))
    labels = torch.tensor([0, 0, 1, 1])
    logits = IdentityHeads(model.config.width, model.config.projection, 2, temporal=True)(features)
    without = total_loss(features, logits, None, labels, LossWeights())
    assert without.contrastive_u is None
    found = total_loss(features, logits, None, labels, LossWeights(contrastive=0.5, contrastive_temperature=0.2))
    parts = [supervised_contrastive(part, labels, 0.2) for part in (features.u, features.v, features.g)]
    torch.testing.assert_close(found.total - without.total, 0.5 * sum(parts))
    torch.testing.assert_close(found.contrastive_g, parts[2])


def test_a_contrastive_loss_needs_a_temperature() -> None:
    with pytest.raises(ValueError, match="contrastive_temperature is 0, expected more than 0"):
        LossWeights(contrastive_temperature=0)


def test_smoothing_spreads_over_all_classes() -> None:
    logits, labels = random(3, 7), torch.tensor([1, 0, 6])
    target = torch.full((3, 7), 0.1 / 7)
    target[torch.arange(3), labels] += 0.9
    expected = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert float(smoothed_cross_entropy(logits, labels)) == pytest.approx(float(expected), rel=1e-6)


def test_memory_logits_without_a_prompt_are_plain_products() -> None:
    v, memory = random(3, 8), random(5, 8, seed=1)
    plain = video_to_memory_logits(v, memory)
    torch.testing.assert_close(plain, v @ memory.T)
    torch.testing.assert_close(video_to_memory_logits(v, memory.expand(3, -1, -1)), plain)


def test_normalised_memory_logits_are_cosines_over_the_temperature() -> None:
    v, memory = random(3, 8), random(5, 8, seed=1)
    expected = torch.nn.functional.cosine_similarity(v.unsqueeze(1), memory.unsqueeze(0), dim=2) / 0.05
    torch.testing.assert_close(video_to_memory_logits(v, memory, normalise=True, temperature=0.05), expected)


@pytest.mark.parametrize("detached", [True, False])
def test_the_temporal_losses_reach_the_encoder_only_when_its_input_is_attached(detached: bool) -> None:
    config = ModelConfig(
        image_height=16, image_width=8, patch_size=8, width=16, layers=1, heads=2, projection=8, clip_length=2,
        detach_temporal_input=detached,
    )  # fmt: skip
    model, heads = new_model(config).train(), IdentityHeads(16, 8, 2, temporal=True)
    features = model(random(4, 2, 3, 16, 8))
    logits = heads(features)
    terms = total_loss(features, logits, None, torch.tensor([0, 0, 1, 1]), LossWeights())
    assert terms.identity_g is not None
    assert terms.triplet_g is not None
    assert terms.frame_identity is not None
    (terms.identity_g + terms.triplet_g + terms.frame_identity).backward()
    reached = model.encoder.visual.conv1.weight.grad is not None
    assert reached is not detached
    assert model.temporal.construction.projection.weight.grad.abs().sum() > 0


def test_losses_are_added_with_the_released_weights() -> None:
    config = ModelConfig(
        image_height=16, image_width=8, patch_size=8, width=16, layers=1, heads=2, projection=8, clip_length=4
    )
    model, heads = new_model(config).train(), IdentityHeads(16, 8, 3, temporal=True)
    features = model(random(4, 4, 3, 16, 8))
    terms = total_loss(features, heads(features), random(4, 3), torch.tensor([0, 0, 1, 1]), LossWeights())
    parts = {name: float(value) for name, value in vars(terms).items() if value is not None}
    identity = parts["identity_u"] + parts["identity_v"] + parts["identity_g"]
    triplet = parts["triplet_u"] + parts["triplet_v"] + parts["triplet_g"]
    expected = 0.25 * identity + triplet + parts["video_to_memory"] + parts["frame_identity"] / 4
    assert parts["total"] == pytest.approx(expected, rel=1e-5)


def test_losses_stay_float32_under_autocast() -> None:
    config = ModelConfig(image_height=16, image_width=8, patch_size=8, width=16, layers=1, heads=2, projection=8)
    model, heads = new_model(config).train(), IdentityHeads(16, 8, 3, temporal=True)
    with torch.autocast("cpu", torch.bfloat16):
        features = model(random(4, 2, 3, 16, 8))
        logits = heads(features)
        products = video_to_memory_logits(features.v, random(3, 8))
        terms = total_loss(features, logits, products, torch.tensor([0, 0, 1, 1]), LossWeights())
    assert logits.u.dtype == products.dtype == terms.total.dtype == torch.float32


def test_a_memory_row_is_the_mean_of_its_identitys_tracklets() -> None:
    features, labels = random(6, 4), torch.tensor([2, 0, 1, 0, 2, 2])
    halves = [(features[:3], labels[:3]), (features[3:], labels[3:])]
    expected = torch.stack([features[labels == label].mean(dim=0) for label in range(3)])
    torch.testing.assert_close(build_memory(halves, 3), expected)


def test_a_label_without_a_row_is_named() -> None:
    with pytest.raises(ValueError, match="1 of 3 labels have no tracklet: 1"):
        build_memory([(random(2, 4), torch.tensor([0, 2]))], 3)


def test_a_saved_memory_is_read_for_the_same_identities_only(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path, memory = tmp_path / "memory.safetensors", random(2, 4)
    save_memory(path, memory, ["a", "b"], "0" * 64)
    assert torch.equal(load_memory(path, ["a", "b"]), memory)
    with pytest.raises(ValueError, match="other identities"):
        load_memory(path, ["b", "a"])
