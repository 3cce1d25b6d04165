"""TrainingNetwork: TFCLIP and everything around it that only training needs."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.prompt import SequenceSpecificPrompt
from model.tfclip import TFCLIP, TrackletFeatures
from training.config import TrainingConfig
from training.distributed import gather_rows
from training.heads import IdentityHeads
from training.losses import LossTerms, total_loss, video_to_memory_logits
from training.momentum_memory import moved_rows


class TrainingNetwork(nn.Module):
    """What one training step computes: frames and labels in, losses out.

    Args:
        model: the network that is to be learned.
        identities: Y, how many people there are to tell apart.
        config: of the run.

    Attributes:
        memory: buffer (Y, projection), the CLIP-Memory; all zero until `remember` is called.
        hardest: buffer (Y, projection), the second row of each identity in a momentum memory that has two.
        remembers: whether there is a memory yet, a buffer so that it is saved with the rest.
    """

    memory: Tensor
    hardest: Tensor | None
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
        two = config.memory.kind == "momentum" and config.memory.proxies == "mean_hardest"
        self.register_buffer("hardest", torch.zeros(identities, sizes.projection) if two else None)
        self.register_buffer("remembers", torch.tensor(False))
        self._seen: list[tuple[Tensor, Tensor]] = []
        if config.checkpoint_gradients:
            model.encoder.visual.set_grad_checkpointing(True)

    def remember(self, memory: Tensor) -> None:
        """Take (Y, projection) as the CLIP-Memory from now on; a momentum memory starts from its normalised rows.

        Raises:
            ValueError: another shape, or not finite.
        """
        if memory.shape != self.memory.shape or not bool(torch.isfinite(memory).all()):
            raise ValueError(f"memory is {tuple(memory.shape)}, expected finite {tuple(self.memory.shape)}")
        self.memory.copy_(F.normalize(memory, dim=1) if self.config.memory.kind == "momentum" else memory)
        if self.hardest is not None:
            self.hardest.copy_(self.memory)
        self.remembers.fill_(True)

    @torch.no_grad()
    def move_memory(self) -> None:
        """Move a momentum memory towards the clips of all batches since the last call (method.md 8.1).

        It is called once for each optimiser step: the parts of an accumulated batch are compared with the same rows.
        Every process has seen all clips, so all of them keep the same memory. Any other memory stays as it is.
        """
        if not self._seen:
            return
        v, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        momentum = self.config.memory.momentum
        self.memory.copy_(moved_rows(self.memory, v, labels, momentum, towards="mean"))
        if self.hardest is not None:
            self.hardest.copy_(moved_rows(self.hardest, v, labels, momentum, towards="hardest"))

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
        if memory_logits is not None and self.training and self.config.memory.kind == "momentum":
            self._seen.append((features.v.detach(), labels))
        return total_loss(features, self.heads(features), memory_logits, labels, self.config.loss)

    def _memory_logits(self, features: TrackletFeatures) -> Tensor:
        """(B, Y), or (B, 2, Y) where an identity has two rows."""
        memory = self.memory if self.hardest is None else torch.cat([self.memory, self.hardest])
        if self.prompt is not None:
            released = self.config.prompt.variant == "released"
            context = features.projected_tokens if released else features.v_frames
            memory = memory + self.prompt(memory, context)
        settings = self.config.memory
        logits = video_to_memory_logits(
            features.v, memory, normalise=settings.normalise, temperature=settings.temperature
        )
        return logits if self.hardest is None else logits.view(len(logits), 2, -1)


def memory_encoder(model: TFCLIP) -> TFCLIP:
    """The part of the network that makes the CLIP-Memory: the same encoder, v the plain mean over frames, nothing else.

    Its descriptors are [u, v].
    """
    sizes: ModelConfig = replace(
        model.config, temporal_memory_diffusion=False, temporal_fusion="mean", mirrored=False, whitened=False
    )
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
