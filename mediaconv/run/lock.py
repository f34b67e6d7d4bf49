"""One run at a time on an output folder: the second refuses. The kernel keeps it; a killed run holds none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from mediaconv.errors import UsageError

NAME = ".mediaconv.lock"
UNSUPPORTED = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK})
"""A file system without locks: two runs there are the user's to avoid, as the docs say."""


class FolderLock:
    """Holds `FOLDER/.mediaconv.lock` as a context manager. Raises UsageError while another has it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._handle = self._acquire()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._handle)

    def _acquire(self) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._lock(handle)
                # the holder before us may have removed the file that we opened: then it guards nothing
                if os.path.exists(self._path) and os.path.samestat(os.fstat(handle), os.stat(self._path)):
                    os.ftruncate(handle, 0)
                    os.write(handle, f"{os.getpid()} on {os.uname().nodename}\n".encode())
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip()
            raise UsageError(
                f"output: another run is writing to {self._path.parent}"
                f"{f' (process {holder})' if holder else ''}; wait for it, or choose another output"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
