"""The types of single values in a configuration: each checks itself and says what it would have taken.

A type is an annotation with its check and its JSON Schema. None of them coerces in silence: `true` is no
integer, 3.5 is none either. Text that reads as a number (`1e-3`, which YAML 1.1 takes for text) is a number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from mediaconv.config.problems import MOST_PROBLEMS, Problem, below, failure, unquoted, wrong
from mediaconv.config.validation_context import ValidationContext, check_causal, length_of
from mediaconv.errors import nearest

MAX_SIZE = 2**20
"""Of a kernel, a stride, a factor or a number of channels: larger ones fit no memory, nor any file."""
MAX_CHARACTERS = 4096
"""Of a text: the longest path that systems take."""
Check = Callable[[Any, ValidationContext | None], Any]


@dataclass(frozen=True)
class Rule:
    """An annotation: `check(value, context)` returns the value to keep or raises ValidationError."""

    check: Check
    schema: Mapping[str, Any] = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: self.check(value, info.context)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


def integer(low: int, high: int | None = None) -> Rule:
    """An integer in a range, both ends included."""
    words = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"

    def check(value: Any, context: ValidationContext | None) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(value, words)
        if value < low or (high is not None and value > high):
            raise wrong(value, words)
        return value

    schema = {"type": "integer", "minimum": low}
    return Rule(check, schema if high is None else {**schema, "maximum": high})


def size(low: int) -> Rule:
    """An integer from `low` that something of its size can be made of."""
    least = integer(low)

    def check(value: Any, context: ValidationContext | None) -> int:
        if least.check(value, context) > MAX_SIZE:
            raise wrong(value, f"an integer from {low} to {MAX_SIZE}")
        return value

    return Rule(check, least.schema)


def number(*, above: float | None = None, low: float | None = None, high: float | None = None) -> Rule:
    """A finite number, in a range."""
    limits = [
        f"{sign} {limit:g}" for sign, limit in ((">", above), (">=", low), ("<=", high)) if limit is not None
    ]
    words = " and ".join(["a number " + limits[0], *limits[1:]]) if limits else "a number"

    def check(value: Any, context: ValidationContext | None) -> float:
        number = as_number(value)
        if number is None:
            raise wrong(value, words)
        if (above is not None and number <= above) or (low is not None and number < low):
            raise wrong(value, words)
        if high is not None and number > high:
            raise wrong(value, words)
        return number

    keys = (("exclusiveMinimum", above), ("minimum", low), ("maximum", high))
    return Rule(check, {"type": "number", **{key: limit for key, limit in keys if limit is not None}})


def as_number(value: Any) -> float | None:
    """The finite number that a value is or spells, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def per_axis_of(item: Rule, words: str, *, single: type | tuple[type, ...] = int) -> Rule:
    """One value, or a list of one for each axis of the pipeline, in torch's order."""

    def check(value: Any, context: ValidationContext | None) -> Any:
        if not isinstance(value, list | tuple):
            if isinstance(value, bool) or not isinstance(value, single):
                count = length_of(context.axes) if context and context.axes else "one per axis"
                raise wrong(value, f"{words}, or a list of {count}")
            return item.check(value, context)
        if not value or (context and context.axes and len(value) != len(context.axes)):
            count = f"of {length_of(context.axes)}" if context and context.axes else "with one entry per axis"
            raise wrong(value, f"{words}, or a list {count}")
        return each(value, item.check, context)

    return Rule(check, {"anyOf": [item.schema, {"type": "array", "items": item.schema, "minItems": 1}]})


def each(values: Any, check: Check, context: ValidationContext | None) -> tuple[Any, ...]:
    """Every item checked; the problems of all of them in one error."""
    return tuple(_each_of(enumerate(values), check, context).values())


def _each_of(
    items: Iterable[tuple[Any, Any]], check: Check, context: ValidationContext | None
) -> dict[Any, Any]:
    kept: dict[Any, Any] = {}
    problems: list[Problem] = []
    for key, value in items:
        try:
            kept[key] = check(value, context)
        except ValidationError as error:
            problems += below(error, key)
            if len(problems) > MOST_PROBLEMS:
                break
    if problems:
        raise failure(problems)
    return kept


def list_of(item: Rule, words: str) -> Rule:
    """A list of such items; a single one stands for a list of one."""

    def check(value: Any, context: ValidationContext | None) -> tuple[Any, ...]:
        if isinstance(value, str):
            return (item.check(value, context),)
        if not isinstance(value, list | tuple):
            raise wrong(value, words)
        return each(value, item.check, context)

    return Rule(check, {"anyOf": [item.schema, {"type": "array", "items": item.schema}]})


def mapping_of(item: Rule, words: str) -> Rule:
    """A mapping from names to such items."""

    def check(value: Any, context: ValidationContext | None) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise wrong(value, words)
        return _each_of(value.items(), item.check, context)

    return Rule(check, {"type": "object", "additionalProperties": item.schema})


def _check_flag(value: Any, context: ValidationContext | None) -> bool:
    if not isinstance(value, bool):
        raise wrong(value, "true or false", hint=unquoted(value))
    return value


def text(words: str) -> Rule:
    """Text that is not empty."""

    def check(value: Any, context: ValidationContext | None) -> str:
        if not isinstance(value, str):
            hint = "; put it in quotes" if isinstance(value, int | float) else ""
            raise wrong(value, words, hint=hint)
        if not value.strip() or "\0" in value:
            raise wrong(value, words)
        if len(value) > MAX_CHARACTERS:
            raise wrong(value, f"{words} of at most {MAX_CHARACTERS} characters")
        return value

    return Rule(check, {"type": "string", "minLength": 1})


def path(words: str) -> Rule:
    """Text that is a path; `~` stands for the user's home, as it does for a shell."""
    written = text(words)
    return Rule(lambda value, context: os.path.expanduser(written.check(value, context)), written.schema)


def integer_or(word: str, low: int) -> Rule:
    """An integer >= low, or one word."""
    inner = integer(low)

    def check(value: Any, context: ValidationContext | None) -> int | str:
        if value == word:
            return word
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            hint = nearest(value, (word,)) if isinstance(value, str) else ""
            raise wrong(value, f"{word} or an integer >= {low}", hint=hint)
        return value

    return Rule(check, {"anyOf": [{"const": word}, inner.schema]})


_CAUSAL_SCHEMA = {
    "anyOf": [
        {"enum": [False, True, "pad", "mask", "raster"]},
        {
            "type": "object",
            "properties": {"raster": {"enum": ["A", "B"]}},
            "required": ["raster"],
            "additionalProperties": False,
        },
    ]
}

Count = Annotated[int, size(1)]
Natural = Annotated[int, integer(0)]
Number = Annotated[float, number()]
Positive = Annotated[float, number(above=0)]
NonNegative = Annotated[float, number(low=0)]
Share = Annotated[float, number(low=0, high=1)]
Flag = Annotated[bool, Rule(_check_flag, {"type": "boolean"})]
Sizes = Annotated[int | tuple[int, ...], per_axis_of(size(1), "an integer >= 1")]
Paddings = Annotated[int | tuple[int, ...], per_axis_of(size(0), "an integer >= 0")]
Causal = Annotated[bool | str | dict[str, str], Rule(check_causal, _CAUSAL_SCHEMA)]
