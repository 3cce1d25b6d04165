"""What the released code computes in a training step, and what ours does: same weights, frames, labels and memory."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.official import import_official
from model.prompt import SequenceSpecificPrompt
from model.tfclip import TrackletFeatures
from tests.model.reference_rule import reference_frames, reference_memory, reference_values, released_state
from training.heads import IdentityHeads, IdentityLogits
from training.losses import LossTerms, LossWeights, total_loss, video_to_memory_logits

LABELS = torch.tensor([0, 0, 1, 1])
RELEASED_HEADS = {
    "bottleneck": "neck_u",
    "bottleneck_proj": "neck_v",
    "bottleneck_proj_temp": "neck_g_frames",
    "bottleneck_proj_temp2": "neck_g",
    "classifier2": "classifier_u",
    "classifier_proj": "classifier_v",
    "classifier_proj_temp": "classifier_g",
}
RELEASED_PROMPT = {
    "SSP.memory_proj.": "context_projection.",
    "SSP.text_proj.": "memory_projection.",
    "SSP.out_proj.": "output_projection.",
    "SSP.decoder.": "layers.",
    ".self_attn.": ".self_attention.",
    ".cross_attn.": ".cross_attention.",
    "attention.q_proj.": "attention.query.",
    "attention.k_proj.": "attention.key.",
    "attention.v_proj.": "attention.value.",
    "attention.proj.": "attention.output.",
    ".norm1.": ".self_norm.",
    ".norm2.": ".cross_norm.",
    ".norm3.": ".mlp_norm.",
}
NEVER_USED = {"SSP.alpha", "SSP.norm.weight", "SSP.norm.bias"}


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return reference_values()


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> TrackletFeatures:
    path: Path = tmp_path_factory.mktemp("released") / "released.pth"
    torch.save(released_state(), path)
    network = import_official(path, keep_cameras=True).model
    path.unlink()
    with torch.no_grad():
        computed: TrackletFeatures = network(reference_frames(), torch.tensor([0, 3, 3, 5]))
    return computed


@pytest.fixture(scope="module")
def prompt() -> SequenceSpecificPrompt:
    module = SequenceSpecificPrompt(512).eval()
    tensors = {}
    for name, tensor in released_state().items():
        if name.startswith("SSP.") and name not in NEVER_USED:
            for theirs, ours in RELEASED_PROMPT.items():
                name = name.replace(theirs, ours)
            tensors[name] = tensor
    module.load_state_dict(tensors)
    return module


@pytest.fixture(scope="module")
def logits(features: TrackletFeatures) -> IdentityLogits:
    heads = IdentityHeads(768, 512, 10, temporal=True).train()
    tensors = {}
    for name, tensor in released_state().items():
        module, _, part = name.partition(".")
        if module in RELEASED_HEADS:
            tensors[f"{RELEASED_HEADS[module]}.{part}"] = tensor
    heads.load_state_dict(tensors)
    with torch.no_grad():
        computed: IdentityLogits = heads(features)
    return computed


@pytest.fixture(scope="module")
def memory_logits(features: TrackletFeatures, prompt: SequenceSpecificPrompt) -> Tensor:
    memory = reference_memory()
    with torch.no_grad():
        return video_to_memory_logits(features.v, memory + prompt(memory, features.projected_tokens))


@pytest.fixture(scope="module")
def terms(features: TrackletFeatures, logits: IdentityLogits, memory_logits: Tensor) -> LossTerms:
    return total_loss(features, logits, memory_logits, LABELS, LossWeights())


def relative_error(actual: Tensor | None, expected: Tensor) -> float:
    assert actual is not None
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


def test_the_prompt_equals_the_released_code(
    features: TrackletFeatures, prompt: SequenceSpecificPrompt, reference: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        computed = prompt(reference_memory(), features.projected_tokens)
    assert relative_error(computed, reference["ssp_prompt"]) < 1e-4


def test_the_memory_logits_equal_the_released_code(memory_logits: Tensor, reference: dict[str, Tensor]) -> None:
    assert relative_error(memory_logits, reference["v2m_logits"]) < 1e-4


@pytest.mark.parametrize("part", ["u", "v", "g", "g_frames"])
def test_the_identity_logits_equal_the_released_code(
    logits: IdentityLogits, reference: dict[str, Tensor], part: str
) -> None:
    assert relative_error(getattr(logits, part), reference[f"id_logits_{part}"]) < 1e-4


def test_the_losses_equal_the_released_code(terms: LossTerms, reference: dict[str, Tensor]) -> None:
    assert terms.identity_g is not None
    assert terms.triplet_g is not None
    identities = torch.stack([terms.identity_u, terms.identity_v, terms.identity_g])
    triplets = torch.stack([terms.triplet_u, terms.triplet_v, terms.triplet_g])
    assert relative_error(identities, reference["loss_id"]) < 1e-3
    assert relative_error(triplets, reference["loss_triplet"]) < 1e-3
    assert relative_error(terms.frame_identity, reference["loss_frame_id"]) < 1e-3
    assert relative_error(terms.video_to_memory, reference["loss_v2m"]) < 1e-3
    assert relative_error(terms.total, reference["loss_total"]) < 1e-3


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_prompt_has_the_papers_number_of_parameters() -> None:
    # The released module has a scale of 512 and a LayerNorm of 1,024 numbers more, which nothing uses.
    assert count(SequenceSpecificPrompt(512, layers=2)) == 9_195_520 - 512 - 1_024
    paper = [count(SequenceSpecificPrompt(512, variant="paper", layers=layers)) for layers in (1, 2)]
    assert paper[1] - paper[0] == 3_150_848
    released = [count(SequenceSpecificPrompt(512, layers=layers)) for layers in (1, 2)]
    assert released[1] - released[0] == 4_200_960


def test_heads_have_the_papers_number_of_parameters() -> None:
    # B2 of the paper: the encoder, two classifiers of 625 identities, two necks.
    assert 86_140_416 + count(IdentityHeads(768, 512, 625, temporal=False)) == 86_942_976
