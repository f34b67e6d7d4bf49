"""Problems of a configuration: how each is worded and carried. Where it stands in a file is found by `load`.

A problem is "got X, expected Y", or a reason. All travel inside pydantic's ValidationError, so that one pass
over a file finds all of them; pydantic's own wording is translated here and reaches no user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from mediaconv.errors import nearest

Location = tuple[str | int, ...]

_OURS = "config"
_MISSING = "config_missing"
_LONGEST = 60
_LONGEST_NAME = 400
MOST_PROBLEMS = 20
"""Problems that are told of one file: of a hundred thousand a reader wants the first."""


@dataclass(frozen=True)
class Problem:
    """One problem. `location` leads to the value; `missing`: its last part is a key that is not there."""

    location: Location
    text: str
    missing: bool = False


def shown(value: object) -> str:
    """A value as an error quotes it: short, in YAML's words.

    >>> shown(True), shown(None), shown([1, 2]), shown("relu")
    ('true', 'nothing', '[1, 2]', "'relu'")
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | list | tuple):
        value = value[:_LONGEST]
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def one_line(text: str) -> str:
    """A name as an error prints it: as it is, cut, or quoted where it holds line breaks and the like.

    >>> one_line("stack"), one_line("a\\n")
    ('stack', "'a\\\\n'")
    """
    text = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
    return text if text.isprintable() else repr(text)


def listed(names: Iterable[str]) -> str:
    """Names as an error lists them."""
    return ", ".join(names)


def unquoted(value: object) -> str:
    """The hint for text that spells true or false; nothing for any other value.

    >>> unquoted("True"), unquoted("treu")
    ('; write it without quotes', '')
    """
    spells = isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off")
    return "; write it without quotes" if spells else ""


def wrong(value: object, expected: str, *, location: Location = (), hint: str = "") -> ValidationError:
    """The error "got VALUE, expected EXPECTED" at a place below the value now being checked."""
    return failure([Problem(location, f"got {shown(value)}, expected {expected}{hint}")])


def failure(problems: Sequence[Problem]) -> ValidationError:
    """One error that carries all these problems."""
    details: list[InitErrorDetails] = [
        InitErrorDetails(
            type=PydanticCustomError(_MISSING if p.missing else _OURS, "{text}", {"text": p.text}),
            loc=p.location,
            input=None,
        )
        for p in problems[: MOST_PROBLEMS + 1]
    ]
    return ValidationError.from_exception_data("configuration", details)


def problems_of(error: ValidationError, *, keys: Sequence[str] | None = None) -> list[Problem]:
    """The problems that an error carries, pydantic's own translated.

    keys: names of the keys of the section that raised it, offered when one is misspelt.
    """
    items = error.errors(include_url=False)[: MOST_PROBLEMS + 1]
    return [_problem(item["loc"], dict(item), keys) for item in items]


def below(error: ValidationError, *parts: str | int) -> list[Problem]:
    """The problems of a part, as problems of the whole that holds it at `parts`."""
    return [Problem((*parts, *p.location), p.text, p.missing) for p in problems_of(error)]


def _problem(location: Location, item: dict[str, Any], keys: Sequence[str] | None) -> Problem:
    kind, context = item["type"], item.get("ctx", {})
    if kind in (_OURS, _MISSING):
        return Problem(location, context["text"], kind == _MISSING)
    if kind == "missing":
        return Problem(location, "is required", missing=True)
    if kind == "extra_forbidden":
        if keys is None or len(location) > 1:
            return Problem(location, "got an unknown key")
        hint = nearest(str(location[-1]), keys)
        allowed = f"one of {listed(keys)}{hint}" if keys else "none: there are no options"
        return Problem(location, f"got an unknown key, expected {allowed}")
    got = f"got {shown(item['input'])}"
    if kind in ("value_error", "assertion_error"):
        reason = " ".join(str(context.get("error", item["msg"])).split())
        joint = ", " if reason.startswith("expected ") else ": "
        return Problem(location, f"{got}{joint}{reason}" if location else reason)
    expected = _expected(kind, item, context)
    return Problem(location, f"{got}, expected {expected}" if expected else f"{got}: {item['msg']}")


def _expected(kind: str, item: dict[str, Any], context: dict[str, Any]) -> str:
    """What pydantic expected, in our words; empty where its message says something else."""
    if kind in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        got = item["input"]
        hint = nearest(got, allowed) if isinstance(got, str) else ""
        return f"{context['expected']}{hint}"
    if kind in _BOUNDS:
        key, sign = _BOUNDS[kind]
        bound = context[key]
        whole = isinstance(item["input"], int) and isinstance(bound, int)
        shown_bound = f"{bound:g}" if isinstance(bound, float) else bound
        return f"{'an integer' if whole else 'a number'} {sign} {shown_bound}"
    for prefix, words in _KINDS.items():
        if kind.startswith(prefix):
            return words
    message = str(item["msg"])
    return message.removeprefix("Input should be ") if message.startswith("Input should be ") else ""


_BOUNDS = {
    "greater_than_equal": ("ge", ">="),
    "greater_than": ("gt", ">"),
    "less_than_equal": ("le", "<="),
    "less_than": ("lt", "<"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_KINDS = {
    "int_": "an integer",
    "float_": "a number",
    "fraction_": "a number, or a fraction such as 24000/1001",
    "finite_number": "a finite number",
    "bool_": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "model_": "a mapping of options",
    "path_type": "a path",
}
