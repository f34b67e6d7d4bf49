"""Sizes padded or cut to a multiple, as one quotient: `n + (k - n % k) % k` is `k * ((n + k - 1) // k)`.

torch keeps every remainder in the sizes of all that follows, so that they double with each window and with
each halving of an odd size: a model of attention in windows takes minutes to export. The values are the same
at every length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sympy
from torch.fx.experimental.sym_node import SymNode
from torch.utils._sympy.functions import FloorDiv, Mod, PythonMod

from mediaconv.nn.graph.capture.torch_functions.replaced import replaced

_METHODS = ("_add", "_sub", "_mod")


def quotient_of(expr: Any) -> Any:
    """An expression of sizes without remainders that a quotient tells shorter; the same where there is none.

    >>> n = sympy.Symbol("n", integer=True, nonnegative=True)
    >>> quotient_of(n + 3 - Mod(n, 4)), quotient_of(Mod(8 - Mod(n, 8), 8))
    (4*((n//4)) + 3, -n + 8*(((n + 7)//8)))
    """
    if isinstance(expr, Mod | PythonMod):
        return _lacking(expr)
    return _sum(expr) if isinstance(expr, sympy.Add) else expr


def _lacking(expr: Any) -> Any:
    """What a size lacks to a multiple: a remainder of a size less than nothing."""
    value, k = expr.args
    if not (k.is_Integer and k > 1):
        return expr
    constant, rest = value.as_coeff_Add()
    factor, size = rest.as_coeff_Mul()
    if factor != -1:
        return expr
    if isinstance(size, Mod) and size.args[1] == k:
        size = size.args[0]
    elif not isinstance(expr, PythonMod):
        return expr
    if not size.is_nonnegative:
        return expr
    size += int(-constant) % int(k)
    return k * FloorDiv(size + k - 1, k) - size


def _sum(expr: Any) -> Any:
    """A size less its remainder, or an odd one made even."""
    for term in expr.args:
        factor, rest = term.as_coeff_Mul()
        if not isinstance(rest, Mod) or not rest.args[1].is_Integer:
            continue
        size, k = rest.args
        others = expr - term - size
        if not others.is_Integer:
            continue
        if factor == -1:
            return k * FloorDiv(size, k) + others
        if factor == 1 and k == 2:
            return 2 * FloorDiv(size + 1, 2) + others
    return expr


def _shortened(compute: Callable[[SymNode, SymNode], Any]) -> Callable[[SymNode, SymNode], Any]:
    def call(self: SymNode, other: SymNode) -> Any:
        out = compute(self, other)
        if isinstance(out, SymNode):
            shorter = quotient_of(out._expr)
            if shorter is not out._expr:
                out._expr, out._optimized_summation = shorter, False
        return out

    return call


@contextmanager
def multiples_short() -> Iterator[None]:
    """While it is open, torch's sizes are made so."""
    with replaced(SymNode, **{name: _shortened(getattr(SymNode, name)) for name in _METHODS}):
        yield
