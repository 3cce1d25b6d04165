"""What each part is worth: CLIP-Memory, SSP, TMD, the text branch (method.md 7.2, 7.3, 7.6)."""

from model.errors import WeightsError
from training.config import Network, TrainingConfig
from training.experiments.plus_rows import plus_rows
from training.experiments.rows import (
    WITH_TMD,
    WITHOUT_PROMPT,
    WITHOUT_TMD,
    Paper,
    Row,
    require_memory,
    with_prompt,
)
from training.experiments.tables import Column
from training.start import clip_file
from training.text_tower import load_text_tower

REFERENCE = "B2"

PARTS = (Column("memory", "CLIP-M"), Column("prompt", "SSP"), Column("temporal", "TMD"))

_WITHOUT_DIFFUSION = "network.overrides.memory_diffusion=false"
_TEXT = "memory.kind=text"
_NO_MEMORY = "memory.kind=none"
_TEXT_ROWS = ("B1", "B5")
_TEXT_NOTE = "The paper's parameters of B1 and B5 have the text tower in them; here it is frozen and not counted."


def component_rows(
    config: TrainingConfig, *, text: bool, plus: bool = False
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows, and what must be said about them all.

    Args:
        config: what all rows share; whatever a row is about is changed by the row.
        text: whether the rows of the text branch are wanted, where they can be made.
        plus: whether the parts of the better recipe are wanted too, each a change of B6, or of B4 where the config has
            no SSP.

    Raises:
        ConfigError: the config has no CLIP-Memory.
    """
    require_memory(config)
    rows, notes = _rows(config), list[str]()
    if config.memory.kind == "momentum":
        rows = tuple(row for row in rows if "prompt" not in row.parts)
        notes.append("The rows with SSP are left out: the config's momentum memory takes its place.")
    elif config.prompt.variant == "none":
        notes.append("The config has no SSP; the rows with SSP have `prompt.variant: paper`.")
    reason = _why_no_text(config.network) if text else "they were not asked for (`--no-text`)"
    if reason is not None:
        rows = tuple(row for row in rows if row.name not in _TEXT_ROWS)
        notes.append(f"B1 and B5, with text in place of the memory, are left out: {reason}.")
    if plus:
        base = next(row for row in rows if row.name == ("B4" if config.prompt.variant == "none" else "B6"))
        rows = (*rows, *plus_rows(config, base))
        notes.append(
            f"Rows that begin with {base.title} change one thing of it. What the config has "
            "already is taken away instead, and the title says without."
        )
    return rows, tuple(notes)


def _rows(config: TrainingConfig) -> tuple[Row, ...]:
    prompt = with_prompt(config)
    return (
        Row(
            name="B1",
            title="B1, text",
            changes=(_TEXT, WITHOUT_PROMPT, WITHOUT_TMD),
            paper={
                "mars": Paper(0.881, 0.917, 0.974, 126.78, 14.24),
                "ls_vid": Paper(0.806, 0.888, 0.963, 126.78, 14.24),
            },
            note=_TEXT_NOTE,
        ),
        Row(
            name="B2",
            title="B2",
            changes=(WITHOUT_PROMPT, WITHOUT_TMD),
            parts={"memory": "x"},
            paper={
                "mars": Paper(0.884, 0.916, 0.979, 86.94, 11.26),
                "ls_vid": Paper(0.803, 0.877, 0.957, 86.94, 11.26),
            },
        ),
        Row(
            name="B3",
            title="B3",
            changes=(*prompt, WITHOUT_TMD),
            parts={"memory": "x", "prompt": "x"},
            paper={
                "mars": Paper(0.888, 0.921, 0.976, 94.21, 12.11),
                "ls_vid": Paper(0.813, 0.899, 0.962, 94.21, 12.11),
            },
        ),
        Row(
            name="TMC",
            title="TMC alone",
            changes=(WITHOUT_PROMPT, WITH_TMD, _WITHOUT_DIFFUSION),
            parts={"memory": "x", "temporal": "TMC"},
            paper={"mars": Paper(0.888, 0.919, None, 89.93, 11.26)},
        ),
        Row(
            name="TMC-SSP",
            title="TMC + SSP",
            changes=(*prompt, WITH_TMD, _WITHOUT_DIFFUSION),
            parts={"memory": "x", "prompt": "x", "temporal": "TMC"},
            paper={"mars": Paper(0.890, 0.925, None, 97.17, 12.11)},
        ),
        Row(
            name="B4",
            title="B4",
            changes=(WITHOUT_PROMPT, WITH_TMD),
            parts={"memory": "x", "temporal": "x"},
            paper={
                "mars": Paper(0.892, 0.923, 0.977, 97.02, 11.72),
                "ls_vid": Paper(0.816, 0.889, 0.964, 97.02, 11.72),
            },
        ),
        Row(
            name="B5",
            title="B5, text",
            changes=(_TEXT, WITHOUT_PROMPT, WITH_TMD),
            parts={"temporal": "x"},
            paper={
                "mars": Paper(0.893, 0.927, 0.978, 136.86, 14.70),
                "ls_vid": Paper(0.823, 0.903, 0.967, 136.86, 14.70),
            },
            note=_TEXT_NOTE,
        ),
        Row(
            name="B6",
            title="B6, whole",
            changes=(*prompt, WITH_TMD),
            parts={"memory": "x", "prompt": "x", "temporal": "x"},
            paper={
                "mars": Paper(0.894, 0.930, 0.979, 104.26, 12.53),
                "ls_vid": Paper(0.838, 0.904, 0.971, 104.26, 12.53),
            },
        ),
        Row(
            name="B2-no-memory",
            title="B2 without memory",
            changes=(_NO_MEMORY, WITHOUT_PROMPT, WITHOUT_TMD),
            paper={"mars": Paper(0.849, 0.902, None, 86.94, 11.26)},
        ),
        Row(
            name="B4-no-memory",
            title="B4 without memory",
            changes=(_NO_MEMORY, WITHOUT_PROMPT, WITH_TMD),
            parts={"temporal": "x"},
            paper={"mars": Paper(0.873, 0.910, None, 97.02, 11.72)},
        ),
    )


def _why_no_text(network: Network) -> str | None:
    """Why text features cannot be had; None when they can. OpenAI's weights have a tower, so they are not read."""
    if network.start == "openai":
        return None
    if network.start == "random":
        return "`network.start` is random, and they need CLIP weights with a text tower"
    try:
        load_text_tower(clip_file(network))
    except WeightsError as error:
        return str(error).rstrip(".")
    return None
