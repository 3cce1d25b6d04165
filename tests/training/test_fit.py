"""Runs: they learn, they resume to the same weights, several processes are one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from model import load_model
from model.cli import build_app
from tests.training.small_run import SMALL, coloured_people, make_run, small_config
from training.config import ConfigError
from training.datasets.registry import read_data_set
from training.datasets.tracklets import label_map
from training.distributed import Processes
from training.evaluation import describe_tracklets
from training.fit import Run, TrainingError
from training.journal import read_log
from training.network import memory_encoder
from training.run_folder import RunFolder


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def app() -> Typer:
    return build_app()


def tensors(path: Path) -> dict[str, Tensor]:
    return load_model(path).state_dict()


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


class _StoppedRunError(Exception):
    pass


def stop_before(run: Run, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the run end as by a kill just before the step; nothing is saved on the way out."""
    original = run._step

    def step_or_stop(*arguments: Any) -> dict[str, float]:
        if run.position.step == step:
            raise _StoppedRunError
        return original(*arguments)

    monkeypatch.setattr(run, "_step", step_or_stop)
    with pytest.raises(_StoppedRunError):
        run.fit()


@pytest.mark.parametrize("variant", ["none", "released"])
@pytest.mark.parametrize("save_minutes", [1000.0, 1e-9], ids=["saved at epochs", "saved at every step"])
@pytest.mark.parametrize("stopped_at", [0, 5, 11])
def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, save_minutes: float, stopped_at: int
) -> None:
    config = small_config(f"prompt.variant={variant}", f"save_minutes={save_minutes}")
    make_run(config, people, tmp_path / "whole").fit()
    stopped = make_run(config, people, tmp_path / "stopped")
    stop_before(stopped, stopped_at, monkeypatch)
    assert not stopped.folder.weights.exists()
    make_run(config, people, tmp_path / "stopped", resume=True).fit()
    assert_equal(tensors(tmp_path / "whole/weights.safetensors"), tensors(tmp_path / "stopped/weights.safetensors"))

    def numbers(run: str) -> list[dict[str, Any]]:
        lines = [line for line in read_log(tmp_path / run / "log.jsonl") if line["event"] == "epoch"]
        return [{key: value for key, value in line.items() if key not in ("time", "seconds")} for line in lines]

    assert numbers("whole") == numbers("stopped")


def test_the_loss_falls_and_people_are_told_apart(people: Path, tmp_path: Path) -> None:
    make_run(small_config("schedule.epochs=40", "memory.first_epoch=10"), people, tmp_path / "run").fit()
    epochs = [line for line in read_log(tmp_path / "run/log.jsonl") if line["event"] == "epoch"]
    assert epochs[-1]["loss_identity_u"] < 0.8 * epochs[0]["loss_identity_u"]
    assert epochs[-1]["accuracy"] > 0.5
    assert (tmp_path / "run/curves.png").stat().st_size > 1000


def test_a_rebuilt_memory_is_built_after_warm_up_and_at_its_interval(people: Path, tmp_path: Path) -> None:
    make_run(small_config("memory.first_epoch=1", "memory.every=2"), people, tmp_path / "run").fit()
    lines = read_log(tmp_path / "run/log.jsonl")
    before = [line["epoch"] for line in lines if line["event"] == "epoch" and "loss_video_to_memory" not in line]
    built = [index for index, line in enumerate(lines) if line["event"] == "memory"]
    assert before == [1]
    assert [lines[index - 1]["epoch"] for index in built] == [1, 3]


def test_a_memory_of_the_untouched_encoder_is_built_once_before_the_first_step(people: Path, tmp_path: Path) -> None:
    run = make_run(small_config("memory.kind=clip"), people, tmp_path / "run")
    plain = memory_encoder(run.model)
    v = describe_tracklets(plain, run.learned, clips="dense", device="cpu")[:, plain.config.width :]
    labels = label_map(run.learned)
    owners = torch.tensor([labels[one.identity] for one in run.learned])
    expected = torch.stack([v[owners == label].mean(dim=0) for label in range(len(labels))])
    run.fit()
    memories = [line for line in read_log(tmp_path / "run/log.jsonl") if line["event"] == "memory"]
    assert [line["step"] for line in memories] == [0]
    torch.testing.assert_close(run.network.memory, expected, rtol=1e-4, atol=1e-5)


