"""The layers that hold layers: `residual` and `branches`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mediaconv.config.problems import wrong
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Rule, each
from mediaconv.layers import layer_spec
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import Layers, Path, list_of_layers, register

if TYPE_CHECKING:
    from torch import nn

Inner = Iterator[tuple[tuple[str | int, ...], layer_spec.Layers, str]]
_PATH = list_of_layers(0)


def _check_paths(value: object, context: ValidationContext | None) -> tuple[layer_spec.Layers, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise wrong(value, "a list of branches, each a list of layers")
    return each(value, _PATH.check, context)


Paths = Annotated[
    tuple[layer_spec.Layers, ...],
    Rule(_check_paths, {"type": "array", "items": _PATH.schema, "minItems": 1}),
]


def _built(layers: layer_spec.Layers, context: BuildContext, keys: str) -> nn.Module:
    from mediaconv.layers.construct import build_sequence

    return build_sequence(layers, replace(context, path=f"{context.path}.{keys}"))


@register
class Residual(LayerSpec):
    """Layers, and what goes in added to what comes out (He et al. 2016)."""

    name: ClassVar[str] = "residual"
    shorthand: ClassVar[str | None] = "layers"
    layers: Layers = Field(description="the layers that are gone around")
    shortcut: Path | None = Field(default=None, description="layers of the way around; default: the identity")

    def inner(self) -> Inner:
        yield ("layers",), self.layers, "layers"
        yield ("shortcut",), self.shortcut or (), "shortcut"

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv import nn as streaming

        shortcut = _built(self.shortcut, context, "residual.shortcut") if self.shortcut else None
        return streaming.Residual(_built(self.layers, context, "residual.layers"), shortcut)


@register
class Branches(LayerSpec):
    """Several ways from the same input, merged. An empty one is the identity."""

    name: ClassVar[str] = "branches"
    shorthand: ClassVar[str | None] = "paths"
    paths: Paths = Field(description="the ways, each a list of layers")
    merge: Literal["add", "concat", "mul"] = Field(default="add", description="how their outputs are merged")

    def inner(self) -> Inner:
        for i, layers in enumerate(self.paths):
            yield ("paths", i), layers, f"branches.{i}"

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv import nn as streaming

        paths = [_built(layers, context, f"branches.paths[{i}]") for i, layers in enumerate(self.paths)]
        return streaming.Branches(paths, merge=self.merge)
