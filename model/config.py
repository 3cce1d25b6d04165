"""ModelConfig: the one place that names the sizes of the network."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

FUSIONS = ("mean", "conv1d", "transformer_cls", "transformer_residual")

STEMS = ("patch", "convolutional")

_CHOICES = {"temporal_fusion": FUSIONS, "stem": STEMS}

_LATER: dict[str, Any] = {
    "temporal_fusion": "mean",
    "temporal_positions": False,
    "temporal_gradient": 1.0,
    "stem": "patch",
    "memory_diffusion": True,
    "mirrored": False,
    "whitened": False,
}
"""Fields that came after the first weights files, with their defaults."""

MLP_RATIO = 4
"""Hidden width of every MLP over its input width, as in CLIP."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Architecture of a TFCLIP network.

    Attributes:
        image_height, image_width: size of a frame in pixels, multiples of `patch_size`.
        patch_size: side of a square patch in pixels; patches do not overlap.
        width: channels of a token.
        layers: residual attention blocks of the frame encoder.
        heads: attention heads of every attention, temporal ones included; divides `width`.
        projection: channels of a projected token.
        clip_length: frames per clip (T) that sampling makes; the network itself takes any number of frames, or at
            most so many where it has learned positions for them.
        cameras: rows of the camera table; 0 means that there is no table.
        temporal_memory_diffusion: whether the network has TMD and the descriptor its part `g`.
        detach_temporal_input: whether TMD's losses stop before the frame encoder (method.md 2.4).
        temporal_gradient: share of the gradient of TMD that goes on into the frame encoder when it does not stop there,
            over 0 and at most 1 (method.md 8.3).
        temporal_positions: whether TMD knows the order of frames, by learned vectors for the places in a clip
            (method.md 8.2); clips are then of at most `clip_length` frames.
        temporal_fusion: how `v` is made of the frames' vectors: one of `FUSIONS`; TF-CLIP's is `mean` (method.md 7.4).
        memory_diffusion: whether TMD has its second half, Memory Diffusion; without it `g` is the mean of the frame
            memories (method.md 7.3).
        stem: how a frame becomes patches: `patch` is CLIP's single convolution; `convolutional` is `ConvolutionalStem`,
            for encoders that start from random numbers.
        mirrored: whether a clip is described together with its mirror image, by the mean of both; twice the cost.
        whitened: whether descriptors go through a linear map that was learned after training (`model/whitening.py`).

    Raises:
        ValueError: a size is not positive, or sizes do not divide as they must.
    """

    image_height: int
    image_width: int
    patch_size: int
    width: int
    layers: int
    heads: int
    projection: int
    clip_length: int = 8
    cameras: int = 0
    temporal_memory_diffusion: bool = True
    detach_temporal_input: bool = True
    temporal_fusion: str = "mean"
    temporal_positions: bool = False
    temporal_gradient: float = 1.0
    memory_diffusion: bool = True
    stem: str = "patch"
    mirrored: bool = False
    whitened: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is str:
                choices = _CHOICES[field.name]
                if value not in choices:
                    raise ValueError(f"{field.name} is {value!r}, expected one of {', '.join(choices)}")
                continue
            if field.type is bool:
                if not isinstance(value, bool):
                    raise ValueError(f"{field.name} is {value!r}, expected true or false")
                continue
            if field.type is float:
                if not isinstance(value, float | int) or isinstance(value, bool) or not 0 < value <= 1:
                    raise ValueError(f"{field.name} is {value!r}, expected a number over 0 and at most 1")
                continue
            least = 0 if field.name == "cameras" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{field.name} is {value!r}, expected an integer >= {least}")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of heads ({self.heads})")
        if self.stem == "convolutional" and self.patch_size & (self.patch_size - 1):
            raise ValueError(f"patch_size is {self.patch_size}, expected a power of two for a convolutional stem")
        for name, side in (("image_height", self.image_height), ("image_width", self.image_width)):
            if side % self.patch_size:
                raise ValueError(f"{name} is {side}, expected a multiple of patch_size ({self.patch_size})")
        if self.stem == "convolutional" and self.image_height == self.image_width == self.patch_size:
            raise ValueError(
                "the frame is one patch, expected more for a convolutional stem, which normalises over them"
            )

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a named architecture.

        Args:
            name: `vit_b16` (the paper's network, D = 2048) or `tiny` (the same code, D = 320, for tests and demos).

        Raises:
            ValueError: there is no preset of that name.
        """
        if name not in PRESETS:
            raise ValueError(f"no preset {name!r}, expected one of {', '.join(PRESETS)}")
        return cls(**PRESETS[name])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a config from what `to_dict` returned.

        Raises:
            ValueError: a key is missing or unknown, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"unknown config keys: {', '.join(unknown)}")
        if missing := sorted(known - values.keys() - _LATER.keys()):
            raise ValueError(f"missing config keys: {', '.join(missing)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; `from_dict` reads them back.

        A field that came later is left out at its default, so that models made before it keep their id.
        """
        return {name: value for name, value in asdict(self).items() if name not in _LATER or value != _LATER[name]}

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches in one frame."""
        return self.image_height // self.patch_size, self.image_width // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens of one frame: CLS and one per patch (N of method.md)."""
        rows, columns = self.grid
        return 1 + rows * columns

    @property
    def descriptor_dim(self) -> int:
        """D: channels of a descriptor, [u, v] or [u, v, g] (method.md 2.6)."""
        return self.width + self.projection + (self.width if self.temporal_memory_diffusion else 0)


PRESETS: dict[str, dict[str, Any]] = {
    "vit_b16": {
        "image_height": 256,
        "image_width": 128,
        "patch_size": 16,
        "width": 768,
        "layers": 12,
        "heads": 12,
        "projection": 512,
    },
    "tiny": {
        "image_height": 128,
        "image_width": 64,
        "patch_size": 8,
        "width": 128,
        "layers": 4,
        "heads": 2,
        "projection": 64,
    },
}
