"""A few pieces of work side by side, again and again: the caller's own thread takes its share.

Each piece may be as short as a millisecond, so few are handed over: a helper thread is called once for all
pieces, takes one after the other, and is not waited for where it has not woken up when none is left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class SideBySide:
    """The caller's thread and `threads - 1` helpers, which start with the first work and stay until `close`.

    name: of the helpers' threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, name) if threads > 1 else None

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of every item, in the items' order.

        All of them are worked on, also after an error; the error of the first one is raised then. An
        interrupt of the caller's thread leaves out those that were not begun.
        """
        left = deque(enumerate(items))
        results: dict[int, Result] = {}
        errors: dict[int, Exception] = {}

        def take() -> None:
            while True:
                try:
                    index, item = left.popleft()
                except IndexError:
                    return
                try:
                    results[index] = work(item)
                except Exception as error:
                    errors[index] = error

        helpers = min(self.threads, len(items)) - 1
        called = [self._pool.submit(take) for _ in range(helpers)] if self._pool is not None else []
        try:
            take()
        finally:
            left.clear()
            came = [helper for helper in called if not helper.cancel()]
            wait(came)
        for helper in came:
            helper.result()
        if errors:
            raise errors[min(errors)]
        return [results[index] for index in range(len(items))]

    def close(self) -> None:
        """End the helpers, and wait for them."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
