"""Decode, compute and encode side by side: three threads, bounded queues, one way to stop. Or in turn, where
there is one item.

Knows nothing of files: a producer makes items, the caller's function turns each into one for the consumer.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
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
    incoming: queue.Queue = queue.Queue(DEPTH)
    outgoing: queue.Queue = queue.Queue(DEPTH)

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
            _put(incoming, item, stop)
        _put(incoming, _END, stop)

    def write() -> None:
        for item in _items(outgoing, stop):
            consume(item)

    threads = [
        threading.Thread(target=guarded, args=(read,), name="decode", daemon=True),
        threading.Thread(target=guarded, args=(write,), name="encode", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        for item in _items(incoming, stop):
            _put(outgoing, transform(item), stop)
        _put(outgoing, finish(), stop)
        _put(outgoing, _END, stop)
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


def _put(target: queue.Queue, item: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            target.put(item, timeout=POLL_SECONDS)
        except queue.Full:
            continue
        return
    raise StageStopped


def _items(source: queue.Queue, stop: threading.Event) -> Iterator[Any]:
    while True:
        try:
            item = source.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if stop.is_set():
                raise StageStopped from None
            continue
        if item is _END:
            return
        yield item
