"""Outputs that appear together or not at all: a hidden folder beside the target, renamed when complete.

Everything unfinished bears the program's full mark in its name (`mediaconv.filesystem.temporary_name`). What
lies in the target is replaced only where the caller says that it is the run's own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from mediaconv.errors import WriteError
from mediaconv.filesystem import (
    MARK,
    bears_mark,
    exchange,
    in_the_way,
    is_regular,
    make_folders,
    sync,
    temporary_name,
    temporary_prefix,
)

FULL_BYTES = 65536
"""A disk with less than this left is full: the smallest output with its folder needs more."""


class Staging:
    """A temporary folder for one target folder: `commit` puts it in place, leaving the block removes it.

    replaces: names of files in the target that are the run's own, of an earlier run.
    """

    def __init__(self, target: Path, replaces: Collection[str] = ()) -> None:
        self.target = target
        self.folder = target.with_name(temporary_name(target))
        self._replaces = frozenset(replaces)

    def __enter__(self) -> Staging:
        try:
            make_folders(self.target.parent)
            self.folder.mkdir()
        except OSError as error:
            raise WriteError(f"cannot make a folder in {self.target.parent}: {error.strerror}") from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        full = error if isinstance(error, WriteError) and _is_full(self.folder) else None
        shutil.rmtree(self.folder, ignore_errors=True)
        if full is not None:
            # encoders tell a full disk in many ways; the disk itself tells it in one
            raise full from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def commit(self) -> None:
        """Store the files durably and give the folder its name; the run's own files there are replaced.

        Raises WriteError; then the target is as it was, or holds old files and new ones, each whole.
        """
        try:
            for path in self.folder.rglob("*"):
                sync(path)
            sync(self.folder)
            self._swap()
            sync(self.target.parent)
        except OSError as error:
            raise WriteError(f"cannot put {self.target} in place: {error.strerror}") from error

    def _swap(self) -> None:
        if not os.path.lexists(self.target):
            self.folder.rename(self.target)
            return
        if self.target.is_symlink() or not self.target.is_dir():
            raise WriteError(str(in_the_way(self.target)))
        there = {entry.name: entry.is_file(follow_symlinks=False) for entry in os.scandir(self.target)}
        new = {path.name for path in self.folder.iterdir()}
        for name in sorted(new & there.keys()):
            if name not in self._replaces or not there[name]:
                raise WriteError(str(in_the_way(self.target / name)))
        if not there:
            self.folder.rename(self.target)
        elif not all(there[name] and name in self._replaces for name in there) or not exchange(
            self.folder, self.target
        ):
            self._replace_files(new)

    def _replace_files(self, new: Collection[str]) -> None:
        """Where the target also holds what is not this input's (outputs of a sequence in a folder of
        sequences), that stays: file by file, each whole. Cut short, it is done again: it has no row."""
        for name in sorted(new):
            os.replace(self.folder / name, self.target / name)
        for name in self._replaces.difference(new):
            if is_regular(self.target / name):
                os.unlink(self.target / name)
        sync(self.target)


def is_unfinished(name: str) -> bool:
    """Whether a name looks like that of something unfinished; whose it is, `bears_mark` tells.

    >>> is_unfinished(".clip.mp4.part-0a1b2c3d"), is_unfinished("clip.part.mp4")
    (True, False)
    """
    return name.startswith(".") and MARK in name


def clear_leftovers(target: Path) -> None:
    """Remove what a job that was ended by force left beside its target. No other may be writing it."""
    prefix = temporary_prefix(target)
    try:
        names = os.listdir(target.parent)
    except OSError:
        return
    for name in names:
        if name.startswith(prefix) and bears_mark(name):
            remove_unfinished(target.parent / name)


def remove_unfinished(path: Path) -> None:
    """Remove one leftover, a folder or a file; a link or a device is none of ours."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif is_regular(path):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < FULL_BYTES
