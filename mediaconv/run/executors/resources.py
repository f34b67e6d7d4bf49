"""The machine's share that a run may use: cores, memory, and each worker's threads of every library."""

from __future__ import annotations

import os
import sys

import psutil

from mediaconv.enough_threads import startable_threads
from mediaconv.machine import control_group

WORKER_BYTES = 1200 * 2**20
"""What one worker may hold at its peak: the libraries, a chunk's samples, decoder and encoders."""
GPU_WORKERS = 2
"""Workers on one accelerator: one decodes and encodes while the other computes."""


def cores() -> int:
    """Cores that this process may use: a container's share, not the machine's."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = control_group("cpu.max")
    return max(1, min(count, int(quota)) if quota else count)


def available_bytes() -> int:
    """Memory that may still be taken."""
    free = psutil.virtual_memory().available
    limit = control_group("memory.max")
    used = control_group("memory.current")
    return int(min(free, limit - used) if limit and used is not None else free)


def choose_workers(jobs: int, device: str, job_bytes: int = 0) -> int:
    """Most workers worth having for that many jobs: as cores and memory allow, at least one.

    job_bytes: what the largest job's input holds beside a chunk.
    """
    most = min(jobs, cores(), available_bytes() // (WORKER_BYTES + job_bytes))
    if device.startswith(("cuda", "mps")) or (device == "auto" and os.path.exists("/dev/nvidia0")):
        most = min(most, GPU_WORKERS)
    return max(1, most)


def set_threads(count: int) -> None:
    """Threads that each library here may use, as far as they can be started; those not imported yet are left
    alone."""
    count = 1 + startable_threads(count - 1)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(count)
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(count, int(os.environ.get("NUMBA_NUM_THREADS", cores()))))
