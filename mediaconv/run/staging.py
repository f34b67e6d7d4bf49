"""Outputs that appear together or not at all: a hidden folder beside the target, renamed when complete.

Everything unfinished has a path component that starts with a dot and contains `.part`; nothing else does.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from mediaconv.errors import WriteError

MARK = ".part"


class Staging:
    """A temporary folder for one target folder: `commit` puts it in place, leaving the block removes it."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name[:100]}{MARK}-{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> Staging:
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise WriteError(f"cannot make a folder in {self.target.parent}: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def commit(self) -> None:
        """Store the files durably and give the folder its name; outputs of an earlier run are replaced."""
        try:
            for path in self.folder.iterdir():
                _sync(path)
            _sync(self.folder)
            self._swap()
            _sync(self.target.parent)
        except OSError as error:
            raise WriteError(f"cannot put {self.target} in place: {error.strerror}") from error

    def _swap(self) -> None:
        if not self.target.exists():
            self.folder.rename(self.target)
            return
        old = self.folder.with_name(self.folder.name + "-old")
        self.target.rename(old)
        self.folder.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)


def is_unfinished(name: str) -> bool:
    """Whether a file or folder name is one that an interrupted run leaves behind.

    >>> is_unfinished(".clip.mp4.part-0a1b2c3d"), is_unfinished("clip.part.mp4")
    (True, False)
    """
    return name.startswith(".") and MARK in name


def remove_unfinished(root: Path) -> int:
    """Remove what killed runs left under an output folder; how many entries. Nobody may be writing there."""
    removed = 0
    for folder, folders, files in os.walk(root):
        for name in [n for n in folders if is_unfinished(n)]:
            shutil.rmtree(Path(folder, name), ignore_errors=True)
            folders.remove(name)
            removed += 1
        for name in filter(is_unfinished, files):
            Path(folder, name).unlink(missing_ok=True)
            removed += 1
    return removed


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
