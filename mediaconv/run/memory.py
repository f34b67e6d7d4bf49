"""Memory of a running process: how the C library returns it, and how much a tree of processes held.

Nothing here limits memory; `mediaconv.run.chunking` does, by the size of a chunk.
"""

from __future__ import annotations

import ctypes
import os
import threading
from types import TracebackType

import psutil

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30
LARGE_BYTES = 1 << 29


def keep_freed_memory() -> bool:
    """Let glibc keep large freed blocks for the next chunk. Returns False where there is no glibc.

    By default every block over 128 KiB (it adapts up to 32 MiB) is mapped afresh and unmapped when freed:
    each chunk's arrays are zeroed and faulted in page by page by the kernel, which took half of all CPU
    time of a plain script. With both thresholds high a block is faulted in once. Process-wide; call it once,
    early. The arrays of a run are of few sizes, so what is kept is reused and the peak hardly grows.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - only glibc has it
        mallopt = libc.mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))


def tree_rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (default: this one) and all its descendants now, added up.

    Pages that processes share are counted in each, so it is an upper bound.
    """
    try:
        root = psutil.Process(os.getpid() if pid is None else pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


class PeakMemory:
    """Measures the highest `tree_rss_bytes` while it is entered, by sampling; for benchmarks and tests.

    with PeakMemory() as peak: ...; peak.bytes
    """

    def __init__(self, pid: int | None = None, *, interval_seconds: float = 0.05) -> None:
        self.bytes = 0
        self._pid, self._interval = pid, interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.bytes = max(self.bytes, tree_rss_bytes(self._pid))

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.bytes = max(self.bytes, tree_rss_bytes(self._pid))
            self._stop.wait(self._interval)
