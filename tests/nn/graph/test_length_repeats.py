"""How sizes repeat with the input's length, against their values length by length."""

from __future__ import annotations

import pytest
import sympy
from torch.utils._sympy.functions import (
    CeilToInt,
    FloorDiv,
    IntTrueDiv,
    Max,
    Min,
    Mod,
    RoundToInt,
    TruncToInt,
)

from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError, repeat_of
from mediaconv.nn.graph.symbols import evaluate

T = sympy.Symbol("T", integer=True, positive=True)
SIZES = {
    "sum": 3 * T - 7,
    "floor": FloorDiv(T + 3, 12),
    "nested": Mod(FloorDiv(T, 2), 2),
    "remainder": Mod(FloorDiv(3 * T + 1, 10), 7) * 4,
    "ceil": CeilToInt(IntTrueDiv(T - 5, 12)) * 12 - T,
    "truncated": TruncToInt(IntTrueDiv(T - 40, 3)),
    "rounded": RoundToInt(IntTrueDiv(T, 2)),
    "most": Max(0, 50 - T, FloorDiv(T, 9) - 30),
    "least": Min(Mod(T, 6), 4, T),
    "squared": Mod(T, 5) ** 2,
    "number by length": Mod(12, 3 * FloorDiv(T, 2)),
    "none of a length": FloorDiv(7, T + 1) + T,
    "less of more": Mod(FloorDiv(T, 3), T - 4) + FloorDiv(T - 9, 2 * T),
}
CONDITIONS = {
    "multiples": sympy.Ne(Mod(T, 50), 0),
    "late": T <= 300,
    "one": sympy.Ne(T, 123),
    "same rate": sympy.Eq(4 * FloorDiv(T, 4), T),
    "both": sympy.And(sympy.Ne(Mod(T, 6), 1), sympy.Or(T > 90, sympy.Eq(Mod(T, 4), 0))),
    "other rates": FloorDiv(T, 3) > FloorDiv(T, 4) + 10,
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_grow_by_their_slope(name: str) -> None:
    expr = SIZES[name]
    found = repeat_of(expr, T)
    assert found.period <= 200
    assert found.start <= 400
    for n in range(found.start, found.start + 500):
        now, later = (int(evaluate(expr, {"T": m})) for m in (n, n + found.period))
        assert later - now == found.slope * found.period
        assert abs(now - found.slope * n) <= found.bound


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_repeat(name: str) -> None:
    expr = CONDITIONS[name]
    found = repeat_of(expr, T)
    for n in range(found.start, found.start + 500):
        assert bool(evaluate(expr, {"T": n})) == bool(evaluate(expr, {"T": n + found.period}))
    # nor later than it must: what is tried begins there
    assert found.start <= 400


@pytest.mark.parametrize(
    "expr", [T**2 > 5, FloorDiv(T, T - 3), Mod(-2, T), sympy.Mul(0.1, T) > 3, sympy.sqrt(T)]
)
def test_what_is_not_known_is_not_guessed(expr: sympy.Basic) -> None:
    with pytest.raises(UnknownRepeatError):
        repeat_of(expr, T)
