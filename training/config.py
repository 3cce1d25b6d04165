"""TrainingConfig: everything that a run is made of, read from YAML, with every unknown key refused by name."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.config import ModelConfig
from training.augment import Augmentation
from training.clip_reid import PromptStage
from training.losses import LossWeights
from training.optim import OptimiserRecipe, Schedule

Positive = Annotated[int, Field(ge=1)]


class ConfigError(ValueError):
    """A config cannot be used; the message is one line and names the key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Network(_Section):
    """Architecture and where its first weights come from.

    Attributes:
        preset: an architecture of `ModelConfig.preset`.
        overrides: fields of `ModelConfig` that differ from the preset.
        start: `openai` (CLIP's own encoder, downloaded), `random`, or the path of a CLIP file or of a weights file.
        camera_embedding: whether the encoder has a row for each training camera (method.md 2.1). The released recipe
            has it; weights for other cameras than these are better without.
    """

    preset: str
    overrides: dict[str, Any] = {}
    start: str = "openai"
    camera_embedding: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Network":
        if self.architecture(cameras=0).whitened:
            raise ValueError("overrides have whitened, expected none: `tfclip whiten` learns it after training")
        return self

    def architecture(self, cameras: int) -> ModelConfig:
        """The config of the network for so many training cameras."""
        values = ModelConfig.preset(self.preset).to_dict() | self.overrides
        return ModelConfig.from_dict(values | {"cameras": cameras if self.camera_embedding else 0})


class Memory(_Section):
    """The CLIP-Memory (method.md 2.2).

    Attributes:
        kind: `clip` is built once with the untouched encoder (the paper's). `rebuilt` is built from the encoder as it
            is after `first_epoch` epochs and again every `every` epochs, for encoders that start from random numbers:
            their memory would be noise. `text` is CLIP-ReID's baseline: text features of prompts that are learned
            first, for each identity, through the frozen text tower of the CLIP weights. `momentum` is built as `clip`
            (after `first_epoch` epochs when the encoder starts from random numbers) and then moves towards the
            batches, step by step (method.md 8.1). `none` trains without.
        first_epoch, every: of `rebuilt`, in epochs; `first_epoch` of `momentum` too.
        momentum: of `momentum`, mu: what the old row weighs against the batch.
        proxies: rows that `momentum` has for an identity. `mean`: one, which moves towards the mean of the identity's
            clips in the batch. `mean_hardest`: a second one, which moves towards the clip that is least like it.
        normalise: whether the logits are cosines. Raw dot products (false) are the released behaviour; they suit CLIP's
            embeddings, whose length is about 10.
        temperature: the logits are divided by it.
        text: how the prompts of `text` are learned.
    """

    kind: Literal["clip", "rebuilt", "text", "momentum", "none"] = "clip"
    first_epoch: Positive = 10
    every: Positive = 10
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.2
    proxies: Literal["mean", "mean_hardest"] = "mean"
    normalise: bool = False
    temperature: Annotated[float, Field(gt=0)] = 1.0
    text: PromptStage = PromptStage()

    @model_validator(mode="after")
    def _check(self) -> "Memory":
        if self.kind == "momentum" and not self.normalise:
            raise ValueError("kind is momentum, expected normalise true: its rows are directions, all of length 1")
        return self


class Prompt(_Section):
    """The Sequence-Specific Prompt (method.md 2.3).

    Attributes:
        variant: `released` has self-attention over the memory and attends to the tokens' mean over frames (N of them);
            `paper` has cross-attention and MLP only and attends to the CLS vectors of the frames (T of them); `none`:
            the memory is used as it is.
        layers, heads, dropout: of the decoder.
    """

    variant: Literal["released", "paper", "none"] = "released"
    layers: Positive = 2
    heads: Positive = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Batches(_Section):
    """P x K sampling (method.md 1.6).

    Attributes:
        identities, tracklets: P and K of one optimiser step, over all processes.
        accumulate: the step's batch is computed in so many parts, to save memory. Triplets and necks see one part at a
            time, so P must be a multiple of it.
        workers: processes that decode frames; 0 decodes in the training process.
        cache_frames: keep the decoded frames in memory (small data sets).
    """

    identities: Annotated[int, Field(ge=2)] = 4
    tracklets: Annotated[int, Field(ge=2)] = 4
    accumulate: Positive = 1
    workers: Annotated[int, Field(ge=0)] = 4
    cache_frames: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Batches":
        if self.identities % self.accumulate or self.identities // self.accumulate < 2:
            raise ValueError(
                f"identities is {self.identities}, expected a multiple of accumulate ({self.accumulate}) that leaves "
                "two identities or more to each part"
            )
        return self


