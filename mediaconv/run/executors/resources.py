"""The machine's share that a run may use: cores, memory, and each worker's threads of every library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
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
    quota = _limit("cpu.max")
    return max(1, min(count, int(quota)) if quota else count)


def available_bytes() -> int:
    """Memory that may still be taken."""
    free = psutil.virtual_memory().available
    limit = _limit("memory.max")
    used = _limit("memory.current")
    return int(min(free, limit - used) if limit and used is not None else free)


def choose_workers(jobs: int, device: str) -> int:
    """Most workers worth having for that many jobs: as cores and memory allow, at least one."""
    most = min(jobs, cores(), available_bytes() // WORKER_BYTES)
    if device.startswith(("cuda", "mps")) or (device == "auto" and os.path.exists("/dev/nvidia0")):
        most = min(most, GPU_WORKERS)
    return max(1, most)


def set_threads(count: int) -> None:
    """Threads that each library here may use; those not imported yet are left alone."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(count)
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(count, int(os.environ.get("NUMBA_NUM_THREADS", cores()))))


def _limit(name: str) -> float | None:
    """A control group's figure: cores for `cpu.max`, else bytes; None where there is no limit."""
    try:
        words = (CGROUP / name).read_text().split()
        if words[0] == "max":
            return None
        return float(words[0]) / float(words[1]) if len(words) > 1 else float(words[0])
    except (OSError, ValueError, IndexError):
        return None
