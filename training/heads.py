"""Necks and classifiers, which only training has (method.md 2.5)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.tfclip import TrackletFeatures


class IdentityLogits(NamedTuple):
    """Logits over the Y identities, float32.

    Attributes:
        u, v, g: (B, Y), of the clips; g is None without TMD.
        g_frames: (B * T, Y), of the frames, by the classifier of g.
    """

    u: Tensor
    v: Tensor
    g: Tensor | None
    g_frames: Tensor | None


class IdentityHeads(nn.Module):
    """Four BatchNorm necks and three linear classifiers without bias; g and its frames share one.

    Args:
        width, projection: channels of u and g, and of v.
        identities: Y.
        temporal: whether there is a g.
    """

    def __init__(self, width: int, projection: int, identities: int, *, temporal: bool) -> None:
        super().__init__()
        self.neck_u = _neck(width)
        self.neck_v = _neck(projection)
        self.classifier_u = _classifier(width, identities)
        self.classifier_v = _classifier(projection, identities)
        self.neck_g = _neck(width) if temporal else None
        self.neck_g_frames = _neck(width) if temporal else None
        self.classifier_g = _classifier(width, identities) if temporal else None

    def forward(self, features: TrackletFeatures) -> IdentityLogits:
        """Classify features of B clips of T frames; float32 under autocast too."""
        with torch.autocast(features.u.device.type, enabled=False):
            g = g_frames = None
            if self.classifier_g is not None and self.neck_g is not None and self.neck_g_frames is not None:
                assert features.g is not None
                assert features.g_frames is not None
                g = self.classifier_g(self.neck_g(features.g.float()))
                g_frames = self.classifier_g(self.neck_g_frames(features.g_frames.flatten(0, 1).float()))
            return IdentityLogits(
                u=self.classifier_u(self.neck_u(features.u.float())),
                v=self.classifier_v(self.neck_v(features.v.float())),
                g=g,
                g_frames=g_frames,
            )


def _neck(channels: int) -> nn.BatchNorm1d:
    neck = nn.BatchNorm1d(channels)
    neck.bias.requires_grad_(False)
    return neck


def _classifier(channels: int, identities: int) -> nn.Linear:
    classifier = nn.Linear(channels, identities, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier
