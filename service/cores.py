"""Cores that this process may use."""

import os


def allowed_cores() -> int:
    """How many: those of the machine, or the part of them that the process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
