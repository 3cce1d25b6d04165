"""Cores that the service may use, and threads that keep to one each."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from service.threads import one_core_threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_that_a_process_is_not_bound_to_do_not_count() -> None:
    asked = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + (
        "from service.cores import allowed_cores; print(allowed_cores())"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout == "1\n"


def test_threads_keep_to_one_core_whatever_others_ask_for() -> None:
    def use() -> int:
        torch.ones(100_000).add(1)
        return torch.get_num_threads()

    with one_core_threads(1, "one") as ours, ThreadPoolExecutor(1) as others:
        # It begins, and does nothing with PyTorch yet.
        ours.submit(int).result()
        others.submit(torch.set_num_threads, 3).result()
        assert ours.submit(use).result() == 1
