"""Making many files durable at a time: by one call where that can be trusted, else side by side.

Knows no runs. One file after another costs a commit of the journal each; asked for together, they share one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mediaconv.filesystem import sync

FEW = 8
"""Files up to which each is synced alone: nothing else that lies on the disk is waited for."""
AT_A_TIME = 16
TRUSTED = frozenset({"ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs"})
"""File systems whose syncfs makes durable all that fsync does. FUSE and overlays hand on less."""
REPORTS_ERRORS = (5, 8)
"""The kernel from which on syncfs tells of what could not be written."""


class Disk:
    """The file system of a folder, open from before anything is written there: so it tells every error."""

    def __init__(self, folder: Path) -> None:
        self._call: Any = None
        self._handle: int | None = None
        self._device = -1
        with contextlib.suppress(OSError):  # then files are synced one by one, which tells what is wrong
            self._device = os.stat(folder).st_dev
            if _trusts(self._device):
                self._handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
                self._call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

    def sync(self, paths: Sequence[Path | str]) -> None:
        """Make files' bytes and folders' names durable, as fsync of each would. Raises OSError."""
        if len(paths) <= FEW:
            for path in paths:
                sync(path)
        elif not self._all_at_once({os.path.dirname(path) for path in paths}):
            try:
                with ThreadPoolExecutor(AT_A_TIME, "sync") as pool:
                    for _ in pool.map(sync, paths):
                        pass
            except RuntimeError:  # no more threads
                for path in paths:
                    sync(path)

    def sync_folders(self, folders: Sequence[str]) -> None:
        """The same of folders with all that is in them, which the folders' file system holds too."""
        few = len(folders) <= FEW // 2  # a folder and a file each; what more hold is not listed first
        if few or not self._all_at_once({os.path.dirname(path) for path in folders}):
            paths: list[Path | str] = []
            for folder in folders:
                paths += [*Path(folder).rglob("*"), folder]
            self.sync(paths)

    def _all_at_once(self, within: Iterable[str]) -> bool:
        """By one call for the whole disk; False where it cannot be trusted with those folders."""
        if self._call is None or any(os.stat(folder).st_dev != self._device for folder in within):
            return False
        if self._call(self._handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True

    def close(self) -> None:
        """Let go of it. May be called twice."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = self._call = None


def _trusts(device: int) -> bool:
    """Whether syncfs on that device does what fsync does, and tells of errors."""
    if sys.platform != "linux":
        return False
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version is None or (int(version[1]), int(version[2])) < REPORTS_ERRORS:
        return False
    numbers = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    kinds = {
        line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ", 3)[2:3] == [numbers]
    }
    return bool(kinds) and kinds <= TRUSTED
