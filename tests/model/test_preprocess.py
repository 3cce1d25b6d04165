"""From crops to frames."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as torchvision_functional

from model.preprocess import ImageSpecification, to_tensor

SPECIFICATION = ImageSpecification(height=256, width=128)


def crop(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_frames_equal_torchvisions_resize_and_normalise() -> None:
    images = [crop(61, 143), crop(300, 700, 1), crop(128, 256, 2), crop(1, 1, 3)]
    expected = torch.stack(
        [
            torchvision_functional.normalize(
                torchvision_functional.to_tensor(image.resize((128, 256), Image.Resampling.BILINEAR)),
                [0.485, 0.456, 0.406],
                [0.229, 0.224, 0.225],
            )
            for image in images
        ]
    )
    frames = to_tensor(images, SPECIFICATION)
    assert frames.dtype == torch.float32
    assert frames.is_contiguous()
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_any_image_mode_becomes_three_channels(mode: str) -> None:
    assert to_tensor([crop(20, 40).convert(mode)], SPECIFICATION).shape == (1, 3, 256, 128)


def test_no_crops_are_no_frames() -> None:
    assert to_tensor([], SPECIFICATION).shape == (0, 3, 256, 128)


def test_a_specification_survives_its_dictionary() -> None:
    other = ImageSpecification(height=64, width=32, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    assert ImageSpecification.from_dict(other.to_dict()) == other


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": True},
        {"height": "256"},
        {"mean": [0.5, 0.5]},
        {"mean": "abc"},
        {"std": [0.0, 0.1, 0.1]},
        {"std": [float("nan"), 0.1, 0.1]},
        {"interpolation": "bicubic"},
        {"padding": 4},
    ],
)
def test_a_specification_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ImageSpecification.from_dict({**SPECIFICATION.to_dict(), **change})
