"""Do identity-level visual features stand in for text? CLIP-Memory rows beside text features of the same people."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoint import model_id
from model.retrieval import unit_length
from training.clip_reid import learn_text_features
from training.config import ConfigError, TrainingConfig
from training.datasets.tracklets import LabelledTracklet, label_map
from training.evaluation import describe_tracklets
from training.experiments.cells import keep_document
from training.experiments.pairing import (
    cka_against_chance,
    find_partners,
    modality_gap,
    neighbour_agreement,
    partner_cosines,
)
from training.memory import build_memory, load_memory, save_memory
from training.network import memory_encoder
from training.progress import Progress
from training.start import clip_file, starting_model
from training.text_tower import TextTower, load_text_tower

NEIGHBOURS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Sides:
    """Rows of the same Y identities, made in several ways; (Y, projection) float32 each, not normalised.

    Attributes:
        memory: the CLIP-Memory of the untouched encoder.
        prompts: text features of learned prompts, for each seed.
        descriptions: text features of sentences that describe each identity; None without them.
        cut: sentences that fill the tower's context and may be cut off.
    """

    memory: Tensor
    prompts: tuple[Tensor, ...]
    descriptions: Tensor | None
    cut: int

    def pairs(self) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """What is compared with what, by the names of both; a pair for each seed where prompts are in it."""
        pairs = {"learned prompts, memory": [(one, self.memory) for one in self.prompts]}
        if self.descriptions is not None:
            pairs["descriptions, memory"] = [(self.descriptions, self.memory)]
            pairs["descriptions, learned prompts"] = [(self.descriptions, one) for one in self.prompts]
        return pairs


def read_descriptions(path: Path, identities: Sequence[str]) -> list[list[str]]:
    """Read sentences about people: a JSON object from identity to a sentence or a list of them.

    Args:
        path: the file.
        identities: who must be in it; others may be.

    Returns:
        One sentence or more for each identity, in their order.

    Raises:
        ConfigError: it cannot be read, is something else, or lacks an identity.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds no object: expected a sentence, or a list of them, for each identity")
    if missing := [one for one in identities if one not in document]:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        raise ConfigError(
            f"{path} describes not everybody: {', '.join(missing[:3])}{more} of {len(identities)} missing"
        )
    sentences = []
    for name in identities:
        said = document[name] if isinstance(document[name], list) else [document[name]]
        if not said or not all(isinstance(one, str) and one.strip() for one in said):
            raise ConfigError(f"{path}: {name} has {document[name]!r}, expected a sentence or a list of them")
        sentences.append(said)
    return sentences


def make_sides(
    config: TrainingConfig,
    tracklets: Sequence[LabelledTracklet],
    cameras: int,
    sentences: Sequence[Sequence[str]] | None,
    out: Path,
    *,
    seeds: int,
    device: torch.device,
    progress: Progress,
) -> Sides:
    """Make the memory, learn prompts once for each seed, and encode descriptions.

    Image features and prompts are kept in `out` and not made again.

    Args:
        config: its network starts from CLIP weights with their text tower; `memory.text` is how prompts are learned.
        tracklets: of the training set.
        cameras: of the data set.
        sentences: for each identity, in the order of `label_map`.
        out: folder of the experiment; it exists.
        seeds: how many, from the config's on.
        device: where to compute.
        progress: where to show what happens.

    Raises:
        WeightsError: the weights are none of a CLIP, or have no text tower.
        ConfigError: the prompts cannot be learned, or `out` was started with other CLIP weights.
        DataSetError: a frame cannot be read.
    """
    tower = load_text_tower(clip_file(config.network)).to(device)
    labels = label_map(tuple(tracklets))
    model, source = starting_model(config.network, cameras, config.seed)
    names = [one.name for one in tracklets]

    def describe() -> Tensor:
        progress.note(f"every frame once, no augmentation, through the encoder of {source}")
        plain = memory_encoder(model)
        described = describe_tracklets(
            plain, tracklets, clips="dense", device=device, progress=progress.bar("clips described")
        )
        return described[:, plain.config.width :]

    identifier = model_id(model)
    keep_document(out / "network.json", {"model_id": identifier}, "other CLIP weights")
    features = _kept(out / "features.safetensors", names, identifier, describe)
    owners = torch.tensor([labels[one.identity] for one in tracklets])
    prompts = []
    for seed in range(config.seed, config.seed + seeds):

        def learn(seed: int = seed) -> Tensor:
            progress.note(f"prompts, seed {seed}: {config.memory.text.epochs} epochs")
            try:
                rows, loss = learn_text_features(
                    tower, features, owners, config.memory.text, seed=seed, progress=progress.bar("prompts, epochs")
                )
            except ValueError as error:
                raise ConfigError(str(error)) from error
            progress.note(f"prompts learned: loss {loss:.3f}")
            return rows

        prompts.append(_kept(out / f"prompts-{seed}.safetensors", list(labels), identifier, learn))
    memory = build_memory([(features, owners)], len(labels))
    if sentences is None:
        return Sides(memory, tuple(prompts), None, 0)
    return Sides(memory, tuple(prompts), *_encode(tower, sentences, device))


def measure_pair(first: Tensor, second: Tensor) -> dict[str, float]:
    """Every measure of two sets of partners, rows of length 1, by the names of the table's columns."""
    first, second = unit_length(first), unit_length(second)
    cka = cka_against_chance(first, second)
    gap = modality_gap(first, second)
    partners, others = partner_cosines(first, second)
    there, back = find_partners(first, second), find_partners(second, first)
    return {
        "cka": cka.value,
        "cka_expected": cka.expected,
        "cka_p": cka.p,
        **{f"agree-{k}": neighbour_agreement(first, second, k) for k in NEIGHBOURS if k < len(first) - 1},
        "partners": float(partners.mean()),
        "others": float(others.mean()),
        "gap": gap.distance,
        "gap_share": gap.distance / gap.spread,
        "there-rank-1": there.rank_1,
        "there-mean-rank": there.mean_rank,
        "back-rank-1": back.rank_1,
        "back-mean-rank": back.mean_rank,
    }


def measure_sides(sides: Sides) -> Mapping[str, list[dict[str, Any]]]:
    """Measure all pairs; for each a list over seeds.

    Raises:
        ConfigError: there are fewer than three identities, or rows of a set are all the same.
    """
    if len(sides.memory) < 3:
        raise ConfigError(f"there are {len(sides.memory)} identities, expected three or more to compare")
    try:
        return {name: [measure_pair(*one) for one in several] for name, several in sides.pairs().items()}
    except ValueError as error:
        raise ConfigError(str(error)) from error


@torch.no_grad()
def _encode(tower: TextTower, sentences: Sequence[Sequence[str]], device: torch.device) -> tuple[Tensor, int]:
    """For each identity the mean of its sentences' features of length 1; and how many sentences fill the context."""
    rows, cut = [], 0
    for several in sentences:
        features = []
        for sentence in several:
            tokens = tower.tokens(sentence)
            cut += len(tokens) == tower.tower.context_length
            features.append(tower(tower.embed(tokens.to(device)).unsqueeze(0))[0].float().cpu())
        rows.append(unit_length(torch.stack(features)).mean(dim=0))
    return torch.stack(rows), cut


def _kept(path: Path, names: Sequence[str], identifier: str, make: Callable[[], Tensor]) -> Tensor:
    """Rows by names out of a file of the experiment, or made now and written there."""
    if path.exists():
        return load_memory(path, names)
    rows = make()
    save_memory(path, rows, names, identifier)
    return rows
