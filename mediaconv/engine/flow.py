"""Decode, compute and encode side by side: three threads, bounded queues, one way to stop. Or in turn, where
there is one item.

Knows nothing of files: a producer makes items, the caller's function turns each into one for the consumer.
Items are handed over by compiled queues: film in chunks of one frame passes two of them a frame.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

DEPTH = 2
"""Items that may wait between two stages: enough to overlap, little to hold."""
POLL_SECONDS = 0.1
_END = object()


class StageStopped(Exception):  # noqa: N818  no error: it never leaves this module
    """Unwinds a stage after another one failed."""


def flow(
    produce: Iterable[Any],
    transform: Callable[[Any], Any],
    finish: Callable[[], Any],
    consume: Callable[[Any], None],
) -> None:
    """Run `consume(transform(item))` for every produced item, then `consume(finish())`.

    `produce` is iterated in one thread, `transform` and `finish` run in the caller's, `consume` in a third.
    The first error of any stage stops the others and is raised here, after both threads have ended.
    """
    stop = threading.Event()
    errors: list[BaseException] = []
    incoming, outgoing = _BoundedQueue(stop), _BoundedQueue(stop)

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except StageStopped:
            pass
        except BaseException as error:  # handed to the caller's thread, which raises it
            errors.append(error)
            stop.set()

    def read() -> None:
        for item in produce:
            incoming.put(item)
        incoming.put(_END)

    def write() -> None:
        for item in outgoing:
            consume(item)

    threads = [
        threading.Thread(target=guarded, args=(read,), name="decode", daemon=True),
        threading.Thread(target=guarded, args=(write,), name="encode", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        for item in incoming:
            outgoing.put(transform(item))
        outgoing.put(finish())
        outgoing.put(_END)
        while threads[1].is_alive():
            threads[1].join(POLL_SECONDS)
    except StageStopped:
        pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def in_turn(
    produce: Iterable[Any],
    transform: Callable[[Any], Any],
    finish: Callable[[], Any],
    consume: Callable[[Any], None],
    *,
    whole: Callable[[Any], Any] | None = None,
) -> None:
    """The same as `flow`, in the caller's thread: of one item nothing can overlap, and threads take longer to
    start than a small file takes.

    whole: transforms an item that is the only one, and finishes with it.
    """
    items = iter(produce)
    if whole is not None:
        first = list(itertools.islice(items, 2))
        if len(first) == 1:
            consume(whole(first[0]))
            return
        items = itertools.chain(first, items)
    for item in items:
        consume(transform(item))
    consume(finish())


class _BoundedQueue:
    """Up to `DEPTH` items between two threads. Both sides raise StageStopped once `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._waiting: SimpleQueue[Any] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(DEPTH):
            self._room.put(None)

    def put(self, item: Any) -> None:
        """Hand an item over as soon as there is room."""
        while not self._stop.is_set():
            try:
                self._room.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            self._waiting.put(item)
            return
        raise StageStopped

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                item = self._waiting.get(timeout=POLL_SECONDS)
            except Empty:
                if self._stop.is_set():
                    raise StageStopped from None
                continue
            self._room.put(None)
            if item is _END:
                return
            yield item
            del item  # not held while the next one is waited for
