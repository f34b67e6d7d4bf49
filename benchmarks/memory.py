"""How much memory a tree of processes holds, and held at most. Measures; it limits nothing."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

T = TypeVar("T")


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


def in_fork(act: Callable[[], T]) -> T:
    """What a call gives in a fork of this process, which it leaves as it was. Linux."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(act()))
    process.start()
    theirs.close()
    try:
        return ours.recv()  # type: ignore[no-any-return]
    finally:
        process.join()


def peak_growth(act: Callable[[], object], *, turns: int = 1) -> int:
    """Bytes that a call makes a process hold at most, above what it held before: the least of several turns.

    Each runs in a fork of this process, which first gives free memory back, so that what earlier calls left
    is not reused. What holes there are between what is held follows from all that the process did before.
    """

    def grown() -> int:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the highest resident size begins anew
        before = _status_bytes("VmRSS")
        act()
        return max(0, _status_bytes("VmHWM") - before)

    return min(in_fork(grown) for _ in range(turns))


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")
