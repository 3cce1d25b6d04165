"""Describing tracklets and evaluating a network on a data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import training.evaluation
from model import TFCLIP, ModelConfig, new_model
from model.clips import dense_clips, restricted_first_clip
from model.metrics import evaluate_retrieval
from model.preprocess import ImageSpecification, to_tensor
from training.datasets.tracklets import DataSet, DataSetError, LabelledTracklet
from training.evaluation import ClipChoice, describe_tracklets, distinct_tracklets, evaluate_model, rank

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=4, cameras=3
)


@pytest.fixture
def network() -> TFCLIP:
    network = new_model(CONFIG, seed=1)
    # A table whose part in a descriptor cannot be missed.
    cameras = network.encoder.camera_embedding
    assert cameras is not None
    with torch.no_grad():
        cameras.copy_(torch.randn(cameras.shape, generator=torch.Generator().manual_seed(0)))
    return network


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    """Four people of one colour each before three cameras, tracklets of 1 to 13 frames."""
    rng = np.random.default_rng(5)
    tracklets = []
    for number in range(12):
        person, camera = number % 4, number // 4
        folder = tmp_path / f"{person}" / f"{camera}" / "0"
        folder.mkdir(parents=True)
        colour = np.array([60 * person, 255 - 60 * person, 40 * person])
        frames = []
        for frame in range(1 + (5 * number) % 13):
            pixels = (colour + rng.normal(0, 30, (32, 16, 3))).clip(0, 255).astype(np.uint8)
            frames.append(folder / f"{frame}.png")
            Image.fromarray(pixels).save(frames[-1])
        tracklets.append(LabelledTracklet(f"{person}/{camera}/0", f"{person}", camera, tuple(frames)))
    everyone = tuple(tracklets)
    return DataSet("folder", tmp_path, everyone, everyone, everyone, ("0", "1", "2"))


def plain_descriptor(network: TFCLIP, tracklet: LabelledTracklet, clips: ClipChoice, camera: int | None) -> Tensor:
    """One tracklet on its own: every frame at once, every clip on its own, then the mean."""
    frames = to_tensor([Image.open(path) for path in tracklet.frames], network.image)
    count = len(tracklet.frames)
    chosen = dense_clips(count, 4) if clips == "dense" else [restricted_first_clip(count, 4)]
    cameras = None if camera is None else torch.tensor([camera])
    return torch.stack([network.describe(frames[clip].unsqueeze(0), cameras)[0] for clip in chosen]).mean(dim=0)


@pytest.mark.parametrize("clips", ["dense", "rrs"])
@pytest.mark.parametrize("batch_clips", [1, 3, 100])
def test_a_descriptor_is_the_mean_of_its_clips_whatever_the_batch(
    network: TFCLIP, data: DataSet, clips: ClipChoice, batch_clips: int
) -> None:
    expected = torch.stack([plain_descriptor(network, one, clips, None) for one in data.query])
    found = describe_tracklets(network, data.query, clips=clips, batch_clips=batch_clips)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_cameras_are_used_when_they_are_asked_for_and_the_model_knows_cameras(network: TFCLIP, data: DataSet) -> None:
    without = describe_tracklets(network, data.query)
    using = describe_tracklets(network, data.query, use_cameras=True, batch_clips=3)
    expected = torch.stack([plain_descriptor(network, one, "dense", one.camera) for one in data.query])
    torch.testing.assert_close(using, expected, atol=1e-5, rtol=0)
    assert (using - without).abs().max() > 1e-3
    ignorant = new_model(replace(CONFIG, cameras=0), seed=1)
    assert torch.equal(
        describe_tracklets(ignorant, data.query), describe_tracklets(ignorant, data.query, use_cameras=True)
    )


def test_a_model_in_training_is_used_in_evaluation_mode_and_goes_on_training(network: TFCLIP, data: DataSet) -> None:
    expected = describe_tracklets(network, data.query)
    network.train()
    assert torch.equal(describe_tracklets(network, data.query), expected)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_progress_ends_with_every_clip(network: TFCLIP, data: DataSet) -> None:
    told: list[tuple[int, int]] = []
    describe_tracklets(network, data.query, batch_clips=5, progress=lambda done, total: told.append((done, total)))
    total = sum(-(-len(one.frames) // 4) for one in data.query)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == [*range(5, total, 5), total]


def test_few_clips_exist_at_one_time_however_long_a_tracklet_is(
    network: TFCLIP, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, described, ahead = 0, 0, 0
    really_read = training.evaluation.read_frames

    def counting(paths: tuple[Path, ...], image: ImageSpecification) -> Tensor:
        nonlocal read
        read += 1
        return really_read(paths, image)

    def watching(done: int, total: int) -> None:
        nonlocal described, ahead
        ahead, described = max(ahead, read - described), done

    monkeypatch.setattr(training.evaluation, "read_frames", counting)
    long = replace(data.query[0], frames=data.query[0].frames * 800)
    describe_tracklets(network, [long], batch_clips=4, progress=watching)
    assert described == 200
    assert 4 <= ahead <= 4 * 4


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_frame_that_cannot_be_read_is_named(network: TFCLIP, data: DataSet, content: bytes) -> None:
    path = data.query[7].frames[3]
    path.write_bytes(content)
    with pytest.raises(DataSetError, match=f"frame {path} cannot be read") as caught:
        describe_tracklets(network, data.query)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataSetError, match=f"frame {path} cannot be read"):
        describe_tracklets(network, data.query, workers=1, batch_clips=1)


def test_evaluating_a_model_is_measuring_its_descriptors(network: TFCLIP, data: DataSet) -> None:
    vectors = describe_tracklets(network, data.query)
    people = torch.tensor([int(one.identity) for one in data.query])
    cameras = torch.tensor([one.camera for one in data.query])
    expected = evaluate_retrieval(vectors, vectors, people, people, cameras, cameras)
    found = evaluate_model(network, data)
    assert found.to_dict() == expected.to_dict()
    assert (found.queries, found.gallery) == (12, 12)


def test_a_tracklet_that_asks_and_is_asked_is_described_once(data: DataSet) -> None:
    assert distinct_tracklets(data) == data.gallery
    apart = replace(data, query=data.query[:4], gallery=data.query[4:])
    assert distinct_tracklets(apart) == data.query[4:] + data.query[:4]
    overlapping = replace(data, query=data.query[:6], gallery=data.query[4:])
    assert len(distinct_tracklets(overlapping)) == 12


def test_query_and_gallery_get_their_own_descriptors(data: DataSet) -> None:
    apart = replace(data, query=data.query[:4], gallery=data.query[4:])
    vectors = torch.eye(12)
    distances, labels = rank(apart, vectors)
    assert torch.equal(distances[0:4], torch.ones(4, 8))
    assert labels.query_identities.tolist() == [0, 1, 2, 3]
    assert labels.gallery_cameras.tolist() == [1] * 4 + [2] * 4
    with pytest.raises(ValueError, match="11 descriptors, expected 12"):
        rank(apart, vectors[:11])


def test_re_ranking_counts_a_tracklet_once(network: TFCLIP, data: DataSet) -> None:
    """A query that is ranked with its copy in the gallery is ranked as one that is there alone."""
    vectors = describe_tracklets(network, data.query)
    whole, _ = rank(data, vectors, rerank=True)
    apart = replace(data, query=data.query[:4], gallery=data.query[4:])
    parted, _ = rank(apart, torch.cat([vectors[4:], vectors[:4]]), rerank=True)
    torch.testing.assert_close(parted[0:4], whole[0:4][:, 4:], atol=1e-5, rtol=0)


def test_a_data_set_without_queries_is_refused(network: TFCLIP, data: DataSet) -> None:
    with pytest.raises(ValueError, match="0 queries"):
        evaluate_model(network, replace(data, query=()))
