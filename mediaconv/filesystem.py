"""Files by name, with care: links are not followed, pipes and devices not opened, new files made exclusively.

For the names that the program makes and keeps itself. A stranger may have put anything under such a name.
Knows no runs and no media.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import os
import re
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from mediaconv.errors import UsageError, WriteError
from mediaconv.file_mark import is_marked, marked

MARK = ".part"
SPARSE_BYTES = 1 << 30
READ_BYTES = 1 << 16
SHOWN_BYTES = 120
"""Bytes of the target's name that its temporary name repeats: file systems end a name at 255."""
_TEMPORARY = re.compile(rb"\.(.+)\.part-([0-9a-f]{8})-[0-9a-f]{8}([0-9a-f]{8})?(?:-input|-old)?", re.DOTALL)
_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2


class NotAFileError(OSError):
    """A link, a pipe, a device or a folder where a regular file is expected."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Descriptor of a regular file; never waits. follow: links may lead to it.

    Raises NotAFileError where it is something else, OSError as `os.open` does.
    """
    try:
        handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR) and os.path.lexists(path):
            raise NotAFileError(error.errno, f"is {kind_of(path)}, not a regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotAFileError(errno.EINVAL, f"is {kind_of(path)}, not a regular file", str(path))
    return handle


def open_to_read(path: Path | str, *, follow: bool = False) -> BufferedReader:
    """The same, as a binary file to read."""
    return os.fdopen(open_regular(path, follow=follow), "rb")


def digest(handle: int) -> str:
    """sha256 of an open file, from where it stands to its end. Raises OSError.

    Of a small file in half the time of `hashlib.file_digest`, which clears a large buffer first.
    """
    hashed = hashlib.sha256()
    while part := os.read(handle, READ_BYTES):
        hashed.update(part)
    return hashed.hexdigest()


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all of it to an open file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def write_file(path: Path | str, data: bytes | memoryview = b"") -> None:
    """Write a file anew, in half the time of `Path.write_bytes`. Neither durable nor whole after an error.

    Raises OSError.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        write_all(handle, data)
    finally:
        os.close(handle)


def refuse_holes(handle: int) -> None:
    """Raises OSError for a file of more than a gigabyte that is nearly all holes: reading it takes hours."""
    status = os.fstat(handle)
    if status.st_size > SPARSE_BYTES and status.st_blocks * 512 < status.st_size // 64:
        what = f"holds {status.st_size} bytes that are hardly stored: it is all holes"
        raise OSError(errno.EFBIG, what)


def kind_of(path: Path | str) -> str:
    """What lies under a name, in words."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "nothing"
    names = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFREG: "a file",
             stat.S_IFSOCK: "a socket"}  # fmt: skip
    return names.get(stat.S_IFMT(mode), "a device")


def is_regular(path: Path | str) -> bool:
    """Whether a regular file lies under a name itself, not behind a link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def in_the_way(path: Path | str, what: str = "", *others: str) -> UsageError:
    """The refusal to replace or remove what is not the program's own."""
    what = what or f"{kind_of(path)} that this program did not make there"
    ways = ["move it away", "choose another output", *others]
    return UsageError(f"{path} is in the way: {what}; {', '.join(ways[:-1])}, or {ways[-1]}")


def write_whole(path: Path, data: bytes, *, fresh: bool = False) -> None:
    """Write a file, durable and whole or not at all. Who calls has made sure that it may be replaced.

    fresh: nothing lies there, and what comes there meanwhile stays.
    Raises OSError; NotAFileError where a link or something special lies under the name.
    """
    if os.path.lexists(path) and not is_regular(path):
        raise NotAFileError(errno.EEXIST, f"is {kind_of(path)}, not a regular file", str(path))
    _clear_killed(path)
    part = path.with_name(temporary_name(path))
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _try_lock(handle)
        write_all(handle, data)
        os.fsync(handle)
        if not (fresh and _rename(part, path, _RENAME_NOREPLACE)):
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    finally:
        os.close(handle)
    sync(path.parent)


