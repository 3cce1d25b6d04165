"""Parameter groups and learning rates."""

from dataclasses import replace

import pytest
from torch import nn

from model import ModelConfig, new_model
from model.prompt import SequenceSpecificPrompt
from training.config import load_config
from training.heads import IdentityHeads
from training.optim import OptimiserRecipe, Schedule, learning_rate_factor, parameter_groups

TINY = replace(ModelConfig.preset("tiny"), cameras=3, temporal_fusion="conv1d")


def rates(recipe: OptimiserRecipe, *, temporal: bool = True) -> tuple[dict[int, float], dict[str, nn.Module]]:
    """Learning rate by parameter, and the modules."""
    model = new_model(replace(TINY, temporal_memory_diffusion=temporal))
    heads = IdentityHeads(128, 64, 5, temporal=temporal)
    prompt = SequenceSpecificPrompt(64)
    groups = parameter_groups(model, heads, prompt, recipe)
    found = [(id(one), group["lr"]) for group in groups for one in group["params"]]
    assert len(found) == len(dict(found)), "a parameter is in two groups"
    assert all(group["weight_decay"] == recipe.weight_decay for group in groups)
    return dict(found), {"model": model, "heads": heads, "prompt": prompt}


@pytest.mark.parametrize("temporal", [True, False])
def test_each_parameter_that_is_learned_is_in_exactly_one_group(temporal: bool) -> None:
    found, modules = rates(OptimiserRecipe(), temporal=temporal)
    learned = {id(one) for module in modules.values() for one in module.parameters() if one.requires_grad}
    assert found.keys() == learned


def test_rates_are_the_papers() -> None:
    found, modules = rates(OptimiserRecipe())
    model, heads, prompt = modules["model"], modules["heads"], modules["prompt"]
    expected = {
        model.encoder.visual.conv1.weight: 5e-6,
        model.encoder.camera_embedding: 5e-6,
        model.encoder.visual.transformer.resblocks[0].attn.in_proj_bias: 1e-5,
        model.encoder.visual.ln_post.bias: 1e-5,
        model.temporal.construction.projection.weight: 5e-5,
        model.temporal.construction.projection.bias: 1e-4,
        model.fusion.convolution.weight: 5e-5,
        prompt.output_projection[1].weight: 5e-5,
        prompt.output_projection[1].bias: 1e-4,
        heads.classifier_g.weight: 5e-5,
        heads.classifier_u.weight: 5e-6,
        heads.neck_g.weight: 5e-6,
    }
    assert {name: found[id(parameter)] for name, parameter in enumerate(expected)} == pytest.approx(
        dict(enumerate(expected.values()))
    )


def test_frozen_neck_biases_are_in_no_group() -> None:
    found, modules = rates(OptimiserRecipe())
    assert id(modules["heads"].neck_u.bias) not in found


def test_the_tenfold_rate_can_be_turned_off() -> None:
    found, modules = rates(OptimiserRecipe(new_module_factor=1))
    assert found[id(modules["prompt"].output_projection[1].weight)] == pytest.approx(5e-6)
    assert found[id(modules["model"].temporal.construction.projection.weight)] == pytest.approx(5e-6)


def test_tenfold_rates_can_be_those_of_all_that_clip_does_not_bring() -> None:
    config = load_config("tfclip_plus", ("optimiser.classifier_factor=10",))
    model = new_model(replace(TINY, temporal_positions=True))
    heads = IdentityHeads(128, 64, 5, temporal=True)
    classifiers = (heads.classifier_u, heads.classifier_v, heads.classifier_g)
    raised = {id(one) for module in (model.temporal, model.fusion, *classifiers) for one in module.parameters()}
    assert id(model.temporal.construction.positions.table) in raised
    for group in parameter_groups(model, heads, None, config.optimiser):
        factor = 2 if group["name"].endswith("biases") else 1
        for parameter in group["params"]:
            assert group["lr"] == pytest.approx(factor * (5e-5 if id(parameter) in raised else 5e-6))


def test_a_parameter_that_two_modules_share_is_refused() -> None:
    model, heads = new_model(TINY), IdentityHeads(128, 64, 5, temporal=True)
    heads.classifier_u.weight = heads.classifier_v.weight
    with pytest.raises(ValueError, match="of them different"):
        parameter_groups(model, heads, None, OptimiserRecipe())


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (1, 5e-7), (2, 9.5e-7), (5, 2.3e-6), (10, 4.55e-6), (11, 5e-6), (30, 5e-6),
        (31, 5e-7), (50, 5e-7), (51, 5e-8), (70, 5e-8), (71, 5e-9), (80, 5e-9),
    ],
)  # fmt: skip
def test_the_schedule_is_the_papers_epoch_by_epoch(epoch: int, rate: float) -> None:
    assert 5e-6 * learning_rate_factor(epoch, Schedule()) == pytest.approx(rate)


def test_a_cosine_rises_and_falls() -> None:
    schedule = Schedule(kind="cosine", epochs=20, warmup_epochs=4, warmup_factor=0, final_factor=0.1)
    factors = [learning_rate_factor(epoch, schedule) for epoch in range(1, 22)]
    assert factors[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert factors[12] == pytest.approx(0.55)
    assert factors[20] == pytest.approx(0.1)


def test_epochs_count_from_one() -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        learning_rate_factor(0, Schedule())
