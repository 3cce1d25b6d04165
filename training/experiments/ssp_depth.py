"""How deep the Sequence-Specific Prompt should be, as the paper has it and as the code was released (method.md 7.5)."""

from training.config import ConfigError, TrainingConfig
from training.experiments.rows import WITHOUT_TMD, Paper, Row, prompt_heads, require_memory
from training.experiments.tables import Column

REFERENCE = "paper-2"
"""What the paper chose."""

PARTS = (Column("variant", "SSP"), Column("layers", "layers", "count"))

_PAPER = {
    1: Paper(0.885, 0.919, None, 91.06, 11.68),
    2: Paper(0.888, 0.921, None, 94.21, 12.11),
    3: Paper(0.874, 0.921, None, 97.36, 12.53),
    4: Paper(0.884, 0.923, None, 100.51, 12.95),
}
"""By layers. The parameters grow as those of `paper` do, so the figures stand beside that variant."""


def depth_rows(config: TrainingConfig) -> tuple[Row, ...]:
    """The rows; all of them on CLIP-Memory without TMD (B3), as in the paper.

    Raises:
        ConfigError: the config has no CLIP-Memory, or a momentum memory, which takes the place of SSP.
    """
    require_memory(config)
    if config.memory.kind == "momentum":
        raise ConfigError("memory.kind is momentum, which takes the place of SSP: expected clip or rebuilt")
    return tuple(
        Row(
            name=f"{variant}-{layers}",
            title=f"{variant}, {layers}",
            changes=(
                WITHOUT_TMD,
                f"prompt.variant={variant}",
                f"prompt.layers={layers}",
                f"prompt.heads={prompt_heads(config)}",
            ),
            parts={"variant": variant, "layers": layers},
            paper={"mars": _PAPER[layers]} if variant == "paper" else {},
        )
        for variant in ("paper", "released")
        for layers in _PAPER
    )