class TrainingConfig(_Section):
    """A run.

    Attributes:
        data_set: `mars`, `ls_vid`, `ilids_vid` or `folder`.
        name: what the service and the commands call the model; by default the name of its file.
        demo: whether they are to say, wherever they name it, that it is a demo.
        split: of `ilids_vid`, 0 to 9.
        network, memory, prompt, batches, augmentation, loss, optimiser, schedule: see there.
        held_out: share of the identities that is kept from training and evaluated (never choose by the test set);
            0 trains on all.
        validate_every: epochs between evaluations of the held-out identities.
        keep: which weights `weights.safetensors` is: of the `last` epoch, or the `best` on the held-out identities.
        precision: `float32`, `bf16`, or `fp16` with a gradient scaler. Logits, distances and losses are float32 always.
        compile: let `torch.compile` translate the network first: a minute more at the start, faster steps after it.
            Needs a C++ compiler.
        checkpoint_gradients: compute the encoder's activations twice instead of keeping them.
        clip_gradient: largest norm of the whole gradient; none by default, as in the paper's recipe.
        save_minutes: a run that is killed loses no more than this.
        seed: of every random number.
    """

    data_set: Literal["mars", "ls_vid", "ilids_vid", "folder"]
    network: Network
    name: str | None = None
    demo: bool = False
    split: Annotated[int, Field(ge=0, le=9)] = 0
    memory: Memory = Memory()
    prompt: Prompt = Prompt()
    batches: Batches = Batches()
    augmentation: Augmentation = Augmentation()
    loss: LossWeights = LossWeights()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: Schedule = Schedule()
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validate_every: Positive = 5
    keep: Literal["last", "best"] = "last"
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    compile: bool = False
    checkpoint_gradients: bool = False
    clip_gradient: Annotated[float, Field(gt=0)] | None = None
    save_minutes: Annotated[float, Field(gt=0)] = 10.0
    seed: Annotated[int, Field(ge=0)] = 1234

    @model_validator(mode="after")
    def _check(self) -> "TrainingConfig":
        if self.keep == "best" and self.held_out == 0:
            raise ValueError("keep is best, expected held_out > 0: the best is chosen on identities held out")
        if self.memory.kind == "none" and self.prompt.variant != "none":
            raise ValueError("memory.kind is none, expected prompt.variant none: a prompt adapts a memory")
        if self.memory.kind == "momentum" and self.prompt.variant != "none":
            raise ValueError("memory.kind is momentum, expected prompt.variant none: it takes the prompt's place")
        if self.memory.kind == "text" and self.network.start == "random":
            raise ValueError("memory.kind is text, expected network.start openai or a CLIP file: it has the text tower")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON types."""
        return self.model_dump(mode="json")


def shipped_configs() -> list[str]:
    """Names of the configs that come with the package."""
    folder = files("training") / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(name: str, changes: tuple[str, ...] = ()) -> TrainingConfig:
    """Read a config.

    Args:
        name: one that is shipped, or the path of a YAML file.
        changes: "section.key=value", the value in YAML, applied one after another.

    Raises:
        ConfigError: there is no such config, it is not YAML, a key is unknown, or a value does not fit.
    """
    document = _read(name)
    for change in changes:
        _apply(document, change)
    try:
        return TrainingConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"config {name}: {'; '.join(_explain(problem) for problem in error.errors())}") from error


def _read(name: str) -> dict[str, Any]:
    if name in shipped_configs():
        text = (files("training") / "configs" / f"{name}.yaml").read_text()
    elif Path(name).is_file():
        text = Path(name).read_text()
    else:
        raise ConfigError(f"there is no config {name!r}: pass a YAML file or one of {', '.join(shipped_configs())}")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config {name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"config {name} holds no sections: expected a mapping with at least `network`")
    return document


def _apply(document: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    *parents, key = path.strip().split(".")
    if not equals or not key:
        raise ConfigError(f"--set {change}: expected section.key=value")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {change}: {parent} is a value, expected a section")
    try:
        section[key] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change}: the value is not YAML") from error


def _explain(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        near = get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
        return f"unknown key {path}" + (f", did you mean {near[0]}?" if near else "")
    return f"{path}: {problem['msg']}" if path else str(problem["msg"])


def _keys(section: tuple[str, ...]) -> list[str]:
    """Keys that a section has."""
    found: Any = TrainingConfig
    for name in section:
        found = found.model_fields[name].annotation
    return list(getattr(found, "model_fields", None) or getattr(found, "__dataclass_fields__", {}))
