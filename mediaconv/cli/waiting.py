"""A line on standard error that something still goes on, from three seconds on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AFTER_SECONDS = 3.0


@contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Say what goes on once it has taken three seconds; in a terminal with the seconds, renewed and wiped."""
    if quiet:
        yield
        return
    done = threading.Event()
    began = time.monotonic()
    renewed = sys.stderr.isatty()

    def tell() -> None:
        if done.wait(AFTER_SECONDS):
            return
        print(f"{what} ...", end="" if renewed else "\n", file=sys.stderr, flush=True)
        while renewed and not done.wait(1.0):
            print(f"\r{what} ... {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
        if renewed:
            print(f"\r{' ' * (len(what) + 16)}\r", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
