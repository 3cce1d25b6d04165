"""TFCLIP: frames of one clip -> features -> descriptor."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.encoder import FrameEncoder, FrameTokens
from model.fusion import make_fusion
from model.preprocess import ImageSpecification
from model.temporal import TemporalMemoryDiffusion
from model.whitening import Whitening


@dataclass(frozen=True)
class TrackletFeatures:
    """What the network says about B clips of T frames, in the letters of method.md 2.1.

    Attributes:
        u: (B, width), CLS before projection, mean over frames.
        v: (B, projection), CLS after projection, mean over frames (or the config's other fusion).
        g: (B, width), TMD, mean over frames; None without TMD.
        u_frames, v_frames, g_frames: (B, T, ...), the same before the mean over frames.
        projected_tokens: (B, N, projection), every projected token, mean over frames (Vtok).
    """

    u: Tensor
    v: Tensor
    g: Tensor | None
    u_frames: Tensor
    v_frames: Tensor
    g_frames: Tensor | None
    projected_tokens: Tensor

    @property
    def descriptor(self) -> Tensor:
        """(B, D): [u, v] or [u, v, g], not normalised (method.md 2.6)."""
        return torch.cat([self.u, self.v] if self.g is None else [self.u, self.v, self.g], dim=1)

    @property
    def frame_descriptors(self) -> Tensor:
        """(B, T, D): the same of each frame, [u_f, v_f] or [u_f, v_f, g_f]; their mean over frames is `descriptor`.

        With a fusion other than `mean`, v is no mean of the frames' v_f.
        """
        parts = [self.u_frames, self.v_frames]
        return torch.cat(parts if self.g_frames is None else [*parts, self.g_frames], dim=2)


class ClipDescriptors(NamedTuple):
    """Descriptors of B clips, not normalised, and of each of their T frames.

    Attributes:
        clips: (B, D).
        frames: (B, T, D); their mean over T is `clips`, except where v is fused otherwise (method.md 7.4).
    """

    clips: Tensor
    frames: Tensor


class TFCLIP(nn.Module):
    """The network of TF-CLIP as it is used to describe tracklets; what only training needs is not here.

    Args:
        config: architecture.
        image: image specification of the frames; by default ImageNet statistics at the config's size.

    Raises:
        ValueError: `image` is of another size than `config` says.
    """

    def __init__(self, config: ModelConfig, image: ImageSpecification | None = None) -> None:
        super().__init__()
        size = (config.image_height, config.image_width)
        self.config = config
        self.image = image or ImageSpecification(height=size[0], width=size[1])
        if (self.image.height, self.image.width) != size:
            raise ValueError(
                f"image specification is {self.image.height}x{self.image.width}, config expects {size[0]}x{size[1]}"
            )
        self.encoder = FrameEncoder(config)
        self.fusion = make_fusion(config)
        self.temporal = TemporalMemoryDiffusion(config) if config.temporal_memory_diffusion else None
        self.whitening = Whitening(config.descriptor_dim) if config.whitened else None

    def forward(self, frames: Tensor, cameras: Tensor | None = None) -> TrackletFeatures:
        """Compute the features of clips.

        Args:
            frames: (B, T, 3, H, W) float, normalised by `self.image`; any T >= 1, but at most `clip_length` when the
                network has learned positions for frames.
            cameras: (B,) int64, the camera of each tracklet; a number outside 0..cameras-1 (say -1) means that the
                camera is unknown. None: no tracklet has a camera.

        Raises:
            ValueError: a shape or dtype does not fit.
        """
        self._check_inputs(frames, cameras)
        batch, length = frames.shape[:2]
        frame_cameras = None if cameras is None else cameras.repeat_interleave(length)
        encoded: FrameTokens = self.encoder(frames.flatten(0, 1), frame_cameras)
        tokens = encoded.tokens.view(batch, length, *encoded.tokens.shape[1:])
        projected = encoded.projected.view(batch, length, *encoded.projected.shape[1:])
        g_frames: Tensor | None = None if self.temporal is None else self.temporal(tokens)
        u_frames, v_frames = tokens[:, :, 0], projected[:, :, 0]
        return TrackletFeatures(
            u=u_frames.mean(dim=1),
            v=v_frames.mean(dim=1) if self.fusion is None else self.fusion(v_frames),
            g=None if g_frames is None else g_frames.mean(dim=1),
            u_frames=u_frames,
            v_frames=v_frames,
            g_frames=g_frames,
            projected_tokens=projected.mean(dim=1),
        )

    @torch.no_grad()
    def describe(self, frames: Tensor, cameras: Tensor | None = None) -> Tensor:
        """Return the descriptors of B tracklets of one clip each, (B, D), not normalised, without gradient.

        Arguments and errors are those of `forward`. A tracklet of several clips: describe every clip, then
        `mean_of_clips`. Where the config says so, the mirror image counts too, and the whole is whitened.
        """
        return self.describe_frames(frames, cameras).clips

    @torch.no_grad()
    def describe_frames(self, frames: Tensor, cameras: Tensor | None = None) -> ClipDescriptors:
        """Describe B clips as `describe` does, and in the same pass every frame of them.

        A frame's descriptor is [u_f, v_f, g_f] of method.md 2.1, mirrored and whitened as the clip's. g_f is that after
        Temporal Memory Diffusion, so it has seen the other frames of the clip; u_f and v_f have not.
        """
        features: TrackletFeatures = self(frames, cameras)
        descriptors, of_frames = features.descriptor, features.frame_descriptors
        if self.config.mirrored:
            mirrored: TrackletFeatures = self(frames.flip(-1), cameras)
            descriptors = (descriptors + mirrored.descriptor) / 2
            of_frames = (of_frames + mirrored.frame_descriptors) / 2
        if self.whitening is not None:
            descriptors, of_frames = self.whitening(descriptors), self.whitening(of_frames)
        return ClipDescriptors(descriptors, of_frames)

    def _check_inputs(self, frames: Tensor, cameras: Tensor | None) -> None:
        image = (3, self.image.height, self.image.width)
        if frames.ndim != 5 or tuple(frames.shape[2:]) != image or 0 in frames.shape[:2]:
            raise ValueError(f"frames are {tuple(frames.shape)}, expected (B, T, {image[0]}, {image[1]}, {image[2]})")
        if not frames.is_floating_point():
            raise ValueError(f"frames are {frames.dtype}, expected a normalised floating point tensor")
        if cameras is not None and (cameras.shape != frames.shape[:1] or cameras.dtype != torch.int64):
            raise ValueError(
                f"cameras are {tuple(cameras.shape)} {cameras.dtype}, expected ({len(frames)},) torch.int64"
            )


def mean_of_clips(clip_features: Tensor, clips_per_tracklet: Tensor) -> Tensor:
    """Average the features of each tracklet's dense clips.

    Args:
        clip_features: (C, D) float, clips of all tracklets one after another.
        clips_per_tracklet: (B,) int64, how many of the C rows each tracklet owns: each >= 1, summing to C.

    Returns:
        (B, D) descriptors, not normalised (method.md 1.4: the average comes before the L2 norm).

    Raises:
        ValueError: a tracklet has no clip, or the counts do not add up to C.
    """
    counts: list[int] = clips_per_tracklet.tolist()
    if min(counts, default=0) < 1 or sum(counts) != len(clip_features):
        raise ValueError(f"clips_per_tracklet is {counts}, expected numbers >= 1 that sum to {len(clip_features)}")
    return torch.stack([clips.mean(dim=0) for clips in torch.split(clip_features, counts)])