def test_held_out_people_are_never_learned_and_choose_the_best(people: Path, tmp_path: Path) -> None:
    changes = ("held_out=0.25", "keep=best", "validate_every=1", "schedule.epochs=3")
    run = make_run(small_config(*changes), people, tmp_path / "run")
    assert {one.identity for one in run.learned}.isdisjoint(one.identity for one in run.held_out)
    assert len({one.identity for one in run.held_out}) == 2
    run.fit()
    lines = [line for line in read_log(tmp_path / "run/log.jsonl") if line["event"] == "validation"]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert_equal(tensors(run.folder.best), tensors(run.folder.weights))


def test_a_loss_that_is_not_finite_stops_the_run_and_says_what_to_do(people: Path, tmp_path: Path) -> None:
    config = small_config("optimiser.base_rate=1.0e+30", "clip_gradient=null")
    with pytest.raises(TrainingError, match=r"not finite in epoch \d.*lower optimiser.base_rate"):
        make_run(config, people, tmp_path / "run").fit()
    assert not (tmp_path / "run/weights.safetensors").exists()


@pytest.mark.parametrize(
    "changes",
    [
        ("memory.kind=none",),
        ("memory.kind=momentum", "memory.proxies=mean_hardest", "precision=fp16"),
        ("prompt.variant=paper",),
        ("network.overrides.temporal_memory_diffusion=false",),
        ("network.overrides.detach_temporal_input=false",),
        ("network.overrides.temporal_positions=true",),
        ("network.overrides.memory_diffusion=false",),
        ("network.overrides.temporal_fusion=conv1d",),
        ("network.overrides.temporal_fusion=transformer_cls",),
        ("network.overrides.temporal_fusion=transformer_residual",),
        ("network.camera_embedding=true",),
        ("precision=bf16",),
        ("precision=fp16",),
        ("checkpoint_gradients=true",),
        ("batches.cache_frames=true",),
    ],
    ids=lambda changes: changes[0],
)
def test_every_variant_trains_and_its_weights_load(people: Path, tmp_path: Path, changes: tuple[str, ...]) -> None:
    run = make_run(small_config("schedule.epochs=3", *changes), people, tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    run.fit()
    after = tensors(run.folder.weights)
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_checkpointed_gradients_change_no_weight(people: Path, tmp_path: Path) -> None:
    for flag in ("false", "true"):
        make_run(small_config(f"checkpoint_gradients={flag}"), people, tmp_path / flag).fit()
    assert_equal(tensors(tmp_path / "false/weights.safetensors"), tensors(tmp_path / "true/weights.safetensors"))


def test_compiled_steps_are_the_plain_ones(people: Path, tmp_path: Path) -> None:
    """At most to rounding, which training would amplify: so the losses of one step, and the names of the state."""
    overrides = "detach_temporal_input=false", "temporal_gradient=0.5", "temporal_positions=true"
    changes = ("memory.kind=none", *(f"network.overrides.{one}" for one in overrides))
    plain, compiled = (
        make_run(small_config(*changes, f"compile={flag}"), people, tmp_path / flag) for flag in ("false", "true")
    )
    assert plain.network.state_dict().keys() == compiled.network.state_dict().keys()
    frames, labels = torch.rand(4, 2, 3, 32, 16), torch.tensor([0, 0, 1, 1])
    totals = []
    for run in (plain, compiled):
        terms = run.network.train()(frames, labels, torch.zeros(4, dtype=torch.int64))
        torch.autograd.backward(terms.total)
        totals.append(terms.total.detach())
    torch.testing.assert_close(totals[1], totals[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-4)


def test_two_halves_of_a_batch_are_the_batch_when_no_loss_looks_across_it(people: Path, tmp_path: Path) -> None:
    """Without triplets and necks a loss is a mean over clips, so two halves of a batch are the batch."""
    changes = ("loss.triplet=0", "memory.kind=none", "schedule.epochs=1")
    logs = []
    for parts in (1, 2):
        run = make_run(small_config(*changes, f"batches.accumulate={parts}"), people, tmp_path / str(parts))
        for neck in run.network.heads.modules():
            if isinstance(neck, torch.nn.BatchNorm1d):
                neck.eval()
        run.network.train = lambda mode=True, run=run: run.network  # the necks stay as they are
        run.fit()
        logs.append(next(line for line in read_log(run.folder.log) if line["event"] == "epoch"))
    assert logs[0]["loss_total"] == pytest.approx(logs[1]["loss_total"], rel=1e-3)
    data = read_data_set("folder", people)
    one, two = (describe_tracklets(load_model(tmp_path / part / "weights.safetensors"), data.gallery) for part in "12")
    torch.testing.assert_close(two, one, rtol=1e-2, atol=1e-3)


DATA_PARALLEL = (
    "optimiser.name=adam",
    "optimiser.base_rate=1.0e-4",
    "prompt.dropout=0",
    "prompt.variant=released",
    "memory.kind=clip",
    "memory.normalise=false",
    "schedule.epochs=2",
)


def test_two_processes_are_one(people: Path, tmp_path: Path) -> None:
    options = [part for change in SMALL + DATA_PARALLEL for part in ("--set", change)]
    for processes, out in ((1, "one"), (2, "two")):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command += ["-m", "model.cli", "train", "--config", "folder_tiny", "--root", str(people)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            [*command, "--out", str(tmp_path / out), "--device", "cpu", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert result.returncode == 0, result.stderr
    # Not the parameters: Adam turns a gradient that is zero but for rounding, as of a key's bias, into a whole step.
    data = read_data_set("folder", people)
    one, two = (
        describe_tracklets(load_model(tmp_path / out / "weights.safetensors"), data.gallery) for out in ("one", "two")
    )
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
    logs = [
        [line for line in read_log(tmp_path / out / "log.jsonl") if line["event"] == "epoch"] for out in ("one", "two")
    ]
    for first, second in zip(*logs, strict=True):
        assert first["loss_total"] == pytest.approx(second["loss_total"], rel=1e-4)
        assert first["loss_triplet_u"] == pytest.approx(second["loss_triplet_u"], rel=1e-4, abs=1e-5)


def test_a_batch_that_the_processes_cannot_share_is_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a multiple of 3"):
        make_run(small_config(), people, tmp_path / "run", processes=Processes(rank=0, world=3))


def test_the_command_trains_and_says_where_the_weights_are(people: Path, tmp_path: Path, app: Typer) -> None:
    options = [part for change in (*SMALL, "schedule.epochs=1") for part in ("--set", change)]
    arguments = ["train", "--config", "folder_tiny", "--root", str(people), "--out", str(tmp_path / "run"), "--json"]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    shown = CliRunner().invoke(app, ["weights", "show", report["weights"], "--json"])
    document = json.loads(shown.stdout)
    assert document["model_id"] == report["model_id"]
    assert document["provenance"]["trained"] is True
    assert document["provenance"]["source"]["data_set"] == "folder"
    again = CliRunner().invoke(app, [*arguments, *options])
    assert again.exit_code == 2
    assert "pass --resume" in again.stderr


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ConfigError, match="holds no run"):
        RunFolder(tmp_path, resume=True)


def test_a_run_is_not_resumed_with_another_config(people: Path, tmp_path: Path) -> None:
    make_run(small_config(), people, tmp_path / "run")
    with pytest.raises(ConfigError, match="seed was 1234 and is 7"):
        make_run(small_config("seed=7"), people, tmp_path / "run", resume=True)


def test_a_damaged_state_is_refused(people: Path, tmp_path: Path) -> None:
    config = small_config("schedule.epochs=1")
    run = make_run(config, people, tmp_path / "run")
    run.fit()
    (tmp_path / "run/state.pt").write_bytes(b"half a file")
    with pytest.raises(ConfigError, match=r"state\.pt cannot be read"):
        make_run(config, people, tmp_path / "run", resume=True).fit()
