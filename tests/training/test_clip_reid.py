"""CLIP-ReID's baseline: prompts through a text tower of CLIP's own layout, small."""

import math
from pathlib import Path

import pytest
import torch
from open_clip import SimpleTokenizer
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from safetensors.torch import save_file
from torch import Tensor

from model import WeightsError, load_model
from tests.training.small_run import coloured_people, make_run, small_config
from training.clip_reid import IdentityPrompts, PromptStage, learn_text_features, two_way_contrastive
from training.config import ConfigError
from training.journal import read_log
from training.memory import load_memory
from training.text_tower import TextTower, load_text_tower


def make_clip(kind: type[CLIP | CustomTextCLIP] = CLIP) -> CLIP:
    """CLIP's vocabulary and context, 2 layers, an encoder for the runs of `small_run`."""
    vision = CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=8, image_size=32)
    text = CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return kind(embed_dim=16, vision_cfg=vision, text_cfg=text, quick_gelu=True).eval()


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return make_clip()


@pytest.fixture(scope="module")
def clip_path(clip: CLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    torch.save(clip.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def tower(clip_path: Path) -> TextTower:
    return load_text_tower(clip_path)


@torch.no_grad()
def test_the_tower_says_of_a_sentence_what_clip_says(clip: CLIP, tower: TextTower) -> None:
    for text in ("A photo of a person.", "a man with a red bag, seen from behind", "person"):
        expected = clip.encode_text(SimpleTokenizer()(text))
        torch.testing.assert_close(tower(tower.embed(tower.tokens(text)).unsqueeze(0)), expected)


@torch.no_grad()
def test_a_tower_of_its_own_module_is_read(tmp_path: Path) -> None:
    clip = make_clip(CustomTextCLIP)
    save_file(clip.state_dict(), tmp_path / "clip.safetensors")
    tower = load_text_tower(tmp_path / "clip.safetensors")
    expected = clip.encode_text(SimpleTokenizer()("A photo of a person."))
    torch.testing.assert_close(tower(tower.embed(tower.tokens("A photo of a person.")).unsqueeze(0)), expected)


def test_weights_without_a_text_tower_are_refused(clip: CLIP, tmp_path: Path) -> None:
    torch.save(clip.visual.state_dict(), tmp_path / "visual.pt")
    with pytest.raises(WeightsError, match="has no text tower"):
        load_text_tower(tmp_path / "visual.pt")


@torch.no_grad()
def test_a_prompt_is_the_sentence_with_four_tokens_of_its_own(clip: CLIP, tower: TextTower) -> None:
    """With the embeddings of four words in place of the learned tokens it is that sentence."""
    prompts = IdentityPrompts(tower, 3)
    words = tower.embed(tower.tokens("tall young smiling man"))[1:-1]
    assert words.shape == prompts.learned[1].shape == (4, 64)
    prompts.learned[1] = words
    expected = clip.encode_text(SimpleTokenizer()("A photo of a tall young smiling man person."))
    torch.testing.assert_close(tower(prompts(torch.tensor([1]))), expected)


def test_only_the_tokens_learn(tower: TextTower) -> None:
    prompts = IdentityPrompts(tower, 3)
    torch.autograd.backward(tower(prompts(torch.tensor([0, 2]))).sum())
    assert prompts.learned.grad is not None
    assert prompts.learned.grad.abs().amax(dim=(1, 2)).gt(0).tolist() == [True, False, True]
    assert [name for name, one in tower.named_parameters() if one.requires_grad or one.grad is not None] == []


def test_the_contrastive_loss_is_its_equation() -> None:
    generator = torch.Generator().manual_seed(5)
    images, texts = torch.randn(6, 4, generator=generator), torch.randn(6, 4, generator=generator)
    labels = torch.tensor([0, 0, 1, 2, 2, 2])

    def one_way(anchors: Tensor, others: Tensor) -> float:
        total = 0.0
        for i in range(6):
            scores = [float(anchors[i] @ others[a]) for a in range(6)]
            denominator = sum(math.exp(score) for score in scores)
            positives = [p for p in range(6) if labels[p] == labels[i]]
            total -= sum(math.log(math.exp(scores[p]) / denominator) for p in positives) / len(positives)
        return total / 6

    expected = one_way(images, texts) + one_way(texts, images)
    assert float(two_way_contrastive(images, texts, labels)) == pytest.approx(expected, rel=1e-5)


def test_rates_rise_and_fall() -> None:
    stage = PromptStage()
    assert stage.rate_of(1) == 1e-5
    assert stage.rate_of(6) == pytest.approx(3.5e-4, rel=0.005)
    assert stage.rate_of(61) == pytest.approx((3.5e-4 + 1e-6) / 2)
    assert stage.rate_of(120) < 2e-6


def test_prompts_learn_to_name_their_people(tower: TextTower) -> None:
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(6, 16, generator=generator) * 2
    labels = torch.arange(6).repeat(4)
    images = centres[labels] + 0.1 * torch.randn(24, 16, generator=generator)
    few = PromptStage(epochs=1, batch=24, rate=0.02, warmup_epochs=0)
    many = PromptStage(epochs=60, batch=24, rate=0.02, warmup_epochs=0)
    _, first = learn_text_features(tower, images, labels, few, seed=1)
    rows, last = learn_text_features(tower, images, labels, many, seed=1)
    again, _ = learn_text_features(tower, images, labels, many, seed=1)
    assert rows.shape == (6, 16)
    assert last < first - 0.5
    assert (images @ rows.T).argmax(dim=1).tolist() == labels.tolist()
    assert torch.equal(rows, again)


@pytest.mark.parametrize("temporal", ["false", "true"], ids=["B1", "B5"])
def test_the_baseline_trains_on_text_features(clip_path: Path, tmp_path: Path, temporal: str) -> None:
    people = coloured_people(tmp_path / "people")
    config = small_config(
        "memory={kind: text, normalise: true, temperature: 0.1, text: {epochs: 20, rate: 0.02, warmup_epochs: 1}}",
        f"network.start={clip_path}",
        "network.overrides={image_height: 32, image_width: 16, width: 32, layers: 1, heads: 2, projection: 16, "
        f"clip_length: 2, temporal_memory_diffusion: {temporal}}}",
    )
    run = make_run(config, people, tmp_path / "run")
    run.fit()
    rows = load_memory(tmp_path / "run/memory.safetensors", list(run.labels))
    assert torch.equal(rows, run.network.memory)
    steps = [entry for entry in read_log(tmp_path / "run/log.jsonl") if entry["event"] == "epoch"]
    assert steps[-1]["loss_video_to_memory"] < steps[0]["loss_video_to_memory"]
    assert (load_model(run.folder.weights).temporal is not None) == (temporal == "true")


def test_text_without_clip_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"memory\.kind is text, expected network\.start openai or a CLIP file"):
        small_config("memory.kind=text")
