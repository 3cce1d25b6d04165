"""Configs: every shipped one loads, every unknown key is refused by name."""

from pathlib import Path

import pytest

from model.config import ModelConfig
from training.config import ConfigError, load_config, shipped_configs


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_config_loads(name: str) -> None:
    assert load_config(name).network.architecture(cameras=6).clip_length >= 1


@pytest.mark.parametrize("name", ["mars_vit_b16", "ls_vid_vit_b16", "ilids_vid_vit_b16"])
def test_the_papers_configs_are_the_papers_recipe(name: str) -> None:
    config = load_config(name)
    assert config.network.architecture(cameras=0) == ModelConfig.preset("vit_b16")
    assert (config.batches.identities, config.batches.tracklets) == (4, 4)
    assert config.optimiser.base_rate == 5e-6
    assert config.optimiser.new_module_factor == 10
    assert (config.loss.identity, config.loss.triplet, config.loss.video_to_memory) == (0.25, 1, 1)
    assert config.memory.kind == "clip"
    assert not config.memory.normalise
    assert config.prompt.variant == "released"
    assert config.held_out == 0


def test_the_better_recipe_has_what_measured_better() -> None:
    config = load_config("tfclip_plus")
    memory = config.memory
    assert (memory.kind, memory.normalise, memory.temperature) == ("clip", True, 0.05)
    assert (config.prompt.variant, config.augmentation.crop_padding) == ("released", 0)
    assert (config.optimiser.name, config.optimiser.base_rate, config.optimiser.classifier_factor) == ("adam", 5e-6, 1)
    sizes = config.network.architecture(cameras=0)
    assert (sizes.temporal_positions, sizes.detach_temporal_input, sizes.temporal_gradient) == (False, False, 0.1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("schedule.epoch=3", "unknown key schedule.epoch, did you mean epochs?"),
        ("memori.kind=clip", "unknown key memori, did you mean memory?"),
        ("augmentation.flipp=0.1", "unknown key augmentation.flipp, did you mean flip?"),
        ("loss.triplet=much", "loss.triplet"),
        ("network.preset=huge", "no preset 'huge'"),
        ("network.overrides={depth: 3}", "unknown config keys: depth"),
        ("keep=best", "held_out > 0"),
        ("memory.kind=none", "prompt.variant none"),
        ("memory.kind=words", "memory.kind"),
        ("memory={kind: momentum}", "memory: Value error, kind is momentum, expected normalise true"),
        ("memory={kind: momentum, normalise: true}", "memory.kind is momentum, expected prompt.variant none"),
        ("memory.momentum=1", "memory.momentum"),
        ("network.overrides={temporal_gradient: 0}", "temporal_gradient is 0, expected a number over 0"),
        ("batches.accumulate=3", "a multiple of accumulate"),
        ("schedule", "expected section.key=value"),
        ("seed.more=1", "seed is a value"),
    ],
)
def test_a_wrong_change_is_explained(change: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("mars_vit_b16", ("held_out=0", "seed=1", change))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_needs_the_text_tower_of_clip_weights() -> None:
    with pytest.raises(ConfigError, match="it has the text tower"):
        load_config("folder_tiny", ("memory.kind=text",))


def test_changes_are_yaml_and_the_last_one_wins() -> None:
    config = load_config("mars_vit_b16", ("schedule.milestones=[3, 5]", "schedule.epochs=9", "schedule.epochs=7"))
    assert tuple(config.schedule.milestones) == (3, 5)
    assert config.schedule.epochs == 7


def test_a_config_written_by_a_run_reads_back_the_same(tmp_path: Path) -> None:
    import yaml

    config = load_config("folder_tiny", ("seed=5",))
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert load_config(str(path)) == config


@pytest.mark.parametrize(
    ("text", "expected"), [("a: [", "is not YAML"), ("- 1", "no sections"), ("network: {preset: tiny}", "data_set")]
)
def test_a_file_that_is_no_config_is_explained(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_config(str(path))


def test_a_config_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"folder_tiny.*mars_vit_b16"):
        load_config("mars")
