"""A network with a whitening of its descriptors, learned from labelled tracklets, and one without."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from model.checkpoint import empty_model
from model.data.folder import natural_key
from model.tfclip import TFCLIP
from model.whitening import within_identity_whitening
from training.datasets.tracklets import LabelledTracklet
from training.evaluation import describe_tracklets


def learn_whitening(
    model: TFCLIP,
    tracklets: Sequence[LabelledTracklet],
    *,
    shrinkage: float,
    mirrored: bool,
    device: str | torch.device = "cpu",
    batch_clips: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> TFCLIP:
    """Whiten a network's descriptors by how they vary within identities.

    Args:
        model: any; a whitening that it has is replaced.
        tracklets: of identities that are seen twice or more, by several cameras if the whitening is to be of use.
        shrinkage: see `within_identity_whitening`.
        mirrored: whether the network is to describe mirror images too from now on.
        device, batch_clips, progress: as for `describe_tracklets`.

    Raises:
        ValueError: too few identities have two tracklets.
        DataSetError: a frame cannot be read.
    """
    plain = _rebuilt(model, whitened=False, mirrored=mirrored)
    rows = describe_tracklets(plain, tracklets, device=device, batch_clips=batch_clips, progress=progress)
    names = sorted({one.identity for one in tracklets}, key=natural_key)
    numbers = {name: number for number, name in enumerate(names)}
    labels = torch.tensor([numbers[one.identity] for one in tracklets])
    mean, matrix = within_identity_whitening(rows, labels, shrinkage)
    state = {name: tensor.cpu() for name, tensor in plain.state_dict().items()}
    whitened = empty_model(replace(plain.config, whitened=True), plain.image)
    state |= {"whitening.mean": mean, "whitening.matrix": matrix}
    whitened.load_state_dict(state, assign=True)
    return whitened


def without_whitening(model: TFCLIP) -> TFCLIP:
    """The network that the whitening was learned for, described without mirror images; itself if it has neither."""
    if model.whitening is None and not model.config.mirrored:
        return model
    return _rebuilt(model, whitened=False, mirrored=False)


def _rebuilt(model: TFCLIP, *, whitened: bool, mirrored: bool) -> TFCLIP:
    other = empty_model(replace(model.config, whitened=whitened, mirrored=mirrored), model.image)
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("whitening.")}
    other.load_state_dict(state, assign=True)
    return other
