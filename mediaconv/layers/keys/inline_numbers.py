"""The keys `weight` and `bias` of a convolution: numbers written in the configuration itself."""

from __future__ import annotations

from typing import Annotated, Any

from mediaconv.config.problems import Location, unquoted, wrong
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Rule, as_number, each, number


def shape_of(weight: Any) -> tuple[int, ...]:
    """The shape of nested tuples of numbers.

    >>> shape_of((((1.0, 2.0, 1.0),),))
    (1, 1, 3)
    """
    return (len(weight), *shape_of(weight[0])) if isinstance(weight, tuple) else ()


def _check_weight(value: Any, context: ValidationContext | None) -> Any:
    rank = context.dims + 2 if context and context.dims else None
    if not isinstance(value, list | tuple):
        raise wrong(value, _words(rank))
    kept, sizes = _nested(value, ())
    if (rank and len(sizes) != rank) or len(sizes) < 3 or 0 in sizes:
        raise wrong(value, _words(rank))
    return kept


def _words(rank: int | None) -> str:
    depth = f"lists nested {rank} deep" if rank else "nested lists"
    return f"numbers in {depth}: output channels, input channels of a group, then the axes, as torch's shape"


def _nested(value: Any, location: Location) -> tuple[Any, tuple[int, ...]]:
    """Numbers in tuples, and how many there are at each depth."""
    if not isinstance(value, list | tuple):
        number = as_number(value)
        if number is None:
            raise wrong(value, "a number", location=location)
        return number, ()
    items = [_nested(item, (*location, i)) for i, item in enumerate(value)]
    shapes = {shape for _, shape in items}
    if len(shapes) > 1:
        raise wrong(value, "lists of equal length at each depth", location=location)
    return tuple(item for item, _ in items), (len(items), *(shapes.pop() if shapes else ()))


def _check_bias(value: Any, context: ValidationContext | None) -> bool | tuple[float, ...]:
    if isinstance(value, bool):
        return value
    if not isinstance(value, list | tuple) or not value:
        raise wrong(value, "true, false or a list of numbers, one per output channel", hint=unquoted(value))
    return each(value, number().check, context)


_BIAS_SCHEMA = {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}
Weight = Annotated[Any, Rule(_check_weight, {"type": "array", "minItems": 1})]
Bias = Annotated[bool | tuple[float, ...], Rule(_check_bias, _BIAS_SCHEMA)]
