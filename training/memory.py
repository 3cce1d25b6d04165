"""The CLIP-Memory: a row for each training identity (method.md 2.2)."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.errors import WeightsError

_NAMED_AT_MOST = 5


def build_memory(sequence_features: Iterable[tuple[Tensor, Tensor]], identities: int) -> Tensor:
    """Average the features of each identity's tracklets; a tracklet counts once, however long it is.

    Args:
        sequence_features: pairs of (n, d) float features, one row a tracklet, not normalised, and (n,) int64 labels.
        identities: Y.

    Returns:
        (Y, d) float32, not normalised.

    Raises:
        ValueError: a label is outside 0..Y-1, or an identity has no tracklet.
    """
    sums: Tensor | None = None
    counts = torch.zeros(identities, dtype=torch.float64)
    for features, labels in sequence_features:
        rows, owners = features.double().cpu(), labels.cpu()
        if len(owners) and not 0 <= int(owners.min()) <= int(owners.max()) < identities:
            raise ValueError(f"labels are {int(owners.min())}..{int(owners.max())}, expected 0..{identities - 1}")
        if sums is None:
            sums = torch.zeros(identities, rows.shape[1], dtype=torch.float64)
        sums.index_add_(0, owners, rows)
        counts.index_add_(0, owners, torch.ones(len(owners), dtype=torch.float64))
    missing = torch.nonzero(counts == 0).flatten().tolist()
    if missing or sums is None:
        named = ", ".join(map(str, missing[:_NAMED_AT_MOST])) + (" ..." if len(missing) > _NAMED_AT_MOST else "")
        raise ValueError(f"{len(missing)} of {identities} labels have no tracklet: {named}")
    return (sums / counts.unsqueeze(1)).float()


def save_memory(path: Path, memory: Tensor, label_names: Sequence[str], model_id: str) -> None:
    """Write a memory with the names of its rows and the model that made it.

    Args:
        path: a .safetensors file; it appears whole or not at all.
        memory: (Y, d) float32.
        label_names: Y identities, in the order of rows.
        model_id: of the network that made it.

    Raises:
        ValueError: rows and names differ in number.
    """
    if len(memory) != len(label_names):
        raise ValueError(f"the memory has {len(memory)} rows, expected one for each of {len(label_names)} identities")
    temporary = path.with_name(f".{path.name}.tmp")
    metadata = {"tfclip.memory": "1", "tfclip.labels": json.dumps(list(label_names)), "tfclip.model_id": model_id}
    save_file({"memory": memory.contiguous()}, temporary, metadata)
    temporary.replace(path)


def load_memory(path: Path, label_names: Sequence[str]) -> Tensor:
    """Read a memory, (Y, d) float32, whose rows are these identities.

    Raises:
        WeightsError: the file is no memory, or its rows are of other identities.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            memory: Tensor = handle.get_tensor("memory")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no CLIP-Memory: {error}") from error
    if json.loads(metadata.get("tfclip.labels", "[]")) != list(label_names):
        raise WeightsError(f"{path} has rows for other identities than the data set has")
    return memory
