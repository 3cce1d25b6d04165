"""Threads that compute on one core each."""

from concurrent.futures import ThreadPoolExecutor

import torch


def on_one_core() -> None:
    """What this thread computes with PyTorch, it computes alone.

    Threads that share one product wait for the last of them, busily: where another program keeps one of two cores, a
    pass over an index takes two to eight times as long as blocks on a core each (`python -m benchmarks.block_speed`).
    """
    # Asked first: a thread takes the number of the whole process over at its first use, which would undo the second.
    torch.get_num_threads()
    torch.set_num_threads(1)


def one_core_threads(count: int, name: str) -> ThreadPoolExecutor:
    """So many threads, each on one core."""
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=on_one_core)
