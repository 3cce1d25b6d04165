"""A row of an experiment: what it changes of the config that all rows share, and what the paper says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from training.config import ConfigError, TrainingConfig
from training.experiments.tables import Value

WITHOUT_TMD = "network.overrides.temporal_memory_diffusion=false"
WITH_TMD = "network.overrides.temporal_memory_diffusion=true"
WITHOUT_PROMPT = "prompt.variant=none"


@dataclass(frozen=True)
class Paper:
    """The paper's figures of a row: fractions, and parameters and multiply-adds in millions and thousand millions."""

    mAP: float  # noqa: N815
    rank_1: float
    rank_5: float | None
    parameters: float
    flops: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row.

    Attributes:
        name: of its folder, and for `--rows`; letters, digits and hyphens.
        title: what it is, for the reader.
        changes: "section.key=value" as for `--set`, on top of the config that all rows share.
        parts: values of the experiment's own columns, such as the x of a component.
        paper: the paper's figures by data set.
        reference: name of the row that it is compared with, where that is not the experiment's own.
        note: what the reader must know about it.
    """

    name: str
    title: str
    changes: tuple[str, ...]
    parts: Mapping[str, Value] = field(default_factory=dict)
    paper: Mapping[str, Paper] = field(default_factory=dict)
    reference: str | None = None
    note: str | None = None


def select_rows(rows: Sequence[Row], names: str | None) -> tuple[Row, ...]:
    """The rows with these names, in their own order; all of them when no names are given.

    Args:
        rows: of the experiment.
        names: with commas between.

    Raises:
        ConfigError: there is no such row.
    """
    if names is None:
        return tuple(rows)
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = [row.name for row in rows]
    if not wanted or wanted - set(known):
        raise ConfigError(
            f"--rows {names}: no row {', '.join(sorted(wanted - set(known)))}, choose of {', '.join(known)}"
        )
    return tuple(row for row in rows if row.name in wanted)


def require_memory(config: TrainingConfig) -> None:
    """Check that the config has a memory for the rows to build on.

    Raises:
        ConfigError: it has none, or text in its place.
    """
    if config.memory.kind in ("none", "text"):
        raise ConfigError(
            f"memory.kind is {config.memory.kind}, expected a CLIP-Memory that the rows share, such as clip or rebuilt"
        )


def prompt_heads(config: TrainingConfig) -> int:
    """Attention heads for a prompt on this network: the config's own if they divide the projection, or fewer."""
    return gcd(config.prompt.heads, config.network.architecture(cameras=0).projection)


def with_prompt(config: TrainingConfig) -> tuple[str, ...]:
    """Changes that give a row a Sequence-Specific Prompt: the config's own, or `paper` when it has none."""
    variant = "paper" if config.prompt.variant == "none" else config.prompt.variant
    return (f"prompt.variant={variant}", f"prompt.heads={prompt_heads(config)}")
