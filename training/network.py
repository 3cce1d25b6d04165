"""TrainingNetwork: TFCLIP and everything around it that only training needs."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.prompt import SequenceSpecificPrompt
from model.tfclip import TFCLIP, TrackletFeatures
from training.config import TrainingConfig
from training.distributed import gather_rows
from training.heads import IdentityHeads
from training.losses import LossTerms, total_loss, video_to_memory_logits


class TrainingNetwork(nn.Module):
    """What one training step computes: frames and labels in, losses out.

    Args:
        model: the network that is to be learned.
        identities: Y, how many people there are to tell apart.
        config: of the run.

    Attributes:
        memory: buffer (Y, projection), the CLIP-Memory; all zero until `remember` is called.
        remembers: whether there is a memory yet, a buffer so that it is saved with the rest.
    """

    memory: Tensor
    remembers: Tensor

    def __init__(self, model: TFCLIP, identities: int, config: TrainingConfig) -> None:
        super().__init__()
        sizes = model.config
        self.model = model
        self.heads = IdentityHeads(sizes.width, sizes.projection, identities, temporal=sizes.temporal_memory_diffusion)
        prompt = config.prompt
        self.prompt: SequenceSpecificPrompt | None = None
        if prompt.variant != "none":
            self.prompt = SequenceSpecificPrompt(
                sizes.projection,
                variant=prompt.variant,
                layers=prompt.layers,
                heads=prompt.heads,
                dropout=prompt.dropout,
            )
        self.config = config
        # The compiled function, not a compiled module: a module would put all parameters into the state a second time.
        self._features = torch.compile(model.forward) if config.compile else model.forward
        self.register_buffer("memory", torch.zeros(identities, sizes.projection))
        self.register_buffer("remembers", torch.tensor(False))
        if config.checkpoint_gradients:
            model.encoder.visual.set_grad_checkpointing(True)

    def remember(self, memory: Tensor) -> None:
        """Take (Y, projection) as the CLIP-Memory from now on.

        Raises:
            ValueError: another shape, or not finite.
        """
        if memory.shape != self.memory.shape or not bool(torch.isfinite(memory).all()):
            raise ValueError(f"memory is {tuple(memory.shape)}, expected finite {tuple(self.memory.shape)}")
        self.memory.copy_(memory)
        self.remembers.fill_(True)

    def forward(self, frames: Tensor, labels: Tensor, cameras: Tensor) -> LossTerms:
        """Compute the losses of a batch (method.md 3); with several processes, of all their batches together.

        Args:
            frames: (B, T, 3, H, W) float, normalised.
            labels: (B,) int64 in 0..Y-1.
            cameras: (B,) int64; used when the encoder has a camera table.
        """
        features: TrackletFeatures = self._features(frames, cameras)
        memory_logits = self._memory_logits(features) if bool(self.remembers) else None
        features = _gather_features(features)
        if memory_logits is not None:
            memory_logits = gather_rows(memory_logits)
        labels = gather_rows(labels)
        return total_loss(features, self.heads(features), memory_logits, labels, self.config.loss)

    def _memory_logits(self, features: TrackletFeatures) -> Tensor:
        memory = self.memory
        if self.prompt is not None:
            released = self.config.prompt.variant == "released"
            context = features.projected_tokens if released else features.v_frames
            memory = memory + self.prompt(memory, context)
        settings = self.config.memory
        return video_to_memory_logits(
            features.v, memory, normalise=settings.normalise, temperature=settings.temperature
        )


def memory_encoder(model: TFCLIP) -> TFCLIP:
    """The part of the network that makes the CLIP-Memory: the same encoder, v the plain mean over frames, nothing else.

    Its descriptors are [u, v].
    """
    sizes: ModelConfig = replace(model.config, temporal_memory_diffusion=False, temporal_fusion="mean")
    with torch.device("meta"):
        plain = TFCLIP(sizes, model.image)
    plain.encoder = model.encoder
    return plain.eval()


def _gather_features(features: TrackletFeatures) -> TrackletFeatures:
    """Features of every process's clips; projected tokens, which nobody needs afterwards, stay this process's own."""
    return replace(
        features,
        u=gather_rows(features.u),
        v=gather_rows(features.v),
        g=None if features.g is None else gather_rows(features.g),
        g_frames=None if features.g_frames is None else gather_rows(features.g_frames),
    )
