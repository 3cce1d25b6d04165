"""Data parallel training: one process per device, started by `torchrun`.

Every process computes the features of its share of a batch; features are then gathered, and each process computes
necks, classifiers and losses over the whole batch. So a batch-hard triplet is looked for everywhere and necks see
every row, as if one process had computed it all (SyncBatchNorm would do the second, but refuses the CPU).
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        rank: which one this is, from 0.
        world: how many there are.
        local_rank: which device of this machine is this process's.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0


def join_processes(device: str) -> Processes:
    """Join the group that `torchrun` started; without it there is one process.

    Args:
        device: a CUDA device communicates by NCCL, anything else by Gloo.
    """
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return Processes()
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Processes(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def leave_processes() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait_for_all() -> None:
    """Return when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def from_first(tensor: Tensor) -> Tensor:
    """The first process's tensor, in every process; shapes and dtypes are equal."""
    if dist.is_initialized():
        dist.broadcast(tensor, src=0)
    return tensor


def all_agree(condition: bool, device: torch.device) -> bool:
    """Whether the condition holds in every process."""
    if not dist.is_initialized():
        return condition
    flag = torch.tensor(int(condition), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag.item())


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate every process's rows in the order of ranks, with gradient.

    Args:
        rows: (n, ...), n the same in every process.

    Returns:
        (world * n, ...). Each process is expected to compute the same loss from it: the gradients of all of them are
        summed on the way back, so that after DistributedDataParallel's mean over processes they are exact.
    """
    if not dist.is_initialized():
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Tensor:
        total: Tensor = gradients[0].contiguous()
        dist.all_reduce(total)
        size = len(total) // dist.get_world_size()
        start = dist.get_rank() * size
        return total[start : start + size]