def _clear_killed(target: Path) -> None:
    """Remove what programs that were killed left of a file: nobody holds the lock of its temporary name."""
    prefix = temporary_prefix(target)
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if not (name.startswith(prefix) and bears_mark(name)):
                continue
            with contextlib.suppress(OSError), open_to_read(target.parent / name) as file:
                if _try_lock(file.fileno()):
                    os.unlink(target.parent / name)


def _try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; False where another has, or the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_made(path: Path, *, overwrite: bool = False) -> None:
    """Raises UsageError where a file of this name is not one that this program made, as it was written, or
    where something else than a folder lies above it.

    overwrite: the user lets any regular file be replaced. Links, folders, pipes and devices never are.
    """
    above = next((each for each in path.parents if os.path.lexists(each)), Path())
    if not above.is_dir():
        raise in_the_way(above)
    if not os.path.lexists(path):
        return
    if not is_regular(path):
        raise in_the_way(path)
    if overwrite:
        return
    try:
        with open_to_read(path) as file:
            refuse_holes(file.fileno())
            if is_marked(file):
                return
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    what = "a file that this program did not make, or that was changed since"
    raise in_the_way(path, what, "give --overwrite")


def write_made(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file that the user has named, with this program's mark, where `check_made` lets it.

    The suffix is one of the formats of `file_mark`. Raises UsageError, WriteError.
    """
    data = marked(data, path.suffix)
    check_made(path, overwrite=overwrite)
    try:
        make_folders(path.parent)
        write_whole(path, data, fresh=not os.path.lexists(path))
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, durably. Raises OSError."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another worker was quicker
                os.mkdir(path)
                made.append(path)
            sync(path.parent)
    except OSError:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # not empty any more: another's now
                os.rmdir(path)
        raise
    if not missing and not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def exchange(one: Path | str, other: Path | str) -> bool:
    """Let two paths change places in one step; False where the system has no such call.

    Raises OSError.
    """
    return _rename(one, other, _RENAME_EXCHANGE)


def _rename(one: Path | str, other: Path | str, how: int) -> bool:
    """rename(2) with a flag; False where the system, or this file system, has none. Raises OSError."""
    call = _renameat2()
    if call is None:
        return False
    if not call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), how):
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(one if how == _RENAME_EXCHANGE else other))


@functools.cache
def _renameat2() -> Any:
    """The system's call, looked for once; None where there is none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def sync(path: Path | str) -> None:
    """Make a file's bytes, or a folder's names, durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_prefix(target: Path) -> str:
    """How the temporary names of one target begin: no two targets of a folder share it.

    >>> temporary_prefix(Path("out/clip.mp4"))
    '.clip.mp4.part-ffabf9ce-'
    """
    raw = os.fsencode(target.name)
    shown = raw[:SHOWN_BYTES].decode("utf-8", errors="ignore")
    return f".{shown}{MARK}-{hashlib.sha256(raw).hexdigest()[:8]}-"


def temporary_name(target: Path) -> str:
    """A new temporary name for a target, with the program's full mark: check digits over the whole name."""
    name = temporary_prefix(target) + os.urandom(4).hex()
    return name + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


def bears_mark(name: str) -> bool:
    """Whether a name was made by `temporary_name`; a name that only looks alike is another's.

    >>> bears_mark(temporary_name(Path("clip.mp4"))), bears_mark(".clip.mp4.part-ffabf9ce-01234567")
    (True, True)
    >>> bears_mark(".clip.mp4.part"), bears_mark(".clip.mp4.part-01234567-89abcdef"), bears_mark(".parts")
    (False, False, False)
    """
    raw = os.fsencode(name)
    match = _TEMPORARY.fullmatch(raw)
    if match is None:
        return False
    if match[3] is None:  # as version 0.1.0 made them: the name's own digits
        return hashlib.sha256(match[1]).hexdigest()[:8].encode() == match[2]
    return hashlib.sha256(raw[: match.start(3)]).hexdigest()[:8].encode() == match[3]
