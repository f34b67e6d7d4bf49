"""The three stages of a conversion: whatever fails inside one becomes that stage's error."""

from __future__ import annotations

import os
from types import TracebackType

from mediaconv.errors import ComputeError, MediaconvError, MediaError, ReadError, WriteError, shortage


class stage:  # noqa: N801  used as a function
    """Errors of libraries inside become errors of this stage; ours, which name theirs, pass.

    A small file passes several: a generator would take twice the time.
    """

    def __init__(self, kind: type[ReadError | ComputeError | WriteError]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        short = shortage(error)
        if isinstance(error, MediaError):
            if short and short not in str(error):
                raise type(error)(short) from error  # type: ignore[call-arg]
        elif isinstance(error, MediaconvError):
            raise self._kind(str(error)) from error
        else:
            raise self._kind(short or _named(error)) from error


def _named(error: Exception) -> str:
    """The first line of what an error says; of the system's its words and the file's own name."""
    if isinstance(error, OSError) and error.strerror:
        name = os.path.basename(error.filename) if isinstance(error.filename, str) else ""
        return f"{error.strerror}{': ' if name else ''}{name}"
    text = (str(error).strip().splitlines() or ["no message"])[0]
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
