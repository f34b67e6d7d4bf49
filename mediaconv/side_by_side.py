"""A few pieces of work side by side, again and again: the caller's own thread takes its share.

Each piece may be as short as a millisecond, so few are handed over: a helper thread is called once for all
pieces, takes one after the other, and is not waited for where it has not woken up when none is left. Threads
wake each other by compiled primitives: an executor's futures hold the interpreter's lock for longer.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class SideBySide:
    """The caller's thread and `threads - 1` helpers, which start with the first work and stay until `close`.

    name: of the helpers' threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        self._name = name
        self._helpers: list[Thread] = []
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        weakref.finalize(self, _end, self._calls, self._helpers)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of every item, in the items' order.

        All of them are worked on, also after an error; the error of the first one is raised then. An
        interrupt of the caller's thread leaves out those that were not begun.
        """
        call = _Call(work, items)
        helpers = min(self.threads, len(items)) - 1
        while len(self._helpers) < helpers:
            name = f"{self._name}_{len(self._helpers)}"
            helper = Thread(target=_help, args=(self._calls,), name=name, daemon=True)
            helper.start()
            self._helpers.append(helper)
        for _ in range(helpers):
            self._calls.put(call)
        try:
            call.take()
        finally:
            call.end()
        call.raise_error()
        return [call.results[index] for index in range(len(items))]

    def close(self) -> None:
        """End the helpers, and wait for them."""
        helpers = list(self._helpers)
        _end(self._calls, self._helpers)
        for helper in helpers:
            helper.join()


class _Call:
    """One call of `map`: what is left of its items, and what came of the others."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.results: dict[int, Any] = {}
        self._work = work
        self._left = deque(enumerate(items))
        self._errors: dict[int, BaseException] = {}
        self._lock = Lock()
        self._begun = 0
        self._open = True
        self._ended: SimpleQueue[None] = SimpleQueue()

    def take(self) -> None:
        """Work on one item after the other until none is left."""
        while True:
            try:
                index, item = self._left.popleft()
            except IndexError:
                return
            try:
                self.results[index] = self._work(item)
            except Exception as error:
                self._errors[index] = error

    def help(self) -> None:
        """`take` in a helper's thread, unless it comes too late."""
        with self._lock:
            if not self._open:
                return
            self._begun += 1
        try:
            self.take()
        except BaseException as error:  # handed to the caller's thread, which raises it
            self._errors[-1] = error
        finally:
            self._ended.put(None)

    def end(self) -> None:
        """Leave out what was not begun, and wait for the helpers that came."""
        self._left.clear()
        with self._lock:
            self._open = False
        for _ in range(self._begun):
            self._ended.get()

    def raise_error(self) -> None:
        """The first item's, if there was one."""
        if self._errors:
            raise self._errors[min(self._errors)]


def _help(calls: SimpleQueue[_Call | None]) -> None:
    """A helper's life; it holds no call while it waits for the next."""
    while (call := calls.get()) is not None:
        call.help()
        del call


def _end(calls: SimpleQueue[_Call | None], helpers: list[Thread]) -> None:
    for _ in helpers:
        calls.put(None)
    helpers.clear()
