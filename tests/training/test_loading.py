"""Training clips from files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import training.loading
from model.preprocess import ImageSpecification, to_tensor
from tests.training.small_run import coloured_people
from training.augment import Augmentation
from training.datasets.registry import read_data_set
from training.datasets.tracklets import DataSet, DataSetError, label_map
from training.loading import ClipBatch, Draw, TrackletClips, make_loader, normalise

IMAGE = ImageSpecification(height=24, width=12)
PLAIN = Augmentation(flip=0, erase=0)
FULL = Augmentation(crop_padding=2, colour=0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return read_data_set("folder", coloured_people(tmp_path_factory.mktemp("people"), people=3, frames=5))


def clips_of(data: DataSet, augmentation: Augmentation, **options: bool) -> TrackletClips:
    return TrackletClips(data.train, label_map(data.train), IMAGE, 5, augmentation, seed=4, **options)


def draws(data: DataSet) -> list[list[Draw]]:
    rows = range(len(data.train))
    return [[Draw(row, epoch, row) for row in rows[start : start + 4]] for epoch in (1, 2) for start in (0, 4, 8)]


def load(data: DataSet, augmentation: Augmentation, workers: int, first: int = 0, **options: bool) -> list[ClipBatch]:
    clips = clips_of(data, augmentation, **options)
    return list(make_loader(clips, draws(data)[first:], workers=workers, pin_memory=False))


def assert_same(one: list[ClipBatch], other: list[ClipBatch]) -> None:
    assert len(one) == len(other)
    assert all(torch.equal(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second))  # noqa: B905


def test_frames_are_what_serving_sees_when_nothing_is_augmented(data: DataSet) -> None:
    batch = load(data, PLAIN, workers=0)[0]
    assert batch.frames.dtype == torch.uint8
    assert batch.frames.shape == (4, 5, 3, 24, 12)
    for row in range(4):
        images = [Image.open(path) for path in data.train[row].frames]
        torch.testing.assert_close(normalise(batch.frames[row], IMAGE), to_tensor(images, IMAGE), rtol=0, atol=1e-6)


def test_labels_and_cameras_are_the_tracklets_own(data: DataSet) -> None:
    labels = label_map(data.train)
    batch = load(data, FULL, workers=0)[1]
    expected = data.train[4:8]
    assert batch.labels.tolist() == [labels[one.identity] for one in expected]
    assert batch.cameras.tolist() == [one.camera for one in expected]


def test_workers_change_nothing(data: DataSet) -> None:
    assert_same(load(data, FULL, workers=0), load(data, FULL, workers=2))


def test_kept_frames_change_nothing(data: DataSet) -> None:
    assert_same(load(data, FULL, workers=0), load(data, FULL, workers=0, cache=True))


def test_starting_later_gives_the_same_later_batches(data: DataSet) -> None:
    assert_same(load(data, FULL, workers=0)[3:], load(data, FULL, workers=0, first=3))


def test_another_epoch_draws_another_clip(data: DataSet) -> None:
    batches = load(data, FULL, workers=0)
    assert not torch.equal(batches[0].frames, batches[3].frames)


def test_loading_draws_nothing_from_the_global_generator(data: DataSet) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load(data, FULL, workers=0)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path, workers: int) -> None:
    root = coloured_people(tmp_path, people=3)
    broken = root / "person-0/camera-0/0/1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    data = read_data_set("folder", root)
    clips = TrackletClips(data.train, label_map(data.train), IMAGE, 3, PLAIN, seed=0)
    with pytest.raises(DataSetError, match=r"person-0/camera-0/0/1\.png cannot be read"):
        list(make_loader(clips, [[Draw(0, 1, 0)]], workers=workers, pin_memory=False))


def test_a_set_that_is_too_large_is_not_kept(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.loading, "CACHE_LIMIT_BYTES", 1000)
    with pytest.raises(DataSetError, match="cache_frames=false"):
        clips_of(data, PLAIN, cache=True)


def test_a_clip_spreads_over_the_tracklet(data: DataSet) -> None:
    clips = TrackletClips(data.train, label_map(data.train), IMAGE, 2, PLAIN, seed=0)
    images = [np.asarray(Image.open(path).resize((12, 24), Image.Resampling.BILINEAR)) for path in data.train[0].frames]
    for position in range(20):
        frames = clips[Draw(0, 1, position)].frames
        chosen = [next(i for i, one in enumerate(images) if np.array_equal(one, frame)) for frame in frames]
        assert chosen[0] in (0, 1, 2)
        assert chosen[1] in (3, 4)
