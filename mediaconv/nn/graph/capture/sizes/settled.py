"""`max` and `min` of sizes that are the same one at every length: padding that is never negative.

torch keeps `Max(0, ...)` in the sizes of all that follows, so that they double with every such layer and an
export of a dozen takes hours. What is left is settled for every length, from the expressions alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sympy
import torch
from torch._export import non_strict_utils

from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError, repeat_of
from mediaconv.nn.graph.capture.torch_functions.replaced import replaced
from mediaconv.nn.graph.symbols import evaluate, expression

_MOST_PERIOD = 4096
_TORCH = non_strict_utils._tensor_min_max


def never_below(a: Any, b: Any) -> bool:
    """Whether a size is at least another at every length, as far as their difference repeats itself."""
    difference = expression(a) - expression(b)
    if not isinstance(difference, sympy.Expr):
        return bool(difference >= 0)
    if len(difference.free_symbols) != 1:
        return False
    (symbol,) = difference.free_symbols
    try:
        repeat = repeat_of(difference, symbol)
    except UnknownRepeatError:
        return False
    last = repeat.start + repeat.period
    if repeat.slope or last > _MOST_PERIOD:
        return False
    return all(evaluate(difference, {str(symbol): n}) >= 0 for n in range(1, last + 1))


def _settled(args: tuple[Any, ...], sign: int) -> Any:
    """Of two sizes the one that is the larger (sign 1) or smaller at every length; None where none is."""
    if len(args) != 2 or not all(isinstance(n, int | torch.SymInt) for n in args):
        return None
    a, b = args if sign > 0 else args[::-1]
    if never_below(a, b):
        return args[0]
    return args[1] if never_below(b, a) else None


def _extreme(*args: Any, real_callable: Any, tensor_callable: Any, **kwargs: Any) -> Any:
    """What torch has for `max` and `min` while it exports, with those settled that can be."""
    sign = 1 if tensor_callable is torch.maximum else -1
    size = None if kwargs else _settled(args, sign)
    if size is not None:
        return size
    return _TORCH(*args, real_callable=real_callable, tensor_callable=tensor_callable, **kwargs)


@contextmanager
def extremes_settled() -> Iterator[None]:
    """While it is open, an export's `max` and `min` of sizes are so."""
    with replaced(non_strict_utils, _tensor_min_max=_extreme):
        yield
