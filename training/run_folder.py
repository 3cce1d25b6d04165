"""The folder of a run: what went in, what happened, what came out.

config.yaml          every field, defaults included
run.json             command, commit, versions, device, data set
labels.json          identities in the order of their labels
memory.safetensors   the CLIP-Memory
log.jsonl            one line for every epoch and every few steps
tensorboard/         the same numbers
state.pt             what `--resume` continues from
weights.safetensors  the result, for `tfclip serve --weights`
best.safetensors     the best on held-out identities, when some are held out
curves.png           loss and accuracy over epochs
"""

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
import yaml

from training.config import ConfigError, TrainingConfig

STATE_FORMAT = 1


class RunFolder:
    """Reads and writes the files of one run.

    Args:
        root: the folder; made when it is not there.
        resume: whether an earlier run in it is continued.

    Raises:
        ConfigError: the folder holds a run that is not to be resumed, or something else.
    """

    def __init__(self, root: Path, *, resume: bool) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise ConfigError(f"{root} is not a folder")
        there = root.is_dir() and any(root.iterdir())
        if there and not (root / "config.yaml").is_file():
            raise ConfigError(f"{root} is not empty and holds no run: choose another --out")
        if there and not resume:
            raise ConfigError(f"{root} holds a run: pass --resume to continue it, or choose another --out")
        root.mkdir(parents=True, exist_ok=True)

    @property
    def weights(self) -> Path:
        """The result."""
        return self.root / "weights.safetensors"

    @property
    def best(self) -> Path:
        """The best weights on held-out identities so far."""
        return self.root / "best.safetensors"

    @property
    def memory(self) -> Path:
        """The CLIP-Memory."""
        return self.root / "memory.safetensors"

    @property
    def log(self) -> Path:
        """The log, one JSON document in each line."""
        return self.root / "log.jsonl"

    def keep_config(self, config: TrainingConfig) -> None:
        """Write the config, or check that it is the one of the run that is resumed.

        Raises:
            ConfigError: the run was started with another config; the message names the first difference.
        """
        path = self.root / "config.yaml"
        document = config.to_dict()
        if not path.exists():
            write_text(path, yaml.safe_dump(document, sort_keys=False))
            return
        earlier = yaml.safe_load(path.read_text())
        if difference := first_difference(earlier, document):
            raise ConfigError(f"{self.root} was started with another config: {difference}")

    def keep_json(self, name: str, document: Any) -> None:
        """Write a JSON file of the run."""
        write_text(self.root / name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def take_best(self) -> None:
        """Make the best weights the result."""
        temporary = self.weights.with_name(f".{self.weights.name}.tmp")
        shutil.copyfile(self.best, temporary)
        temporary.replace(self.weights)

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the state; it appears whole or not at all."""
        path = self.root / "state.pt"
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as handle:
                torch.save({"format": STATE_FORMAT, **state}, handle)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def load_state(self) -> dict[str, Any] | None:
        """Read the state, on the CPU; None when the run was stopped before it wrote one.

        Raises:
            ConfigError: the file is of another version or damaged.
        """
        path = self.root / "state.pt"
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            # torch.load raises whatever its reader met; all of it means the same to the user.
            raise ConfigError(f"{path} cannot be read ({error}): start again in another --out") from error
        if state.get("format") != STATE_FORMAT:
            raise ConfigError(f"{path} is of another version of tfclip: start again in another --out")
        return state


def write_text(path: Path, text: str) -> None:
    """Write a file; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def first_difference(earlier: Any, now: Any, path: str = "") -> str | None:
    """In words, the first place where two JSON documents differ, by name of key; None when they are equal."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in sorted(earlier.keys() | now.keys()):
            found = first_difference(earlier.get(key), now.get(key), f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    return None if earlier == now else f"{path} was {earlier!r} and is {now!r}"
