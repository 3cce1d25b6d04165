"""Parameter groups and learning rates (method.md 4). Groups are made from modules, never from names."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

from torch import nn

from model.prompt import SequenceSpecificPrompt
from model.tfclip import TFCLIP
from training.heads import IdentityHeads


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """Adam and its rates.

    Attributes:
        name: `adam` (weight decay is L2 in the gradient, as released) or `adamw`.
        base_rate: of the encoder, the classifiers of u and v, and the necks.
        weight_decay: of every parameter, biases and norms included.
        bias_factor: rate of every bias over that of its module.
        temporal_classifier_factor: rate of the classifier of g over the base rate.
        new_module_factor: rate of SSP, TMD and a temporal fusion over the base rate. The released code asks for 10 and,
            because modules were renamed, gets 1; the released weights were most likely trained with 10.
        classifier_factor: rate of the classifiers of u and v over the base rate.
    """

    name: Literal["adam", "adamw"] = "adam"
    base_rate: float = 5e-6
    weight_decay: float = 1e-4
    bias_factor: float = 2.0
    temporal_classifier_factor: float = 10.0
    new_module_factor: float = 10.0
    classifier_factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves over epochs, which count from 1.

    Attributes:
        kind: `steps` multiplies by `decay` after each milestone; `cosine` falls to `final_factor`.
        epochs: of the whole run.
        warmup_epochs: in which the factor rises linearly from `warmup_factor`.
        milestones: last epochs before a step.
    """

    kind: Literal["steps", "cosine"] = "steps"
    epochs: int = 80
    warmup_epochs: int = 10
    warmup_factor: float = 0.1
    milestones: tuple[int, ...] = (30, 50, 70)
    decay: float = 0.1
    final_factor: float = 0.0


def learning_rate_factor(epoch: int, schedule: Schedule) -> float:
    """The factor of every learning rate in an epoch (method.md 4).

    Args:
        epoch: from 1.
        schedule: how it moves.

    Raises:
        ValueError: the epoch is less than 1.
    """
    if epoch < 1:
        raise ValueError(f"epoch is {epoch}, expected 1 or more")
    done = epoch - 1  # the released code steps its scheduler at the end of an epoch
    if schedule.kind == "steps":
        factor = schedule.decay ** sum(done >= milestone for milestone in schedule.milestones)
    else:
        span = max(1, schedule.epochs - schedule.warmup_epochs)
        part = min(1.0, max(0.0, (done - schedule.warmup_epochs) / span))
        factor = schedule.final_factor + (1 - schedule.final_factor) * (1 + cos(pi * part)) / 2
    if done < schedule.warmup_epochs:
        factor *= schedule.warmup_factor + (1 - schedule.warmup_factor) * done / schedule.warmup_epochs
    return factor


def parameter_groups(
    model: TFCLIP, heads: IdentityHeads, prompt: SequenceSpecificPrompt | None, recipe: OptimiserRecipe
) -> list[dict[str, Any]]:
    """Divide everything that is learned into groups with their learning rates.

    Args:
        model, heads, prompt: what is trained.
        recipe: the rates.

    Returns:
        Groups as PyTorch's optimisers take them, each with a `name`; parameters that need no gradient are in none.

    Raises:
        ValueError: a parameter would be in two groups or in none.
    """
    new = [module for module in (model.temporal, model.fusion, prompt) if module is not None]
    necks = [neck for neck in (heads.neck_u, heads.neck_v, heads.neck_g, heads.neck_g_frames) if neck is not None]
    parts: list[tuple[str, list[nn.Module], float]] = [
        ("encoder", [model.encoder], 1.0),
        ("necks", list(necks), 1.0),
        ("classifiers", [heads.classifier_u, heads.classifier_v], recipe.classifier_factor),
        ("new modules", list(new), recipe.new_module_factor),
    ]
    if heads.classifier_g is not None:
        parts.append(("temporal classifier", [heads.classifier_g], recipe.temporal_classifier_factor))
    groups: list[dict[str, Any]] = []
    for name, modules, factor in parts:
        rate = recipe.base_rate * factor
        weights, biases = _weights_and_biases(modules)
        for kind, parameters, lr in ((name, weights, rate), (f"{name}, biases", biases, rate * recipe.bias_factor)):
            if parameters:
                groups.append({"name": kind, "params": parameters, "lr": lr, "weight_decay": recipe.weight_decay})
    _check_each_is_in_one(groups, [module for module in (model, heads, prompt) if module is not None])
    return groups


def _weights_and_biases(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that are learned; a bias is what its module calls so (attention has an `in_proj_bias`)."""
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for module in modules:
        for part in module.modules():
            for attribute, parameter in part.named_parameters(recurse=False):
                if parameter.requires_grad:
                    (biases if attribute.endswith("bias") else weights).append(parameter)
    return weights, biases


def _check_each_is_in_one(groups: list[dict[str, Any]], modules: list[nn.Module]) -> None:
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    expected = {id(one) for module in modules for one in module.parameters() if one.requires_grad}
    if len(grouped) != len(set(grouped)) or set(grouped) != expected:
        raise ValueError(
            f"{len(grouped)} parameters are in groups, {len(set(grouped))} of them different, expected {len(expected)}"
        )
