"""One run at a time on an output folder, and on those around it: the second refuses.

A folder inside another run's counts as the same: each would take the other's unfinished files for leftovers.
The kernel keeps the locks; a killed run holds none. The lock file also names the inputs whose outputs the run
may have put in place without a row: where it is found without a holder, those are a killed run's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from mediaconv.errors import UsageError
from mediaconv.filesystem import NotAFileError, in_the_way, open_regular, open_to_read, sync, write_all

NAME = ".mediaconv.lock"
MOST_BYTES = 1 << 30
UNSUPPORTED = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK})
"""A file system without locks: two runs there are the user's to avoid, as the docs say."""
_HOLDER = re.compile(rb"\d+ on [^\n]*\n")
_TORN = re.compile(rb"\d{1,10}( (o(n( [^\n]{0,255})?)?)?)?")


class FolderLock:
    """Holds `FOLDER/.mediaconv.lock` until `release`. Raises UsageError while another run writes there.

    Folders above are looked at when the lock is held. Locks below come up in the search for leftovers, which
    asks `refuse_beside` about each: of two runs that begin at once, one at least sees the other.

    claimed: the inputs that a run which was killed had claimed.
    """

    claimed: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._handle: int | None = self._acquire()
        try:
            for above in Path(os.path.realpath(folder)).parents:
                self.refuse_beside(above / NAME)
        except BaseException:
            self.release(self.claimed)
            raise

    def claim(self, names: Iterable[str]) -> None:
        """Say durably which inputs' outputs this run is about to put in place. Raises OSError."""
        if self._handle is not None:
            self._write(names)
            os.fsync(self._handle)
            sync(self._path.parent)

    def release(self, keep: Iterable[str] = ()) -> None:
        """Let others write there. May be called twice. keep: claims that the next run must know of."""
        if self._handle is None:
            return
        names = list(keep)
        with contextlib.suppress(OSError):
            if names:
                self._write(names)
            elif os.path.samestat(os.fstat(self._handle), os.lstat(self._path)):
                self._path.unlink()
        handle, self._handle = self._handle, None
        os.close(handle)

    def refuse_beside(self, path: Path) -> None:
        """Raises UsageError where another run holds that lock file."""
        try:
            handle = open_regular(path)
        except OSError:  # none is there, or none that we may look at
            return
        try:
            if self._handle is None or not os.path.samestat(os.fstat(handle), os.fstat(self._handle)):
                self._lock(handle, fcntl.LOCK_SH, path.parent)
        finally:
            os.close(handle)

    def _acquire(self) -> int:
        while True:
            try:
                handle = open_regular(self._path, os.O_RDWR | os.O_CREAT)
            except NotAFileError:
                raise in_the_way(self._path) from None
            try:
                self._lock(handle, fcntl.LOCK_EX, self._path.parent)
                # the holder before us may have removed the file that we opened: then it guards nothing
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), os.lstat(self._path)):
                        self.claimed = _claims(_content(handle, self._path), self._path)
                        self._handle = handle
                        self._write(self.claimed)
                        return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _write(self, names: Iterable[str]) -> None:
        assert self._handle is not None
        data = lock_content(names)
        os.lseek(self._handle, 0, os.SEEK_SET)
        write_all(self._handle, data)
        os.ftruncate(self._handle, len(data))

    def _lock(self, handle: int, kind: int, folder: Path) -> None:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass  # told below, for its number is that of a shortage too
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return
        holder = os.pread(handle, 200, 0).decode(errors="replace").partition("\n")[0]
        around = "" if folder == self._path.parent else f", which overlaps with {self._path.parent}"
        raise UsageError(
            f"output: another run is writing to {folder}{f' (process {holder})' if holder else ''}"
            f"{around}; wait for it, or choose another output"
        )


def lock_content(names: Iterable[str]) -> bytes:
    """What a lock file holds: who holds it, and a line for each claim."""
    lines = [f"{os.getpid()} on {os.uname().nodename}", *map(json.dumps, names)]
    return "".join(f"{line}\n" for line in lines).encode()


def read_claims(folder: Path) -> frozenset[str]:
    """What a killed run had claimed, to look only. Raises UsageError where something else has that name."""
    try:
        with open_to_read(folder / NAME) as file:
            return _claims(_content(file.fileno(), folder / NAME), folder / NAME)
    except FileNotFoundError:
        return frozenset()
    except NotAFileError:
        raise in_the_way(folder / NAME) from None
    except OSError as error:
        raise UsageError(f"{folder / NAME}: cannot be read: {error.strerror}") from error


def _content(handle: int, path: Path) -> bytes:
    """A lock file's bytes. Raises UsageError for a file that is far too large to be one."""
    size = os.fstat(handle).st_size
    if size > MOST_BYTES:
        raise in_the_way(path, "a file that is no lock file of this program")
    return os.pread(handle, size, 0)


def _claims(content: bytes, path: Path) -> frozenset[str]:
    """The names in a lock file; a last line that a killed run left torn is none. Raises UsageError."""
    if not content or _TORN.fullmatch(content):  # by a power cut
        return frozenset()
    head = _HOLDER.match(content)
    if head is None:
        raise in_the_way(path, "a file that is no lock file of this program")
    claims = set()
    for line in content[head.end() :].split(b"\n")[:-1]:
        try:
            name = json.loads(line)
        except ValueError:
            continue
        if isinstance(name, str):
            claims.add(name)
    return frozenset(claims)
