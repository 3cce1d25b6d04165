"""What later work adds to the method, one row for each part, and for all of them together (method.md 8)."""

from collections.abc import Callable
from dataclasses import dataclass

from training.config import TrainingConfig
from training.experiments.rows import WITHOUT_PROMPT, Row

_BUILT_MEMORY = "memory.kind=clip"
_OVERRIDES = "network.overrides"


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What may help on top of TF-CLIP.

    Attributes:
        name: of its row.
        title: what it is.
        taken: what a config loses that has it already; the title, if not said.
        present: whether a config has it.
        changes: that give it to a config.
        without: that take it away.
        needs: name of another one that must be there first.
        in_all: whether it is one of those together, which are `tfclip_plus`: those that measured better
            (docs/experiments).
    """

    name: str
    title: str
    taken: str | None = None
    present: Callable[[TrainingConfig], bool]
    changes: tuple[str, ...]
    without: tuple[str, ...]
    needs: str | None = None
    in_all: bool = True


def _momentum(proxies: str) -> Callable[[TrainingConfig], bool]:
    return lambda config: (config.memory.kind, config.memory.proxies) == ("momentum", proxies)


def _temporal_gradient(config: TrainingConfig) -> float:
    sizes = config.network.architecture(cameras=0)
    return 0.0 if sizes.detach_temporal_input else sizes.temporal_gradient


PLUS_ROWS = (
    Improvement(
        name="normalised",
        title="normalised memory (temperature 0.05)",
        taken="normalised memory",
        present=lambda config: config.memory.normalise,
        changes=("memory.normalise=true", "memory.temperature=0.05"),
        without=("memory.normalise=false", "memory.temperature=1.0"),
    ),
    Improvement(
        name="momentum-mean",
        title="momentum memory (mean)",
        taken="momentum memory",
        present=_momentum("mean"),
        changes=("memory.kind=momentum", "memory.momentum=0.2", "memory.proxies=mean", WITHOUT_PROMPT),
        without=(_BUILT_MEMORY,),
        needs="normalised",
        in_all=False,
    ),
    Improvement(
        name="momentum-mean-hardest",
        title="momentum memory (mean, hardest)",
        taken="momentum memory",
        present=_momentum("mean_hardest"),
        changes=("memory.kind=momentum", "memory.momentum=0.2", "memory.proxies=mean_hardest", WITHOUT_PROMPT),
        without=(_BUILT_MEMORY,),
        needs="normalised",
        in_all=False,
    ),
    Improvement(
        name="crop",
        title="random crop of 10 pixels",
        taken="random crop",
        present=lambda config: config.augmentation.crop_padding > 0,
        changes=("augmentation.crop_padding=10",),
        without=("augmentation.crop_padding=0",),
        in_all=False,
    ),
    Improvement(
        name="rates",
        title="tenfold rates for new modules and classifiers",
        present=lambda config: config.optimiser.classifier_factor > 1,
        changes=(
            "optimiser.new_module_factor=10",
            "optimiser.temporal_classifier_factor=10",
            "optimiser.classifier_factor=10",
        ),
        without=(
            "optimiser.new_module_factor=1",
            "optimiser.temporal_classifier_factor=1",
            "optimiser.classifier_factor=1",
        ),
        in_all=False,
    ),
    Improvement(
        name="positions",
        title="frame positions in TMD",
        present=lambda config: config.network.architecture(cameras=0).temporal_positions,
        changes=(f"{_OVERRIDES}.temporal_positions=true",),
        without=(f"{_OVERRIDES}.temporal_positions=false",),
        in_all=False,
    ),
    Improvement(
        name="gradient-tenth",
        title="a tenth of TMD's gradient",
        present=lambda config: 0 < _temporal_gradient(config) < 1,
        changes=(f"{_OVERRIDES}.detach_temporal_input=false", f"{_OVERRIDES}.temporal_gradient=0.1"),
        without=(f"{_OVERRIDES}.detach_temporal_input=true", f"{_OVERRIDES}.temporal_gradient=1.0"),
    ),
    Improvement(
        name="gradient-all",
        title="all of TMD's gradient",
        taken="TMD's gradient",
        present=lambda config: _temporal_gradient(config) == 1,
        changes=(f"{_OVERRIDES}.detach_temporal_input=false", f"{_OVERRIDES}.temporal_gradient=1.0"),
        without=(f"{_OVERRIDES}.detach_temporal_input=true", f"{_OVERRIDES}.temporal_gradient=1.0"),
        in_all=False,
    ),
)


def plus_rows(config: TrainingConfig, base: Row) -> tuple[Row, ...]:
    """The rows: each the base with one improvement, or without it where the config has it; and all of them together.

    Args:
        config: what all rows share.
        base: the row that they are compared with.
    """
    rows = [_one(improvement, config, base) for improvement in PLUS_ROWS]
    lacking = [one for one in PLUS_ROWS if one.in_all and not one.present(config)]
    if len(lacking) > 1:
        changes = (*base.changes, *(change for one in lacking for change in one.changes))
        title = f"{base.title}, with all of them"
        rows.append(_row("plus", title, changes, base))
    return tuple(rows)


def _one(improvement: Improvement, config: TrainingConfig, base: Row) -> Row:
    if improvement.present(config):
        lost = [improvement, *(one for one in PLUS_ROWS if one.needs == improvement.name and one.present(config))]
        title = f"{base.title} without " + " and ".join(one.taken or one.title for one in lost)
        changes = tuple(change for one in reversed(lost) for change in one.without)
    else:
        needed = [one for one in PLUS_ROWS if one.name == improvement.needs and not one.present(config)]
        title = f"{base.title} with " + " and ".join(one.title for one in (improvement, *needed))
        changes = tuple(change for one in (*needed, improvement) for change in one.changes)
    if config.network.start == "random":
        # A memory of random numbers would be noise.
        changes = tuple("memory.kind=rebuilt" if change == _BUILT_MEMORY else change for change in changes)
    return _row(improvement.name, title, (*base.changes, *changes), base)


def _row(name: str, title: str, changes: tuple[str, ...], base: Row) -> Row:
    parts = dict(base.parts)
    if WITHOUT_PROMPT in changes:
        parts.pop("prompt", None)
    return Row(name=name, title=title, changes=changes, parts=parts, reference=base.name)
