"""The program's standard streams: closed ones lead nowhere, and stderr is the program's alone.

C libraries write warnings of their own to descriptor 2 (mpg123 about an MP3's headers, libtiff about tags),
which tell a user nothing and may repeat what a file says. What matters comes back as an error of ours.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings


def open_streams() -> None:
    """Streams that were closed (`>&-`, `2>&-`) lead nowhere: no file may take their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def quiet_libraries() -> None:
    """Let descriptor 2 lead nowhere, for child processes too; `sys.stderr` goes on where it went.

    Warnings of Python's libraries are for who writes programs: they are not shown.
    """
    warnings.simplefilter("ignore")
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        own = os.dup(2)  # not inherited by child processes
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        raw = os.fdopen(own, "wb", buffering=0)  # what cannot be written is not kept for later
        encoding = sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(
            raw, encoding, "backslashreplace", line_buffering=True, write_through=True
        )  # type: ignore[arg-type]
