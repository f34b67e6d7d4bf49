"""The names under `normalize` and their options. What they compute is elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, model_validator

from mediaconv.config.problems import Problem, failure
from mediaconv.config.section import Named, named, registry
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Number


class Normalize(Named):
    """How the stack's output becomes values that a file can hold."""


class Sigmoid(Normalize):
    """1 / (1 + exp(-(gain x + bias))), mapped to the signal's range."""

    name: ClassVar[str] = "sigmoid"
    gain: Number = Field(default=1.0, description="factor before the sigmoid")
    bias: Number = Field(default=0.0, description="added after the gain")


class Tanh(Normalize):
    """tanh(gain x), mapped to the signal's range."""

    name: ClassVar[str] = "tanh"
    gain: Number = Field(default=1.0, description="factor before the tanh")


class Clip(Normalize):
    """Values outside low to high are clipped; these become the ends of the signal's range."""

    name: ClassVar[str] = "clip"
    low: Number | None = Field(default=None, description="becomes the lowest value; default: the signal's")
    high: Number | None = Field(default=None, description="becomes the highest value; default: the signal's")

    @model_validator(mode="after")
    def _ordered(self, info: ValidationInfo) -> Any:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise failure([Problem(("high",), f"got {self.high:g}, expected more than low, {self.low:g}")])
        return self


class MinMax(Normalize):
    """The smallest and largest value of the whole file become the ends of the range; two passes."""

    name: ClassVar[str] = "minmax"

    @model_validator(mode="after")
    def _standard(self, info: ValidationInfo) -> Any:
        if isinstance(info.context, ValidationContext) and info.context.causal and info.context.refuse_leaks:
            raise failure([Problem((), minmax_refusal("causal set"))])
        return self


def minmax_refusal(why: str) -> str:
    """Why minmax cannot stand in a causal run."""
    return f"got minmax with {why}: it needs the whole file first, the future too; use sigmoid, tanh or clip"


class NoNormalize(Normalize):
    """Values are taken as they are and clipped to what the file can hold."""

    name: ClassVar[str] = "none"


NORMALIZERS: dict[str, type[Normalize]] = registry(Sigmoid, Tanh, Clip, MinMax, NoNormalize)
NormalizeField = Annotated[Normalize, named(NORMALIZERS, "normalizer")]
