"""Weights files of a network so small that it costs nothing, and files that are none."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model import ModelConfig, new_model, save_model

SMALLEST = ModelConfig(
    image_height=16, image_width=8, patch_size=8, width=8, layers=1, heads=1, projection=4, clip_length=1
)

Header = dict[str, Any]


def weights_file(folder: Path, seed: int = 0, **provenance: object) -> Path:
    """A good file; another seed is another model."""
    path = folder / f"seed-{seed}.safetensors"
    save_model(new_model(SMALLEST, seed), path, provenance)
    return path


def rewritten(good: bytes, change: Callable[[Header], None]) -> bytes:
    """The file with its header changed; the tensors' bytes stay."""
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length :]


def metadata(good: bytes, part: str, **values: object) -> bytes:
    """The file with members of one of its metadata documents (`config`, `image`, `provenance`) changed."""

    def change(header: Header) -> None:
        key = f"tfclip.{part}"
        header["__metadata__"][key] = json.dumps(json.loads(header["__metadata__"][key]) | values)

    return rewritten(good, change)


def bad_weights(good: bytes) -> dict[str, bytes]:
    """What must not become a model, by what is wrong with it."""

    def without_metadata(header: Header) -> None:
        del header["__metadata__"]

    def newer(header: Header) -> None:
        header["__metadata__"]["tfclip.format"] = "2"

    def lacking(header: Header) -> None:
        # The bytes must stay covered: the last tensor alone may go, with its bytes.
        header["elsewhere"] = header.pop(next(name for name in header if name != "__metadata__"))

    def other_dtype(header: Header) -> None:
        next(entry for name, entry in header.items() if name != "__metadata__")["dtype"] = "I32"

    nan = good[:-4] + struct.pack("<f", float("nan"))
    flipped = good[:-2] + bytes([good[-2] ^ 1]) + good[-1:]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("weights.safetensors", good)
    torch_file = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, torch_file)
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    return {
        "nothing": b"",
        "text": b"weights",
        "pickle": pickle.dumps({"a": [1.0]}),
        "torch file": torch_file.getvalue(),
        "zip": archive.getvalue(),
        "cut off in the header": good[:100],
        "cut off in the tensors": good[: len(good) // 2],
        "cut off by one byte": good[:-1],
        "one byte too many": good + b"\0",
        "header of 2^63 bytes": struct.pack("<Q", 2**63) + good[8:],
        "no metadata": rewritten(good, without_metadata),
        "a later format": rewritten(good, newer),
        "a tensor of another name": rewritten(good, lacking),
        "a tensor of another type": rewritten(good, other_dtype),
        "not a number": nan,
        "a flipped bit": flipped,
        "another architecture": metadata(good, "config", width=16),
        "a million layers": metadata(good, "config", layers=10**6),
        "endless width": metadata(good, "config", width=10**30),
        "unknown architecture": metadata(good, "config", depth=3),
        "image of another size": metadata(good, "image", height=32),
        "mean that is no number": metadata(good, "image", mean=[0.1, "x", 0.3]),
        "provenance with nul": metadata(good, "provenance", name="a\0b"),
        "provenance with half a character": metadata(good, "provenance", name="\ud800"),
        "provenance with nul in a key": metadata(good, "provenance", **{"a\0": 1}),
        "provenance that is not finite": metadata(good, "provenance", mAP=float("nan")),
        "deep provenance": metadata(good, "provenance", deep=deep),
        "long provenance": metadata(good, "provenance", name="x" * 300_000),
    }
