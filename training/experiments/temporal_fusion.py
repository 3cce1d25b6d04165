"""How frames become one vector: means, convolution, transformers, TMD (method.md 7.4)."""

from training.config import TrainingConfig
from training.experiments.rows import WITH_TMD, WITHOUT_PROMPT, WITHOUT_TMD, Paper, Row, require_memory

REFERENCE = "mean"

_FUSION = "network.overrides.temporal_fusion"


def fusion_rows(config: TrainingConfig) -> tuple[Row, ...]:
    """The rows; all of them on CLIP-Memory without SSP (B2), as in the paper.

    Raises:
        ConfigError: the config has no CLIP-Memory.
    """
    require_memory(config)
    return (
        _row("mean", "mean over frames", "mean", WITHOUT_TMD, Paper(0.884, 0.916, None, 86.94, 11.26)),
        _row("conv1d", "convolution over time", "conv1d", WITHOUT_TMD, Paper(0.881, 0.918, None, 87.31, 11.26)),
        _row(
            "transformer-cls",
            "transformer, CLS",
            "transformer_cls",
            WITHOUT_TMD,
            Paper(0.875, 0.915, None, 106.23, 11.41),
        ),
        _row(
            "transformer-residual",
            "transformer, residual",
            "transformer_residual",
            WITHOUT_TMD,
            Paper(0.882, 0.914, None, 106.22, 11.39),
        ),
        _row("tmd", "TMD", "mean", WITH_TMD, Paper(0.892, 0.923, None, 97.02, 11.72)),
        _row("tmd-positions", "TMD, frame positions", "mean", WITH_TMD, None, positions=True),
    )


def _row(name: str, title: str, fusion: str, temporal: str, paper: Paper | None, *, positions: bool = False) -> Row:
    order = f"network.overrides.temporal_positions={'true' if positions else 'false'}"
    return Row(
        name=name,
        title=title,
        changes=(WITHOUT_PROMPT, temporal, f"{_FUSION}={fusion}", order),
        paper={} if paper is None else {"mars": paper},
    )
