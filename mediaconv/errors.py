"""Errors made for users: what came, what is allowed, what to do. Nothing here prints or exits.

Every error that a user can cause is a `MediaconvError`; its text is one or two lines and stands alone.
The command line turns it into an exit code; anything else that is raised is a defect of ours.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class MediaconvError(Exception):
    """A failure that a user can understand and mend. `exit_code` is the command's exit status."""

    exit_code = 1


class UsageError(MediaconvError):
    """The command or its configuration is wrong: nothing was run."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more problems in a configuration, one a line in the message."""


class MediaError(MediaconvError):
    """A file that cannot be read, computed or written. `stage` is "read", "compute" or "write"."""

    def __init__(self, message: str, *, stage: str) -> None:
        super().__init__(message)
        self.stage = stage

    def __reduce__(self) -> tuple:
        return _rebuild_media_error, (str(self), self.stage)


class ReadError(MediaError):
    """An input that cannot be opened or decoded."""

    def __init__(self, message: str) -> None:
        super().__init__(message, stage="read")


class ComputeError(MediaError):
    """A stack that cannot be run over this input."""

    def __init__(self, message: str) -> None:
        super().__init__(message, stage="compute")


class WriteError(MediaError):
    """An output that cannot be encoded or stored."""

    def __init__(self, message: str) -> None:
        super().__init__(message, stage="write")


def _rebuild_media_error(message: str, stage: str) -> MediaError:
    kinds = {"read": ReadError, "compute": ComputeError, "write": WriteError}
    return kinds[stage](message)


_LONGEST_NAME = 100
"""No name that a user misspells is longer."""


SHORTAGES = {
    errno.ENOMEM: "out of memory: give a smaller chunk, fewer workers, or limits that refuse this file",
    errno.EMFILE: "too many open files: fewer workers, or a higher `ulimit -n`",
    errno.ENFILE: "too many open files in the whole system",
    errno.EFBIG: "a file may not grow so large here: a higher `ulimit -f`, or another file system",
    errno.EAGAIN: "no more threads or processes: fewer workers, or a higher `ulimit -u`",
}


SHORTAGE_WORDS = {
    "can't start new thread": errno.EAGAIN,
    "resource temporarily unavailable": errno.EAGAIN,
    "failed to map segment": errno.ENOMEM,
    "allocate memory": errno.ENOMEM,
    "too many open files": errno.EMFILE,
}
"""How libraries and the dynamic linker tell of the same without a number."""


def shortage(error: BaseException | None) -> str | None:
    """What the machine ran short of, where that led to an error: then no file is to blame.

    >>> shortage(OSError(errno.EMFILE, "x"))
    'too many open files: fewer workers, or a higher `ulimit -n`'
    >>> shortage(ValueError("damaged"))
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            return SHORTAGES[error.errno]
        if isinstance(error, MemoryError):
            return SHORTAGES[errno.ENOMEM]
        if isinstance(error, RuntimeError | ImportError | OSError):
            text = str(error).lower()
            for words, number in SHORTAGE_WORDS.items():
                if words in text:
                    return SHORTAGES[number]
        error = error.__cause__ or error.__context__
    return None


def refuse_shortage(error: OSError) -> None:
    """Raises MediaconvError where an error that may otherwise be passed over tells of a shortage."""
    if short := shortage(error):
        raise MediaconvError(short) from error


def closest(name: str, allowed: Iterable[str]) -> str | None:
    """The name that a misspelt one is nearest to; None where none is near.

    >>> closest("rleu", ["relu", "gelu", "conv"]), closest("zzz", ["relu"])
    ('relu', None)
    """
    if len(name) > _LONGEST_NAME:
        return None
    return next(iter(difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.6)), None)


def not_one_of(key: str, got: str, allowed: Iterable[str]) -> str:
    """The message for a choice that there is not.

    >>> not_one_of("theme", "drak", ["light", "dark"])
    "theme: got 'drak', expected one of light, dark (did you mean 'dark'?)"
    """
    allowed = list(allowed)
    return f"{key}: got {got!r}, expected one of {', '.join(allowed)}{nearest(got, allowed)}"


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The hint for a misspelt name: `" (did you mean 'relu'?)"`, or nothing when none is near.

    >>> nearest("rleu", ["relu", "gelu", "conv"])
    " (did you mean 'relu'?)"
    """
    meant = closest(name, allowed)
    return "" if meant is None else f" (did you mean {meant!r}?)"
