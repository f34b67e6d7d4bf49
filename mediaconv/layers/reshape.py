"""`reshape`: an einops pattern between the channels and the axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from mediaconv.config.problems import Problem, wrong
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Rule, integer, mapping_of
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import register
from mediaconv.pattern import EXAMPLE, parse_pattern

if TYPE_CHECKING:
    from torch import nn


def _check_pattern(value: Any, context: ValidationContext | None) -> str:
    if not isinstance(value, str) or value.count("->") != 1:
        raise wrong(value, f"an einops pattern, such as {EXAMPLE}")
    return value


@register
class Reshape(LayerSpec):
    """einops' rearrange: parts of fixed size move between the channels and the axes."""

    name: ClassVar[str] = "reshape"
    decisive: ClassVar[frozenset[str]] = frozenset({"pattern", "sizes"})
    pattern: Annotated[str, Rule(_check_pattern, {"type": "string", "pattern": "->"})] = Field(
        description="einops pattern with the batch first, such as 'n (c k) t -> n c (t k)'"
    )
    sizes: Annotated[
        dict[str, int], mapping_of(integer(1), "a mapping from names of the pattern to sizes")
    ] = Field(default_factory=dict, description="sizes of the pattern's names")

    def problems(self, context: ValidationContext) -> list[Problem]:
        try:
            pattern = parse_pattern(self.pattern, self.sizes, context.axes)
        except ValueError as error:
            before, _, text = str(error).partition("sizes: ")
            key, words = ("sizes", text) if not before else ("pattern", str(error))
            return [Problem((key,) if key in self.model_fields_set else (), words)]
        reason = f"it reads later positions of a block, which causal {context.causal.mode} forbids"
        problems = []
        for axis in context.causal_axes:
            if axis < pattern.dims and pattern.looks_ahead(axis):
                group = f"({' '.join(pattern.left[axis + 2])}) along {context.axes[axis]}"
                text = f"takes {group} apart: {reason}; use a conv with that kernel_size and stride"
                problems.append(Problem(("pattern",), text))
        return problems

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv import nn as streaming

        return streaming.Reshape(self.pattern, self.sizes, in_channels=context.channels)
