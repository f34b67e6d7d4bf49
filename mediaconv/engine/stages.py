"""The three stages of a conversion: whatever fails inside one becomes that stage's error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mediaconv.errors import ComputeError, MediaconvError, MediaError, ReadError, WriteError, shortage


@contextmanager
def stage(kind: type[ReadError | ComputeError | WriteError]) -> Iterator[None]:
    """Errors of libraries inside become errors of this stage; ours, which name theirs, pass."""
    try:
        yield
    except MediaError as error:
        if (short := shortage(error)) and short not in str(error):
            raise type(error)(short) from error  # type: ignore[call-arg]
        raise
    except MediaconvError as error:
        raise kind(str(error)) from error
    except Exception as error:
        if short := shortage(error):
            raise kind(short) from error
        raise kind(_named(error)) from error


def _named(error: Exception) -> str:
    """The first line of what an error says; of the system's its words and the file's own name."""
    if isinstance(error, OSError) and error.strerror:
        name = os.path.basename(error.filename) if isinstance(error.filename, str) else ""
        return f"{error.strerror}{': ' if name else ''}{name}"
    text = (str(error).strip().splitlines() or ["no message"])[0]
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
