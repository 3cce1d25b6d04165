"""The momentum memory against a slow and obvious twin, alone, in the network and over a run."""

import math
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from model import ModelConfig, new_model
from tests.training.small_run import coloured_people, make_run, small_config
from tests.training.test_fit import stop_before
from training.config import load_config
from training.losses import LossWeights, smoothed_cross_entropy
from training.memory import load_memory
from training.momentum_memory import moved_rows
from training.network import TrainingNetwork
from training.remembering import memory_is_due

MOMENTUM = ("memory.kind=momentum", "memory.proxies=mean_hardest", "memory.first_epoch=1")
NO_CAMERA = torch.zeros(8, dtype=torch.int64)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_people(tmp_path_factory.mktemp("people"), people=4, frames=2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_moved(memory: list[Any], v: list[Any], labels: list[int], mu: float, towards: str) -> list[list[float]]:
    """One identity after another, one clip after another."""
    clips = [[number / math.hypot(*clip) for number in clip] for clip in v]
    rows = [list(row) for row in memory]
    for identity, old in enumerate(memory):
        mine = [clip for clip, label in zip(clips, labels, strict=True) if label == identity]
        if not mine:
            continue
        if towards == "hardest":
            batch = min(mine, key=lambda clip: sum(a * b for a, b in zip(clip, old, strict=True)))
        else:
            batch = [sum(numbers) / len(mine) for numbers in zip(*mine, strict=True)]
        mixed = [mu * a + (1 - mu) * b for a, b in zip(old, batch, strict=True)]
        rows[identity] = [number / math.hypot(*mixed) for number in mixed]
    return rows


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    mu=st.sampled_from([0.0, 0.2, 0.9]),
    towards=st.sampled_from(["mean", "hardest"]),
    seed=st.integers(0, 1000),
)
def test_rows_move_as_their_plain_twins(
    labels: list[int], mu: float, towards: Literal["mean", "hardest"], seed: int
) -> None:
    memory, v = normalize(random(5, 6, seed=seed), dim=1), 7 * random(len(labels), 6, seed=seed + 1)
    before = memory.clone()
    found = moved_rows(memory, v, torch.tensor(labels), mu, towards=towards)
    expected = plain_moved(memory.tolist(), v.tolist(), labels, mu, towards)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    assert torch.equal(memory, before)


def test_half_precision_clips_move_rows_in_full_precision() -> None:
    memory, v = normalize(random(3, 6), dim=1), random(4, 6, seed=1).half()
    labels = torch.tensor([0, 0, 2, 2])
    found = moved_rows(memory, v, labels, 0.2, towards="mean")
    assert torch.equal(found, moved_rows(memory, v.float(), labels, 0.2, towards="mean"))


def network(*changes: str) -> TrainingNetwork:
    """A network for 5 identities that remembers something."""
    config = small_config(*MOMENTUM, *changes)
    made = TrainingNetwork(new_model(config.network.architecture(0), seed=1), 5, config)
    made.remember(3 * random(5, 16))
    return made.train()


def see(of: TrainingNetwork, frames: Tensor, labels: Tensor) -> Any:
    return of(frames, labels, NO_CAMERA[: len(labels)])


FRAMES, LABELS = random(8, 2, 3, 32, 16, seed=4), torch.tensor([3, 3, 0, 0, 1, 1, 4, 4])


def test_both_rows_of_an_identity_start_from_the_normalised_memory() -> None:
    made = network()
    torch.testing.assert_close(made.memory, normalize(random(5, 16), dim=1))
    assert made.hardest is not None
    assert torch.equal(made.hardest, made.memory)
    assert {"memory", "hardest"} <= made.state_dict().keys()
    assert "hardest" not in network("memory.proxies=mean").state_dict()


def test_the_loss_is_the_mean_of_both_rows_cross_entropies() -> None:
    made = network("memory.temperature=0.05", "loss.smoothing=0.2")
    assert made.hardest is not None
    made.hardest.copy_(normalize(random(5, 16, seed=9), dim=1))
    v = made.model(FRAMES).v
    expected = [
        smoothed_cross_entropy(normalize(v, dim=1) @ rows.T / 0.05, LABELS, 0.2) for rows in (made.memory, made.hardest)
    ]
    assert made.config.loss == LossWeights(smoothing=0.2)
    found = see(made, FRAMES, LABELS).video_to_memory
    torch.testing.assert_close(found, torch.stack(expected).mean())
    assert float((expected[0] - expected[1]).detach().abs()) > 1e-3


def test_parts_of_a_batch_see_the_same_rows_and_move_them_as_the_whole() -> None:
    whole, parts = network(), network()
    see(whole, FRAMES, LABELS)
    whole.move_memory()
    before = parts.memory.clone()
    # An identity in both parts: its clips count together.
    for part in (slice(0, 3), slice(3, 8)):
        see(parts, FRAMES[part], LABELS[part])
        assert torch.equal(parts.memory, before)
    parts.move_memory()
    assert not torch.allclose(parts.memory[LABELS], before[LABELS], atol=1e-2)
    torch.testing.assert_close(parts.memory, whole.memory)
    torch.testing.assert_close(parts.hardest, whole.hardest)
    moved = parts.memory.clone()
    parts.move_memory()
    assert torch.equal(parts.memory, moved), "a batch counts once"


