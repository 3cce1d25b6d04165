"""The demo weights of the package: small, honest about themselves, and of use on people never drawn before."""

import dataclasses

import numpy as np
import pytest
import torch

from model.checkpoint import WeightsInfo, describe_weights, load_model
from model.clips import dense_clips
from model.data.synthetic import draw_tracklet
from model.default_weights import DEMO_WEIGHTS
from model.metrics import evaluate_retrieval
from model.preprocess import to_tensor
from model.tfclip import mean_of_clips
from training.config import load_config

LARGEST = 12_000_000
SCENE = 5001
"""No scene of training, whose seeds are below 1000, and not the one of `tfclip demo`."""
PEOPLE, CAMERAS, FRAMES = 24, 3, 4


@pytest.fixture(scope="module")
def info() -> WeightsInfo:
    return describe_weights(DEMO_WEIGHTS)


def test_they_are_small_enough_for_a_wheel() -> None:
    assert DEMO_WEIGHTS.stat().st_size <= LARGEST


def test_they_say_that_they_are_a_demo_and_what_they_learned_from(info: WeightsInfo) -> None:
    assert info.provenance["trained"]
    assert info.provenance["demo"]
    assert info.provenance["name"] == "tfclip-demo"
    assert info.provenance["source"]["start"] == "random numbers"


def test_the_shipped_config_made_them(info: WeightsInfo) -> None:
    assert info.provenance["config"] == load_config("demo").to_dict()
    assert info.provenance["training_commit"]["changed"] is False
    expected = load_config("demo").network.architecture(cameras=0)
    assert dataclasses.replace(info.config, whitened=False, mirrored=False) == expected


def test_they_find_drawn_people_whom_they_never_saw() -> None:
    network = load_model(DEMO_WEIGHTS)
    scene = [
        draw_tracklet(SCENE << 32 | person, SCENE << 32 | camera, FRAMES, height=128, difficulty=0.5)
        for person in range(PEOPLE)
        for camera in range(CAMERAS)
    ]
    clips = torch.tensor(dense_clips(FRAMES, network.config.clip_length))
    features = [network.describe(to_tensor(frames, network.image)[clips]) for frames in scene]
    learned = torch.stack([mean_of_clips(one, torch.tensor([len(one)]))[0] for one in features])
    pixels = [np.mean([np.asarray(frame.resize((16, 32)), float).ravel() for frame in frames], 0) for frames in scene]
    people = torch.arange(PEOPLE).repeat_interleave(CAMERAS)
    cameras = torch.arange(CAMERAS).repeat(PEOPLE)
    found, by_pixels = (
        evaluate_retrieval(rows, rows, people, people, cameras, cameras)
        for rows in (learned, torch.tensor(np.array(pixels)).float())
    )
    assert found.rank(1) > 0.7
    assert found.mAP > by_pixels.mAP + 0.3
