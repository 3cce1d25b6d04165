"""Samplings: each against describing tracklets that hold nothing but its frames."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import training.experiments.samplings
from model import TFCLIP, ModelConfig, new_model
from model.clips import spread_evenly
from tests.training.small_run import coloured_people
from training.datasets.folder import read_folder
from training.datasets.tracklets import LabelledTracklet
from training.evaluation import describe_tracklets
from training.experiments.samplings import Described, Sampling, describe_by_samplings

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=2
)
WAYS = (
    Sampling("dense"),
    *(Sampling("capped", cap) for cap in (1, 2, 4, 40)),
    *(Sampling("drawn", number) for number in range(3)),
    Sampling("first"),
)


@pytest.fixture(scope="module")
def network() -> TFCLIP:
    return new_model(CONFIG, seed=1)


@pytest.fixture(scope="module")
def tracklets(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledTracklet, ...]:
    """Tracklets of 1, 6, 9, 1, ... frames, and one of more clips than are computed at one time."""
    found = read_folder(coloured_people(tmp_path_factory.mktemp("people"), people=2, frames=9)).train
    cut = [replace(one, frames=one.frames[: (1, 6, 9)[number % 3]]) for number, one in enumerate(found)]
    return (*cut, replace(found[0], name="long", frames=found[0].frames * 4))


@pytest.fixture(scope="module")
def described(network: TFCLIP, tracklets: tuple[LabelledTracklet, ...]) -> dict[Sampling, Described]:
    return describe_by_samplings(network, tracklets, WAYS, device=torch.device("cpu"), progress=lambda *_: None)


def test_all_frames_and_first_frames_are_described_as_an_evaluation_describes_them(
    network: TFCLIP, tracklets: tuple[LabelledTracklet, ...], described: dict[Sampling, Described]
) -> None:
    for way, expected in (
        (Sampling("dense"), describe_tracklets(network, tracklets)),
        (Sampling("first"), describe_tracklets(network, tracklets, clips="rrs")),
    ):
        torch.testing.assert_close(described[way].descriptors, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cap", [1, 2, 4, 40])
def test_a_cap_describes_what_the_service_would_keep(
    network: TFCLIP, tracklets: tuple[LabelledTracklet, ...], described: dict[Sampling, Described], cap: int
) -> None:
    kept = [
        replace(one, frames=tuple(one.frames[place] for place in spread_evenly(len(one.frames), cap)))
        for one in tracklets
    ]
    found = described[Sampling("capped", cap)]
    torch.testing.assert_close(found.descriptors, describe_tracklets(network, kept), atol=1e-5, rtol=0)
    assert found.frames.tolist() == [min(cap, len(one.frames)) for one in tracklets]
    assert found.clips.tolist() == [-(-min(cap, len(one.frames)) // 2) for one in tracklets]
    assert (found.seconds > 0).all()


def test_a_drawn_clip_has_a_frame_of_each_chunk_and_is_named_by_draw_and_tracklet() -> None:
    draws = [Sampling("drawn", number).clips(80, 8, row) for number in range(4) for row in range(4)]
    for (clip,) in draws:
        assert [index // 10 for index in clip] == list(range(8))
    assert len({str(clips) for clips in draws}) == 16
    assert draws[5] == Sampling("drawn", 1).clips(80, 8, 1)


def test_draws_are_of_different_frames(described: dict[Sampling, Described]) -> None:
    vectors = torch.stack([described[Sampling("drawn", number)].descriptors for number in range(3)])
    assert (vectors.std(dim=0).amax(dim=1) > 1e-4).tolist()[1:3] == [True, True]
    assert np.array_equal(described[Sampling("drawn", 0)].clips, np.ones(9))


def test_a_frame_is_decoded_once_and_equal_clips_are_computed_once(
    network: TFCLIP, tracklets: tuple[LabelledTracklet, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, computed = [], []
    really_read, really_describe = training.experiments.samplings.read_frames, TFCLIP.describe
    monkeypatch.setattr(
        training.experiments.samplings,
        "read_frames",
        lambda paths, image: (read.extend(paths), really_read(paths, image))[1],
    )
    monkeypatch.setattr(
        TFCLIP, "describe", lambda self, frames: (computed.append(len(frames)), really_describe(self, frames))[1]
    )
    two = tracklets[:2]
    describe_by_samplings(network, two, WAYS, device=torch.device("cpu"), progress=lambda *_: None)
    assert sorted(read) == sorted(path for one in two for path in one.frames)
    # One frame: all ways are one. Six: all and a cap of 40 are one, and a draw may be another's; caps of 1, 2 and 4.
    assert computed[0] == 1
    assert sorted(computed[1:5]) == [1, 1, 2, 3]
    assert set(computed[5:]) == {1}
