"""Sizes."""

import pytest

from model.checkpoint import empty_model
from model.config import PRESETS, ModelConfig


@pytest.mark.parametrize(("preset", "size"), [("vit_b16", 2048), ("tiny", 320)])
def test_presets_have_their_descriptor_size(preset: str, size: int) -> None:
    assert ModelConfig.preset(preset).descriptor_dim == size


def test_parameter_counts_are_those_of_the_method() -> None:
    model = empty_model(ModelConfig.preset("vit_b16"))
    assert model.temporal is not None

    def count(module: object) -> int:
        return sum(parameter.numel() for parameter in module.parameters())  # type: ignore[attr-defined]

    assert count(model.encoder.visual) == 86_140_416
    assert count(model.temporal.construction) == 2_954_496
    assert count(model.temporal.diffusion) == 7_087_872
    assert count(model.temporal) == 10_042_368
    assert count(model) == 86_140_416 + 10_042_368


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_survives_its_dictionary(preset: str) -> None:
    config = ModelConfig.preset(preset)
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="vit_b16, tiny"):
        ModelConfig.preset("vit_l14")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"depth": 3}, "unknown config keys: depth"),
        ({"width": 0}, "width is 0"),
        ({"width": 100}, "multiple of heads"),
        ({"width": 768.0}, "expected an integer"),
        ({"layers": True}, "expected an integer"),
        ({"cameras": -1}, "cameras is -1"),
        ({"image_height": 250}, "multiple of patch_size"),
        ({"temporal_memory_diffusion": 1}, "expected true or false"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ModelConfig.from_dict({**ModelConfig.preset("vit_b16").to_dict(), **change})


def test_a_missing_key_is_named() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    del values["heads"]
    with pytest.raises(ValueError, match="missing config keys: heads"):
        ModelConfig.from_dict(values)
