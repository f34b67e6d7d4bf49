"""Memory of large tensors that nothing holds any more, kept for the next ones of the same stream.

The system prepares fresh memory page by page when it is first touched, which takes as long as a convolution
of few channels. Memory is handed out again once no tensor lies in it, never while a user holds one there.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from types import TracebackType

import numpy as np

ALIGNMENT = 64
"""Bytes: a vector register's, and a cache line's."""
PUSHES_KEPT = 2
"""A consumer may hold one output until the next has come; so what was given then is free after two."""


@dataclass
class _Block:
    """memory: bytes. lent: the array under a tensor, dead when the tensor is. push: when it was lent."""

    memory: np.ndarray
    lent: weakref.ref[np.ndarray]
    push: int


class ReusedMemory:
    """Used as a context: `large_pages.empty` takes from it within, in this thread.

    Holds what was lent during the last two contexts, and only until it is itself dropped.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._push = 0
        self._outer: list[ReusedMemory | None] = []

    def __deepcopy__(self, memo: dict) -> ReusedMemory:
        return ReusedMemory()

    def __reduce__(self) -> tuple:
        return ReusedMemory, ()

    def __enter__(self) -> ReusedMemory:
        self._outer.append(current())
        _thread.memory = self
        self._push += 1
        self._blocks = [block for block in self._blocks if self._push - block.push <= PUSHES_KEPT]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.memory = self._outer.pop()

    def take(self, size: int) -> np.ndarray:
        """An array of `size` bytes with any values: the smallest free block that fits, or a new one."""
        free = [b for b in self._blocks if b.lent() is None and size <= len(b.memory) <= 2 * size]
        if free:
            block = min(free, key=lambda b: len(b.memory))
            array = block.memory[:size]
        else:
            memory = np.empty(size + ALIGNMENT, np.uint8)
            memory = memory[-memory.ctypes.data % ALIGNMENT :][:size]
            array = memory[:]
            block = _Block(memory, weakref.ref(array), self._push)
            self._blocks.append(block)
        block.lent, block.push = weakref.ref(array), self._push
        return array


class _Thread(threading.local):
    memory: ReusedMemory | None = None


_thread = _Thread()


def current() -> ReusedMemory | None:
    """The memory that large tensors are taken from now, in this thread."""
    return _thread.memory
