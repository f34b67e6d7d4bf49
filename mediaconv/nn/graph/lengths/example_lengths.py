"""Sizes of the example that a module is captured with, where it does not take any."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.axes_pattern import AxesPattern
from mediaconv.nn.graph.capture.exported_program import holds
from mediaconv.nn.graph.check import runs

DIVISIONS = 64
"""Models pad, or go another way, where a size is no multiple of up to so many."""


def allowed_sizes(
    conditions: Sequence[str], pattern: AxesPattern, sizes: Sequence[int], exact: Sequence[int]
) -> list[int]:
    """Sizes near `sizes`, of the stream axis and those after it, that the conditions of a program's export
    allow; `sizes` where none is found. exact: what the sizes after the stream axis may be instead.
    """
    first, *across = sizes
    steps = [*range(first, first + DIVISIONS), *(first >> n for n in range(1, 8))]
    for rest in (across, exact):
        for step in steps:
            tried = [step, *rest]
            named = dict(zip(pattern.letters, tried, strict=True))
            shape = [math.prod(named.get(name, 1) for name in token.split()) for token in pattern.order]
            if all(holds(text, shape) for text in conditions):
                return tried
    return list(sizes)


def shorter_example(call: Callable[[Tensor], Any], example: Tensor) -> Tensor | None:
    """The longest example found that a module takes which refuses this one, as one with a table of positions
    does; None where it takes this one, or none. Lengths are halved, then the end is looked for.
    """
    longest = taken = example.shape[2]
    with torch.compiler.set_stance("force_eager"):
        while taken and not runs(call, example, 0, taken):
            longest, taken = taken, taken // 2
        if taken in (0, example.shape[2]):
            return None
        while longest - taken > 1:
            middle = (taken + longest) // 2
            taken, longest = (middle, longest) if runs(call, example, 0, middle) else (taken, middle)
    return example.narrow(2, 0, taken)
