"""Options checked by a model that is not ours (a pipeline's `read` and `write`), its errors in our words.

A choice of types gives pydantic one error for each; here they become one, at the value they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mediaconv.config.problems import Location, Problem, failure, listed, problems_of, shown, wrong

M = TypeVar("M", bound=BaseModel)


def parse_plugin_options(model: type[M], value: Any) -> M:
    """A value checked by any pydantic model. Raises ValidationError."""
    if not isinstance(value, Mapping | model):
        raise wrong(value, f"a mapping with keys of {listed(model.model_fields)}")
    try:
        options = model.model_validate(value)
        _refuse_truth_as_number(options, value)
        return options
    except ValidationError as error:
        raise failure(_merged(problems_of(error, keys=tuple(model.model_fields)), value)) from None
    except Exception as error:
        # a plug-in's own check is anybody's code: what it raises is about the options, and shown as such
        raise failure([Problem((), f"cannot be checked: {type(error).__name__}: {error}")]) from error


def _refuse_truth_as_number(options: BaseModel, value: Any) -> None:
    """pydantic takes true for 1 where a number is wanted; nobody means that."""
    stated = value if isinstance(value, Mapping) else {}
    taken = {key: getattr(options, key, None) for key, item in stated.items() if isinstance(item, bool)}
    problems = [
        Problem((key,), f"got {shown(stated[key])}, expected a number")
        for key, item in taken.items()
        if not isinstance(item, bool) and isinstance(item, Number)
    ]
    if problems:
        raise failure(problems)


def _merged(problems: list[Problem], value: Any) -> list[Problem]:
    """Problems as they are, but one for all the types of a choice: what each expected, joined by "or"."""
    kept: list[Problem] = []
    choices: dict[Location, dict[str, None]] = {}
    for problem in problems:
        known = _known_part(problem.location, value)
        key, before, reason = problem.text.partition(": ")
        if not problem.location and before and key in value:  # a check of the whole that says of which key
            kept.append(Problem((key,), reason))
            continue
        rest = problem.location[len(known) :]
        if not rest or (problem.missing and len(rest) == 1):
            kept.append(problem)
        else:
            words = problem.text.rpartition(", expected ")[2] if len(rest) == 1 else _like(str(rest[0]))
            choices.setdefault(known, {})[words] = None
    for location, expected in choices.items():
        got = _at(location, value)
        kept.append(Problem(location, f"got {shown(got)}, expected {' or '.join(expected)}"))
    return kept


def _like(kind: str) -> str:
    """The name pydantic gives a type, for a reader: `tuple[int, int]` is a list like [int, int]."""
    name, bracket, rest = kind.partition("[")
    return f"a list like [{rest}" if bracket and name in ("tuple", "list") else kind


def _known_part(location: Location, value: Any) -> Location:
    """The part of a location that leads to something in the value; a choice's types do not."""
    for i, part in enumerate(location):
        keys = value if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list) else ()
        if part not in keys:
            return location[:i]
        value = value[part]
    return location


def _at(location: Location, value: Any) -> Any:
    for part in location:
        value = value[part]
    return value
