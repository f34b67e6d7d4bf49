"""The keys `padding` and `padding_mode`, and what of them is refused along a causal axis."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mediaconv.config.problems import Problem, shown, wrong
from mediaconv.config.validation_context import Causality, ValidationContext
from mediaconv.config.values import MAX_SIZE, Rule, per_axis_of
from mediaconv.errors import nearest

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
_NAMES = ("same", "valid")
_WORDS = "same, valid or an integer >= 0"


def _check_padding(value: Any, context: ValidationContext | None) -> int | str:
    if isinstance(value, str):
        if value not in _NAMES:
            raise wrong(value, _WORDS, hint=nearest(value, _NAMES))
    elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(value, _WORDS)
    elif value > MAX_SIZE:
        raise wrong(value, f"same, valid or an integer from 0 to {MAX_SIZE}")
    return value


_ITEM = Rule(_check_padding, {"anyOf": [{"enum": list(_NAMES)}, {"type": "integer", "minimum": 0}]})
Padding = Annotated[
    int | str | tuple[int | str, ...],
    per_axis_of(_ITEM, _WORDS, single=(int, str)),
]


def causal_padding_problems(
    padding: int | str | tuple[int | str, ...],
    how: Causality,
    axes: tuple[int, ...],
    context: ValidationContext,
    *,
    raster_valid: bool = False,
) -> list[Problem]:
    """Numbers along a causal axis are refused; `valid` too where raster masks taps by their place.

    axes: the causal ones.
    raster_valid: whether `valid` may stand under raster, where it means nothing for a causal axis.
    """
    for axis in axes:
        amount = padding if isinstance(padding, int | str) else padding[axis]
        if isinstance(amount, int) or (how.mode == "raster" and amount != "same" and not raster_valid):
            where = context.axes[axis] if context.axes else f"axis {axis}"
            reason = f"causal {how.mode} pads it as the kernel says"
            return [Problem(("padding",), f"got {shown(padding)}, expected same along {where}: {reason}")]
    return []
