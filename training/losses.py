"""The losses of TF-CLIP (method.md 3). All of them are computed in float32, under autocast too."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.tfclip import TrackletFeatures
from training.heads import IdentityLogits

_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How the losses are added.

    Attributes:
        identity: of each of the ID losses of u, v and g; 0.25 is the released code's, 1 the paper's.
        triplet: of each of the triplet losses of u, v and g.
        contrastive: of each of the supervised contrastive losses of u, v and g. 0, as in the paper's recipe: none. From
            random numbers it learns where the triplet loss may not, for which all features can draw together until it
            is its margin, and stay there (method.md 8.5).
        contrastive_temperature: what the cosines of the contrastive losses are divided by.
        video_to_memory: of V2M.
        frame_identity: of the ID loss of single frames; None is 1 / T, the released code's. The paper has none: 0.
        smoothing: of the labels in every cross-entropy.
        margin: of the triplet losses.
    """

    identity: float = 0.25
    triplet: float = 1.0
    contrastive: float = 0.0
    contrastive_temperature: float = 0.1
    video_to_memory: float = 1.0
    frame_identity: float | None = None
    smoothing: float = 0.1
    margin: float = 0.3

    def __post_init__(self) -> None:
        if not self.contrastive_temperature > 0:
            raise ValueError(f"contrastive_temperature is {self.contrastive_temperature}, expected more than 0")


@dataclass(frozen=True, kw_only=True)
class LossTerms:
    """Scalars of one batch, unweighted but for `total`; None where the network has no such part.

    Attributes:
        accuracy: share of clips that the classifier of u gets right.
    """

    total: Tensor
    identity_u: Tensor
    identity_v: Tensor
    identity_g: Tensor | None
    triplet_u: Tensor
    triplet_v: Tensor
    triplet_g: Tensor | None
    contrastive_u: Tensor | None
    contrastive_v: Tensor | None
    contrastive_g: Tensor | None
    frame_identity: Tensor | None
    video_to_memory: Tensor | None
    accuracy: Tensor


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy with target (1 - eps) onehot + eps / Y, mean over rows.

    Args:
        logits: (B, Y) float.
        labels: (B,) int64 in 0..Y-1.
        smoothing: eps.
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Hinge on each anchor's farthest positive and nearest negative, Euclidean distance, mean over anchors.

    Args:
        features: (B, D) float, not normalised.
        labels: (B,) int64.
        margin: the negative must be farther away than the positive by this much.

    Returns:
        Scalar. An anchor is its own positive if it has no other; an anchor without a negative costs nothing.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = features.float()
        # Differences, not |x|^2 + |y|^2 - 2xy, which cancels; the clamp keeps the root's gradient finite at zero.
        squared = (rows.unsqueeze(1) - rows.unsqueeze(0)).square().sum(dim=2)
        distances = squared.clamp(min=_TINY).sqrt()
        same = labels.unsqueeze(1) == labels.unsqueeze(0)
        positive = distances.masked_fill(~same, -torch.inf).amax(dim=1)
        negative = distances.masked_fill(same, torch.inf).amin(dim=1)
        return F.relu(positive - negative + margin).mean()


def supervised_contrastive(features: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy that picks an anchor's positives among all other rows, by cosine, mean over anchors.

    Khosla et al., arXiv 2004.11362, equation 2, positives outside the logarithm (method.md 8.5).

    Args:
        features: (B, D) float, not normalised.
        labels: (B,) int64.
        temperature: the cosines are divided by it, over 0.

    Returns:
        Scalar. An anchor without a positive costs nothing, and counts in the mean.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = F.normalize(features.float(), dim=1)
        cosines = rows @ rows.T / temperature
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        positive = (labels.unsqueeze(1) == labels.unsqueeze(0)) & ~itself
        log_share = cosines - cosines.masked_fill(itself, -torch.inf).logsumexp(dim=1, keepdim=True)
        return -(log_share.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)).mean()


def video_to_memory_logits(v: Tensor, memory: Tensor, *, normalise: bool = False, temperature: float = 1.0) -> Tensor:
    """Products of sequences with memory entries.

    Args:
        v: (B, d).
        memory: (B, Y, d), adapted to each sequence, or (Y, d).
        normalise: cosines instead of raw dot products (the released code's).
        temperature: what the products are divided by.

    Returns:
        (B, Y) float32.
    """
    with torch.autocast(v.device.type, enabled=False):
        rows, entries = v.float(), memory.float()
        if normalise:
            rows, entries = F.normalize(rows, dim=-1), F.normalize(entries, dim=-1)
        products = rows @ entries.T if entries.ndim == 2 else torch.einsum("bd,byd->by", rows, entries)
        return products / temperature


def total_loss(
    features: TrackletFeatures,
    logits: IdentityLogits,
    memory_logits: Tensor | None,
    labels: Tensor,
    weights: LossWeights,
) -> LossTerms:
    """Add the losses of B clips up (method.md 3).

    Args:
        features: of the clips.
        logits: of the necks and classifiers.
        memory_logits: (B, Y), or (B, P, Y) where the memory has P rows for an identity: the mean of their losses is
            taken. None while there is no memory.
        labels: (B,) int64.
        weights: how to add.
    """

    def identity(rows: Tensor, of: Tensor) -> Tensor:
        return smoothed_cross_entropy(rows, of, weights.smoothing)

    identities = [identity(logits.u, labels), identity(logits.v, labels)]
    parts = [features.u, features.v] + ([] if features.g is None else [features.g])
    triplets = [batch_hard_triplet(part, labels, weights.margin) for part in parts]
    contrasts = []
    if weights.contrastive:
        contrasts = [supervised_contrastive(part, labels, weights.contrastive_temperature) for part in parts]
    frames = None
    if (
        features.g is not None
        and features.g_frames is not None
        and logits.g is not None
        and logits.g_frames is not None
    ):
        length = features.g_frames.shape[1]
        identities.append(identity(logits.g, labels))
        frames = identity(logits.g_frames, labels.repeat_interleave(length))
    total = weights.identity * torch.stack(identities).sum() + weights.triplet * torch.stack(triplets).sum()
    if contrasts:
        total = total + weights.contrastive * torch.stack(contrasts).sum()
    if frames is not None:
        total = total + (1 / length if weights.frame_identity is None else weights.frame_identity) * frames
    memory = None
    if memory_logits is not None:
        proxies = 1 if memory_logits.ndim == 2 else memory_logits.shape[1]
        memory = identity(memory_logits.flatten(0, -2), labels.repeat_interleave(proxies))
        total = total + weights.video_to_memory * memory
    return LossTerms(
        total=total,
        identity_u=identities[0],
        identity_v=identities[1],
        identity_g=identities[2] if len(identities) == 3 else None,
        triplet_u=triplets[0],
        triplet_v=triplets[1],
        triplet_g=triplets[2] if len(triplets) == 3 else None,
        contrastive_u=contrasts[0] if contrasts else None,
        contrastive_v=contrasts[1] if contrasts else None,
        contrastive_g=contrasts[2] if len(contrasts) == 3 else None,
        frame_identity=frames,
        video_to_memory=memory,
        accuracy=(logits.u.argmax(dim=1) == labels).float().mean(),
    )
