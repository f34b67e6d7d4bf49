"""Input steps an output step of a module without a formula, by the lengths of its outputs alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

OUTPUTS = 8
"""Outputs, or jumps of their number, that are looked at."""
MOST_STEPS = 2**17


def measured_stride(module: nn.Module, axis: int, shape: Sequence[int]) -> Fraction:
    """Input steps an output step along an axis.

    The number of outputs grows by `q` whenever the input grows by `p`: the stride is p/q. It is told by how
    many more outputs twice the input has, then made exact by where the number of outputs jumps.
    shape: (C, ...) of an input that the module takes.
    """
    count = _counter(module, axis, shape)
    length = shape[axis + 1]
    while (count(2 * length) or 0) - (count(length) or 0) < OUTPUTS and 2 * length < MOST_STEPS:
        length *= 2
    few, many = count(length), count(2 * length)
    if few is None or many is None or many == few:
        return Fraction(length, max(1, few or 1)).limit_denominator(64)
    rough = Fraction(length, many - few)
    if rough <= 1 or count(length + 1) is None:  # no jumps to look for: it takes some lengths alone
        return rough.limit_denominator(64)
    first, last = _jump(count, length, few + 1), _jump(count, length, few + OUTPUTS)
    if first is None or last is None:
        return rough.limit_denominator(64)
    return Fraction(last - first, OUTPUTS - 1).limit_denominator(64)


def _counter(module: nn.Module, axis: int, shape: Sequence[int]) -> Callable[[int], int | None]:
    """How many outputs an input of some steps has; None where the module does not take it."""
    known: dict[int, int | None] = {}

    @torch.no_grad()
    def count(length: int) -> int | None:
        if length not in known:
            sizes = list(shape)
            sizes[axis + 1] = length
            try:
                y = module(torch.zeros(1, *sizes, dtype=torch.float64))
            except (ValueError, RuntimeError):
                y = None
            known[length] = y.shape[axis + 2] if isinstance(y, Tensor) else None
        return known[length]

    return count


def _jump(count: Callable[[int], int | None], start: int, outputs: int) -> int | None:
    """The shortest input from `start` on, up to twice of it, that has so many outputs."""
    low, high = start, 2 * start
    while high - low > 1:
        middle = (low + high) // 2
        counted = count(middle)
        if counted is None:
            return None
        low, high = (low, middle) if counted >= outputs else (middle, high)
    return high