def test_only_training_moves_it_and_no_gradient_runs_into_it() -> None:
    made = network()
    with torch.no_grad():
        see(made.eval(), FRAMES, LABELS)
    before = made.memory.clone()
    made.move_memory()
    assert torch.equal(made.memory, before)
    see(made.train(), FRAMES, LABELS).total.backward()
    made.move_memory()
    assert not made.memory.requires_grad
    assert not torch.equal(made.memory, before)


# Identity 3 is in both halves: a process must see the other's clips.
SHARED = torch.tensor([3, 3, 0, 0, 3, 1, 4, 4])


def _one_of_two(rank: int, place: str, answers: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    made, mine = network(), slice(4 * rank, 4 * rank + 4)
    with torch.no_grad():
        see(made, FRAMES[mine], SHARED[mine])
    made.move_memory()
    assert made.hardest is not None
    answers.put((rank, made.memory.numpy(), made.hardest.numpy()))
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_keep_the_memory_that_one_would(tmp_path: Path) -> None:
    one = network()
    see(one, FRAMES, SHARED)
    one.move_memory()
    context = get_context("fork")
    answers = context.Queue()
    workers = [context.Process(target=_one_of_two, args=(rank, str(tmp_path / "meet"), answers)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    for _, memory, hardest in found:
        np.testing.assert_allclose(memory, one.memory.numpy(), atol=1e-5)
        assert one.hardest is not None
        np.testing.assert_allclose(hardest, one.hardest.numpy(), atol=1e-5)
    assert np.array_equal(found[0][1], found[1][1])


def test_it_is_built_before_the_first_step_or_where_encoders_are_random_after_the_first_epochs() -> None:
    for config, built in (
        (load_config("tfclip_plus", ("memory.kind=momentum", "prompt.variant=none")), [0]),
        (small_config("memory.kind=momentum", "memory.first_epoch=3"), [3]),
        (small_config("memory.kind=rebuilt", "memory.first_epoch=3", "memory.every=2"), [3, 5, 7]),
        (load_config("mars_vit_b16"), [0]),
        (small_config("memory.kind=none"), []),
    ):
        assert [epoch for epoch in range(9) if memory_is_due(config, epoch)] == built


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_moves_the_memory_once_a_step_as_the_plain_twin(people: Path, tmp_path: Path, accumulate: int) -> None:
    run = make_run(
        small_config(*MOMENTUM, "schedule.epochs=2", f"batches.accumulate={accumulate}"), people, tmp_path / "run"
    )
    seen: list[tuple[Tensor, Tensor]] = []
    features = run.network._features

    def listen(frames: Tensor, cameras: Tensor) -> Any:
        made = features(frames, cameras)
        seen.append((made.v.detach(), labels[-1]))
        return made

    labels: list[Tensor] = []
    run.network.register_forward_pre_hook(lambda _, inputs: labels.append(inputs[1]))
    run.network._features = listen  # type: ignore[assignment]
    run.fit()
    built = normalize(load_memory(run.folder.memory, list(run.labels)), dim=1)
    half = len(seen) // 2
    assert half >= accumulate, "the memory was built after the first of two epochs"
    mean = hardest = built.tolist()
    for step in range(half, len(seen), accumulate):
        parts = seen[step : step + accumulate]
        v, owners = torch.cat([one for one, _ in parts]).tolist(), torch.cat([one for _, one in parts]).tolist()
        mean, hardest = (
            plain_moved(rows, v, owners, 0.2, towards) for rows, towards in ((mean, "mean"), (hardest, "hardest"))
        )
    np.testing.assert_allclose(run.network.memory.numpy(), mean, atol=1e-4)
    assert run.network.hardest is not None
    np.testing.assert_allclose(run.network.hardest.numpy(), hardest, atol=1e-4)
    assert not np.allclose(mean, built.numpy(), atol=1e-2)


def test_a_resumed_run_has_the_memory_of_an_uninterrupted_one(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(*MOMENTUM, "schedule.epochs=3", "save_minutes=1.0e-9")
    whole = make_run(config, people, tmp_path / "whole")
    whole.fit()
    stop_before(make_run(config, people, tmp_path / "stopped"), whole.position.step - 1, monkeypatch)
    resumed = make_run(config, people, tmp_path / "stopped", resume=True)
    resumed.fit()
    assert resumed.position.step == whole.position.step > 3
    expected, found = whole.network.state_dict(), resumed.network.state_dict()
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_the_memory_is_no_part_of_the_weights() -> None:
    plain = ModelConfig.from_dict(small_config(*MOMENTUM).network.architecture(0).to_dict())
    assert network().model.state_dict().keys() == new_model(plain).state_dict().keys()
