"""One run at a time on an output folder, and on those around it: the second refuses.

A folder inside another run's counts as the same: each would take the other's unfinished files for leftovers.
The kernel keeps the locks; a killed run holds none.
"""

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
    """Holds `FOLDER/.mediaconv.lock` until `release`. Raises UsageError while another run writes there.

    Folders above are looked at when the lock is held. Locks below come up in the search for leftovers, which
    asks `refuse_beside` about each: of two runs that begin at once, one at least sees the other.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._handle: int | None = self._acquire()
        try:
            for above in Path(os.path.realpath(folder)).parents:
                self.refuse_beside(above / NAME)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others write there. May be called twice."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._path.unlink(missing_ok=True)
            os.close(handle)

    def refuse_beside(self, path: Path) -> None:
        """Raises UsageError where another run holds that lock file."""
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:  # none is there, or none that we may look at
            return
        try:
            if self._handle is None or not os.path.samestat(os.fstat(handle), os.fstat(self._handle)):
                self._lock(handle, fcntl.LOCK_SH, path.parent)
        finally:
            os.close(handle)

    def _acquire(self) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._lock(handle, fcntl.LOCK_EX, self._path.parent)
                # the holder before us may have removed the file that we opened: then it guards nothing
                if os.path.exists(self._path) and os.path.samestat(os.fstat(handle), os.stat(self._path)):
                    os.ftruncate(handle, 0)
                    os.write(handle, f"{os.getpid()} on {os.uname().nodename}\n".encode())
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _lock(self, handle: int, kind: int, folder: Path) -> None:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip()
            around = "" if folder == self._path.parent else f", which overlaps with {self._path.parent}"
            raise UsageError(
                f"output: another run is writing to {folder}{f' (process {holder})' if holder else ''}"
                f"{around}; wait for it, or choose another output"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
