"""What lies in a folder, and what a command did to it that it may not do."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

HASHED_BYTES = 1 << 22
State = dict[str, tuple[object, ...]]
"""By path: kind and permissions, owner, size, time of change, and content or where a link leads."""


def state_of(folder: Path) -> State:
    """Everything in a folder in depth, links not followed, pipes and devices not opened."""
    return dict(_entries(os.fsencode(folder)))


def _entries(folder: bytes) -> Iterator[tuple[str, tuple[object, ...]]]:
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        facts: tuple[object, ...] = status.st_mode, status.st_uid
        if kind == stat.S_IFREG:
            facts += status.st_size, status.st_mtime_ns
            if status.st_size <= HASHED_BYTES:
                facts += (hashlib.sha256(Path(os.fsdecode(entry.path)).read_bytes()).hexdigest(),)
        elif kind == stat.S_IFLNK:
            facts += (os.readlink(entry.path),)
        yield os.fsdecode(entry.path), facts
        if kind == stat.S_IFDIR:
            yield from _entries(entry.path)


def changed(before: State, after: State, may_change: Callable[[str], bool]) -> list[str]:
    """What was there and is gone or another, in words; what may change is left out."""
    wrong = []
    for path, facts in before.items():
        if after.get(path) == facts or may_change(path):
            continue
        wrong.append(f"gone: {path}" if path not in after else f"changed: {path}: {facts} -> {after[path]}")
    return wrong


def added(before: State, after: State) -> list[str]:
    """Paths that were not there."""
    return [path for path in after if path not in before]
