"""Ctrl-C, SIGTERM and a closed terminal end a run within two seconds, whatever the program is inside of.

The signal raises KeyboardInterrupt in the main thread, which unwinds and cleans up. Where that takes too long
(a library's long call lets no Python run), a thread that the kernel wakes cleans up and ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODE = 130
GRACE_SECONDS = 1.5
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ends_promptly(clean_up: Callable[[], None]) -> Iterator[None]:
    """Inside, each of SIGNALS raises KeyboardInterrupt once; a block that is not left then within
    `GRACE_SECONDS` is cut off: `clean_up` is called, in another thread, and the process ends with status 130.

    Does nothing outside the main thread, where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {number: signal.signal(number, _Once()) for number in SIGNALS if _is_heeded(number)}
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    left = threading.Event()
    guard = threading.Thread(target=_guard, args=(reading, left, clean_up), name="interrupt", daemon=True)
    guard.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        guard.join()
        os.close(reading)


class _Once:
    """Raises KeyboardInterrupt at the first signal; later ones must not disturb the cleaning up."""

    raised = False

    def __init__(self) -> None:
        type(self).raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not type(self).raised:
            type(self).raised = True
            raise KeyboardInterrupt


def _is_heeded(number: Any) -> bool:
    """Whether a signal is ours to handle: one that was ignored before us (nohup) stays so."""
    return signal.getsignal(number) not in (signal.SIG_IGN, None)


def _guard(reading: int, left: threading.Event, clean_up: Callable[[], None]) -> None:
    """Wait for a signal's byte or the end of the block; after a signal, give the block its time."""
    while True:
        select.select([reading], [], [])
        got = os.read(reading, 64)
        if not got:  # closed: the block was left
            return
        if any(number in SIGNALS for number in got):
            break
    if left.wait(GRACE_SECONDS):
        return
    clean_up()
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
