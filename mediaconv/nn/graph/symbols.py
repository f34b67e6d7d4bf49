"""Sizes that depend on the input's: torch's symbolic expressions as Python source and functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy
import torch
from torch.utils._sympy.printers import PythonPrinter

UNKNOWN_SIZE = (
    "its size follows from the values of a tensor, not from the input's length (lengths of items, what a "
    "mask selects): compute it from x.shape"
)
Size = Any
"""An int, or an expression of sizes."""


def expression(value: Any) -> Size:
    """The expression behind a size: an int where it is one."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        value = value.node.expr
    if isinstance(value, sympy.Expr) and value.is_Integer:
        return int(value)
    return value


@lru_cache(maxsize=4096)
def source(expr: sympy.Expr) -> str:
    """Python source of an expression; its symbols are names in it."""
    return PythonPrinter().doprint(expr)


@lru_cache(maxsize=4096)
def _compiled(expr: sympy.Expr) -> Any:
    return compile(source(expr), "<size>", "eval")


def evaluate(expr: Size, values: Mapping[str, int]) -> Any:
    """The number that an expression has for these values of its symbols.

    Raises ValueError where it has others.
    """
    if not isinstance(expr, sympy.Basic):
        return expr
    try:
        return eval(_compiled(expr), {"math": math, "torch": torch, "max": max, "min": min}, dict(values))
    except NameError:
        raise ValueError(UNKNOWN_SIZE) from None


def depends(expr: Size, symbol: sympy.Symbol) -> bool:
    """Whether an expression names a symbol."""
    return isinstance(expr, sympy.Basic) and symbol in expr.free_symbols


class AxisSize:
    """The size of one input dimension, `factor * symbol + offset` or a number: both ways."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.symbol: sympy.Symbol | None = None
        self.factor, self.offset = 0, size if isinstance(size, int) else 0
        if isinstance(size, sympy.Expr) and len(size.free_symbols) == 1:
            symbol = next(iter(size.free_symbols))
            poly = sympy.Poly(size, symbol)
            if poly.degree() == 1:
                self.symbol = symbol
                self.factor, self.offset = (int(c) for c in poly.all_coeffs())

    def value(self, length: int) -> int:
        """The symbol's value for an input of this length. Raises ValueError for one that it cannot have."""
        if (length - self.offset) % self.factor:
            raise ValueError(
                f"length {length}: this model takes lengths of the form {self.factor} * n + {self.offset}"
            )
        return (length - self.offset) // self.factor
