"""The three stages of a conversion: whatever fails inside one becomes that stage's error."""

from __future__ import annotations

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
        text = (str(error).strip().splitlines() or ["no message"])[0]
        named = text if type(error) is ValueError else f"{type(error).__name__}: {text}"
        raise kind(named) from error
