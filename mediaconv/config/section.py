"""The bases of everything typed in a configuration: a section with fixed keys, and a thing chosen by name.

A chosen thing is spelt `name` or `{name: {option: value}}`: layers, kernels, initializers, normalizers.
Nothing here knows which there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from mediaconv.config.problems import Problem, below, failure, listed, one_line, problems_of, wrong
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Rule
from mediaconv.errors import UsageError, closest, nearest, not_one_of


class Section(BaseModel):
    """A mapping with fixed keys: frozen, unknown keys are errors, all worded for users."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def _worded(cls, value: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping | cls):
            raise wrong(value, _keys_of(cls.model_fields))
        try:
            return handler(value)
        except ValidationError as error:
            problems = problems_of(error, keys=tuple(cls.model_fields))
            problems += cls._further(value, problems, info.context)
            raise failure(_without_misspelt(problems, dict(value), cls.model_fields)) from None

    @classmethod
    def _further(
        cls, value: Any, problems: Sequence[Problem], context: ValidationContext | None
    ) -> list[Problem]:
        """Problems of the section as a whole that can be told although some of its keys are wrong."""
        return []


def _without_misspelt(
    problems: Sequence[Problem], keys: Iterable[Any], fields: Iterable[str]
) -> list[Problem]:
    """Not "is required" of a key that is there, misspelt: one error for one cause."""
    known = set(fields)
    meant = {closest(str(key), known) for key in keys if key not in known}
    return [p for p in problems if not (p.missing and len(p.location) == 1 and p.location[0] in meant)]


def _keys_of(fields: Iterable[str]) -> str:
    names = listed(fields)
    return f"a mapping with keys of {names}" if names else "no options: it has none"


class Named(Section):
    """A thing chosen by its name, with its options."""

    name: ClassVar[str]
    shorthand: ClassVar[str | None] = None
    """The key that a bare list below the name stands for."""
    shorthand_kinds: ClassVar[tuple[type, ...]] = (list, tuple)
    """What may stand there instead of a mapping."""

    @property
    def chosen_options(self) -> dict[str, Any]:
        """The options that are set, defaults included; those left to be found out (None) are not in it."""
        return {key: value for key, value in dict(self).items() if value is not None}

    @model_serializer(mode="wrap")
    def _as_spelt(self, handler: SerializerFunctionWrapHandler) -> Any:
        body = {key: value for key, value in handler(self).items() if value is not None}
        return {self.name: body} if body else self.name


N = TypeVar("N", bound=Named)


def registry(*kinds: type[N]) -> dict[str, type[N]]:
    """Name to class, in the order given, which is the order that errors list them in."""
    return {kind.name: kind for kind in kinds}


def parse_named(value: Any, kinds: Mapping[str, type[N]], noun: str, context: ValidationContext | None) -> N:
    """One of `kinds`, from `name` or `{name: {option: value}}`. Raises ValidationError.

    Underscores of a name may be left out or put in: `leakyrelu` (torch's class) is `leaky_relu`.
    """
    if isinstance(value, Named) and kinds.get(value.name) is type(value):
        return value  # type: ignore[return-value]
    spelt, body = _split(value, noun, kinds)
    name: str | None = spelt
    if spelt not in kinds:  # listing all may load them
        name = {each.replace("_", ""): each for each in kinds}.get(spelt.replace("_", ""))
    if name is None:
        raise wrong(spelt, f"one of the {noun}s: {listed(kinds)}", hint=nearest(spelt, kinds))
    kind = kinds[name]
    if kind.shorthand and isinstance(body, kind.shorthand_kinds):
        body = {kind.shorthand: body}
    try:
        return kind.model_validate({} if body is None else body, context=context)
    except ValidationError as error:
        raise failure(below(error, spelt)) from None


def _split(value: Any, noun: str, kinds: Iterable[str]) -> tuple[str, Any]:
    """The name and what stands below it."""
    if isinstance(value, str):
        return value, None
    if not isinstance(value, Mapping) or not value:
        raise wrong(value, f"a {noun} by its name, or {{name: {{option: value}}}}")
    if len(value) > 1:
        keys = [str(key) for key in value]
        hint = "" if keys[1] in kinds else nearest(keys[1], kinds)
        text = f"got the keys {listed(map(one_line, keys))} side by side, expected one {noun} "
        text += f"with its options indented below it{hint}"
        raise failure([Problem((keys[1],), text)])
    ((name, body),) = value.items()
    if not isinstance(name, str):
        raise wrong(name, f"a {noun} by its name")
    return name, body


def named(kinds: Mapping[str, type[N]], noun: str) -> Rule:
    """The annotation of a value that is one of `kinds`."""

    def check(value: Any, context: ValidationContext | None) -> N:
        return parse_named(value, kinds, noun, context)

    return Rule(check, {"x-choice": noun})


def parse_options(
    name: str, options: Mapping[str, Any] | None, kinds: Mapping[str, type[N]], noun: str, *, key: str
) -> N:
    """One of `kinds` by its exact name, from Python. Raises UsageError, a line a problem."""
    if name not in kinds:
        raise UsageError(not_one_of(key, name, kinds))
    try:
        return parse_named({name: dict(options or {})}, kinds, noun, None)
    except ValidationError as error:
        lines = [".".join([key, *map(str, p.location)]) + f": {p.text}" for p in problems_of(error)]
        raise UsageError("\n".join(lines)) from None
