"""What the rows of the memory are made of: the encoder's own features, or text features of learned prompts."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from model.tfclip import TFCLIP
from training.clip_reid import learn_text_features
from training.config import ConfigError, TrainingConfig
from training.datasets.tracklets import LabelledTracklet
from training.evaluation import describe_tracklets
from training.memory import build_memory
from training.network import memory_encoder
from training.progress import Progress
from training.start import clip_file
from training.text_tower import TextTower, load_text_tower


def memory_is_due(config: TrainingConfig, epoch: int) -> bool:
    """Whether the memory is built when so many epochs are done; 0: before the first step."""
    memory = config.memory
    match memory.kind:
        case "clip" | "text":
            return epoch == 0
        case "rebuilt":
            return epoch >= memory.first_epoch and (epoch - memory.first_epoch) % memory.every == 0
        case "momentum":
            return epoch == (memory.first_epoch if config.network.start == "random" else 0)
    return False


def make_memory(
    model: TFCLIP,
    tracklets: Sequence[LabelledTracklet],
    labels: Mapping[str, int],
    config: TrainingConfig,
    device: torch.device,
    progress: Progress,
) -> Tensor:
    """Make the memory of `config.memory.kind` from the encoder as it is.

    Args:
        model: the network that is trained; for `clip` and `text` it must be untouched yet.
        tracklets: of the training set; every frame is used once, without augmentation.
        labels: row of each identity.
        config: of the run.
        device: where to compute.
        progress: where to show what happens.

    Returns:
        (Y, projection) float32 on the CPU, not normalised.

    Raises:
        WeightsError: the text tower cannot be read.
        ConfigError: the text tower or its recipe does not fit.
        DataSetError: a frame cannot be read.
    """
    # Read first: a missing tower is said before minutes of encoding.
    tower = load_text_tower(clip_file(config.network)) if config.memory.kind == "text" else None
    progress.note("CLIP-Memory: every training frame once, no augmentation")
    plain = memory_encoder(model)
    described = describe_tracklets(
        plain, tracklets, clips="dense", device=device, progress=progress.bar("tracklets described")
    )
    features = described[:, plain.config.width :]
    owners = torch.tensor([labels[one.identity] for one in tracklets])
    if tower is None:
        return build_memory([(features, owners)], len(labels))
    return _text_features(tower.to(device), features, owners, config, progress)


def _text_features(
    tower: TextTower, features: Tensor, owners: Tensor, config: TrainingConfig, progress: Progress
) -> Tensor:
    stage = config.memory.text
    progress.note(f"prompts: learned tokens for each identity, {stage.epochs} epochs; both towers stay as they are")
    try:
        rows, loss = learn_text_features(
            tower, features, owners, stage, seed=config.seed, progress=progress.bar("prompts, epochs")
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    progress.note(f"prompts learned: loss {loss:.3f}")
    return rows
