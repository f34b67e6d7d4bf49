"""Outputs that appear together or not at all: a hidden folder beside the target, renamed when complete.

Everything unfinished has a path component that starts with a dot and contains `.part`; nothing else does.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from pathlib import Path

from mediaconv.errors import WriteError

MARK = ".part"
SHOWN_BYTES = 120
"""Bytes of the target's name that its temporary name repeats: file systems end a name at 255."""
FULL_BYTES = 65536
"""A disk with less than this left is full: the smallest output with its folder needs more."""


class Staging:
    """A temporary folder for one target folder: `commit` puts it in place, leaving the block removes it."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(temporary_prefix(target) + uuid.uuid4().hex[:8])
        self._old = self.folder.with_name(self.folder.name + "-old")

    def __enter__(self) -> Staging:
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise WriteError(f"cannot make a folder in {self.target.parent}: {error.strerror}") from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        full = error if isinstance(error, WriteError) and _is_full(self.folder) else None
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._old.exists() and not self.target.exists():  # cut off between the two renames
            self._old.rename(self.target)
        shutil.rmtree(self._old, ignore_errors=True)
        if full is not None:
            # encoders tell a full disk in many ways; the disk itself tells it in one
            raise full from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

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
        try:
            self.folder.rename(self.target)  # also over an empty folder
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if any(entry.is_dir() for entry in os.scandir(self.target)):
            self._replace_files()
            return
        self.target.rename(self._old)
        self.folder.rename(self.target)

    def _replace_files(self) -> None:
        """Where the target holds the outputs of other inputs (a sequence in a folder of sequences), they
        stay: file by file, each whole. Cut short, it is done again, for the manifest has no row of it."""
        new = {path.name for path in self.folder.iterdir()}
        for path in list(self.target.iterdir()):
            if path.is_file() and path.name not in new:
                path.unlink()
        for name in sorted(new):
            os.replace(self.folder / name, self.target / name)


def temporary_prefix(target: Path) -> str:
    """How the temporary names of one target begin: no two targets of a folder share it.

    >>> temporary_prefix(Path("out/clip.mp4"))
    '.clip.mp4.part-ffabf9ce-'
    """
    raw = os.fsencode(target.name)
    shown = raw[:SHOWN_BYTES].decode("utf-8", errors="ignore")
    return f".{shown}{MARK}-{hashlib.sha256(raw).hexdigest()[:8]}-"


def is_unfinished(name: str) -> bool:
    """Whether a file or folder name is one that an interrupted run leaves behind.

    >>> is_unfinished(".clip.mp4.part-0a1b2c3d"), is_unfinished("clip.part.mp4")
    (True, False)
    """
    return name.startswith(".") and MARK in name


def clear_leftovers(target: Path) -> None:
    """Remove what a job that was ended by force left beside its target. No other may be writing it."""
    prefix = temporary_prefix(target)
    try:
        names = os.listdir(target.parent)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(prefix):
            remove_unfinished(target.parent / name)


def remove_unfinished(path: Path) -> None:
    """Remove one leftover, a folder or a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < FULL_BYTES


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
