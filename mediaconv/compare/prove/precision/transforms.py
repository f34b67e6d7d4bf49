"""A function with the rounding of its transforms (FFT) taken off: what still differs then was read.

A transform of the whole input changes the last bits of all that it gives. Where these cancel, or are rounded
or compared, nothing tells them from reading by their size. Set to multiples of a number far above them, and
far below what matters, they are the same again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mediaconv.compare.prove.precision.arithmetic import plain_attention

GRIDS = (1.0, 1.37, 1.71, 1.93)
"""A value half-way between two multiples may become either, but hardly on each of some grids."""
STEPS = {torch.float64: 2.0**19, torch.float32: 2.0**6}
"""Of a grid, in the type's precision of the largest value."""
RAISED = (RuntimeError, ValueError, TypeError, NotImplementedError)


class Steady(TorchDispatchMode):
    """What comes back from a transform is set to a grid; what goes into one is made finite.

    grid: one of `GRIDS`. largest: what came back from each transform, in turn, as the grid's size has it; by
    default its own largest value.
    """

    def __init__(self, grid: float = GRIDS[0], largest: Sequence[float] = ()) -> None:
        super().__init__()
        self._grid, self._largest = grid, largest
        self.seen: list[float] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not is_transform(op):
            return op(*args, **kwargs)
        name = op.name()
        back = name.startswith("aten::_fft_c2r") or (name.startswith("aten::_fft_c2c") and not args[3])
        made = op(_finite(args[0], moderate=not back), *args[1:], **kwargs)
        if back:
            self.seen.append(float(made.abs().max()) if made.numel() else 0.0)
            known = self._largest[len(self.seen) - 1] if self._largest else 0.0
            made = self._set(made, max(self.seen[-1], known))
        return made

    def _set(self, x: Tensor, largest: float) -> Tensor:
        if x.is_complex():
            return torch.view_as_complex(self._set(torch.view_as_real(x), largest))
        step = self._grid * STEPS.get(x.dtype, 1.0) * torch.finfo(x.dtype).eps * largest
        return x if not step or math.isinf(step) else (x / step).round() * step


def _finite(x: Tensor, *, moderate: bool) -> Tensor:
    """Zero for what is not finite. moderate: and nothing so large that what is made of it is infinite."""
    if x.is_complex():
        return torch.view_as_complex(_finite(torch.view_as_real(x), moderate=moderate))
    made = torch.where(x.isfinite(), x, 0.0)
    most = torch.finfo(x.dtype).max ** 0.25
    return made.clamp(-most, most) if moderate else made


def is_transform(op: Any) -> bool:
    """Whether an operation is an FFT, of which only some give back values in time."""
    return bool(op.name().startswith("aten::_fft"))


@torch.no_grad()
def same_when_steady(
    function: Callable[[Tensor], Tensor],
    inputs: Sequence[Tensor],
    part: Callable[[Tensor], Tensor],
    *modes: type[TorchDispatchMode],
) -> bool:
    """Whether a part of a function's outputs is the same for two inputs, but for its transforms' rounding.

    modes: under which it is computed besides.
    """
    try:
        seen = [_run(function, x, Steady(), modes)[1] for x in inputs]
        largest = [max(pair) for pair in zip(*seen, strict=True)]
        for grid in GRIDS:
            y, expected = (part(_run(function, x, Steady(grid, largest), modes)[0]) for x in inputs)
            if bool(((y == expected) | (y.isnan() & expected.isnan())).all()):
                return True
    except RAISED:
        pass
    return False


def _run(
    function: Callable[[Tensor], Tensor], x: Tensor, steady: Steady, modes: Sequence[type[TorchDispatchMode]]
) -> tuple[Tensor, list[float]]:
    with ExitStack() as stack:
        stack.enter_context(plain_attention())
        for mode in (steady, *(each() for each in modes)):
            stack.enter_context(mode)
        return function(x), steady.seen
