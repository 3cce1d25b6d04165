"""Descriptors computed in bfloat16, and on a GPU, point where those computed in float32 on the CPU do."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.clips import dense_clips
from model.data.synthetic import draw_tracklet
from model.default_weights import DEMO_WEIGHTS, open_model
from model.preprocess import to_tensor
from model.tfclip import mean_of_clips
from service.embedding.backend import Precision, TorchBackend

CLOSE = 0.999
FRAMES = 6


def backend(device: str, precision: Precision) -> TorchBackend:
    return TorchBackend(open_model(DEMO_WEIGHTS)[0], device, precision)


@pytest.fixture(scope="module")
def reference() -> tuple[list[Tensor], Tensor]:
    """Clips of eight people before two cameras, and their float32 descriptors, (16, D)."""
    network = open_model(DEMO_WEIGHTS)[0]
    clips = []
    for person in range(8):
        for camera in range(2):
            frames = to_tensor(draw_tracklet(person, camera, frames=FRAMES), network.image)
            clips.append(frames[torch.tensor(dense_clips(FRAMES, network.config.clip_length))])
    return clips, descriptors(backend("cpu", "float32"), clips)


def descriptors(one: TorchBackend, clips: list[Tensor]) -> Tensor:
    counts = torch.tensor([len(some) for some in clips])
    found = one.embed(torch.cat(clips))
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")
    return mean_of_clips(found, counts)


def cosines(found: Tensor, expected: Tensor) -> np.ndarray:
    return torch.cosine_similarity(found.double(), expected.double()).numpy()


def test_bfloat16_descriptors_point_where_float32_ones_do(reference: tuple[list[Tensor], Tensor]) -> None:
    clips, expected = reference
    found = descriptors(backend("cpu", "bfloat16"), clips)
    assert not torch.equal(found, expected)
    assert cosines(found, expected).min() >= CLOSE


def test_a_precision_makes_no_other_model() -> None:
    assert backend("cpu", "bfloat16").model_id == backend("cpu", "float32").model_id


def test_a_bfloat16_descriptor_is_the_same_alone_or_in_a_batch(reference: tuple[list[Tensor], Tensor]) -> None:
    clips, _ = reference
    reduced = backend("cpu", "bfloat16")
    together = reduced.embed(torch.cat(clips[:4]))
    alone = torch.cat([reduced.embed(some) for some in clips[:4]])
    assert cosines(together, alone).min() >= CLOSE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bfloat16", CLOSE)])
def test_descriptors_of_a_gpu_point_where_those_of_the_cpu_do(
    reference: tuple[list[Tensor], Tensor], precision: Precision, least: float
) -> None:
    clips, expected = reference
    assert cosines(descriptors(backend("cuda", precision), clips), expected).min() >= least
