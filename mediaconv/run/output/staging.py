"""Outputs that appear together or not at all: a hidden folder beside the target, renamed when complete.

Everything unfinished bears the program's full mark in its name (`mediaconv.filesystem.temporary_name`). What
lies in the target is replaced only where the caller says that it is the run's own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Collection
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Staged:
    """A complete folder under a temporary name, and the target folder that it becomes. Holds no file open.

    replaces: names of files in the target that are the run's own, of an earlier run.
    flat: files go into the folder that holds the target, beside those of other inputs, one by one.
    """

    folder: str
    target: str
    replaces: frozenset[str] = frozenset()
    flat: bool = False

    @property
    def parent(self) -> str:
        """The folder that holds both."""
        return os.path.dirname(self.target)

    def contents(self) -> list[Path | str]:
        """What must be durable before it gets its name: the files, then the folder."""
        return [*Path(self.folder).rglob("*"), self.folder]

    def commit(self) -> None:
        """Store the files durably and give the folder its name; the run's own files there are replaced.

        Raises WriteError; then the target is as it was, or holds old files and new ones, each whole.
        """
        try:
            for path in self.contents():
                sync(path)
            self.place()
            sync(self.parent)
        except OSError as error:
            raise commit_error(self, error) from error

    def place(self) -> bool:
        """Give the folder its name; whether what was there before now lies under the temporary one.

        Names are durable once the target's parent is synced. Raises OSError, WriteError.
        """
        if self.flat:
            flat = sorted(os.listdir(self.folder))
            for name in flat:
                path = os.path.join(self.parent, name)
                if os.path.lexists(path) and not (name in self.replaces and is_regular(path)):
                    raise WriteError(str(in_the_way(path)))
            self._place_files(self.parent, flat)
            return True
        try:
            mode = os.lstat(self.target).st_mode
        except FileNotFoundError:
            os.rename(self.folder, self.target)
            return False
        if not stat.S_ISDIR(mode):
            raise WriteError(str(in_the_way(self.target)))
        with os.scandir(self.target) as entries:
            there = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        new = set(os.listdir(self.folder))
        for name in sorted(new & there.keys()):
            if name not in self.replaces or not there[name]:
                raise WriteError(str(in_the_way(os.path.join(self.target, name))))
        if not there:
            os.rename(self.folder, self.target)
            return False
        if not all(there[name] and name in self.replaces for name in there) or not exchange(
            self.folder, self.target
        ):
            # what is not this input's (outputs of a sequence in a folder of sequences) stays
            self._place_files(self.target, new)
            sync(self.target)
        return True

    def _place_files(self, folder: str, names: Collection[str]) -> None:
        """File by file, each whole. Cut short, it is done again: it has no row."""
        for name in sorted(names):
            os.replace(os.path.join(self.folder, name), os.path.join(folder, name))
        for name in self.replaces.difference(names):
            if is_regular(path := os.path.join(folder, name)):
                os.unlink(path)


class Staging:
    """A temporary folder for one target folder: `commit` puts it in place, leaving the block removes it.

    replaces: names of files in the target that are the run's own, of an earlier run.
    flat: files go into the folder that holds the target, beside those of other inputs, one by one.
    """

    def __init__(self, target: Path, replaces: Collection[str] = (), *, flat: bool = False) -> None:
        self.target = target
        self.folder = target.with_name(temporary_name(target))
        self._staged = Staged(str(self.folder), str(target), frozenset(replaces), flat)
        self._held = False

    def __enter__(self) -> Staging:
        try:
            try:
                os.mkdir(self.folder)
            except FileNotFoundError:
                make_folders(self.target.parent)
                os.mkdir(self.folder)
        except OSError as error:
            raise WriteError(f"cannot make a folder in {self.target.parent}: {error.strerror}") from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._held and error is None:
            return
        full = error if isinstance(error, WriteError) and _is_full(self.folder) else None
        if os.path.lexists(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
        if full is not None:
            # encoders tell a full disk in many ways; the disk itself tells it in one
            raise full from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def commit(self) -> None:
        """Put it in place. Raises WriteError as `Staged.commit`."""
        self._staged.commit()

    def hold(self) -> Staged:
        """Leave the folder when the block ends without an error: who holds it commits or removes it."""
        self._held = True
        return self._staged


def commit_error(staged: Staged, error: OSError | WriteError) -> WriteError:
    """Why outputs could not be put in place; its cause tells a full disk, however that showed."""
    if isinstance(error, WriteError):
        return error
    failure = WriteError(f"cannot put {staged.target} in place: {error.strerror}")
    full = _is_full(staged.parent)
    failure.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else error
    return failure


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


def remove_folder(folder: str) -> None:
    """Remove a hidden folder of the program's own, as far as that can be done: files at once, and what else
    there is by `shutil.rmtree`, which takes twice the processor's time for a few."""
    try:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _is_full(folder: Path | str) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < FULL_BYTES
