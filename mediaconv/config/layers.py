"""All layers of a stack by their YAML names, those that hold layers themselves, and the walk over a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mediaconv.config.activations import ACTIVATIONS
from mediaconv.config.convolutions import Conv, ConvTranspose, DeformConv, Gated
from mediaconv.config.layer import LayerSpec
from mediaconv.config.norms import BatchNorm, Dropout, GroupNorm, InstanceNorm, LayerNorm, RmsNorm
from mediaconv.config.problems import wrong
from mediaconv.config.resampling import (
    AvgPool,
    ChannelShuffle,
    MaxPool,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Upsample,
)
from mediaconv.config.section import parse_named, registry
from mediaconv.config.setting import Setting
from mediaconv.config.values import Rule, each


def parse_layer(value: Any, setting: Setting | None) -> LayerSpec:
    """One item of a stack: `relu`, or `{conv: {...}}`. Raises ValidationError."""
    return parse_named(value, LAYERS, "layer", setting)


def _check_layers(value: Any, setting: Setting | None) -> tuple[LayerSpec, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise wrong(value, "a list of layers, one at least")
    return each(value, parse_layer, setting)


def _check_path(value: Any, setting: Setting | None) -> tuple[LayerSpec, ...]:
    if not isinstance(value, list | tuple):
        raise wrong(value, "a list of layers")
    return each(value, parse_layer, setting)


def _check_paths(value: Any, setting: Setting | None) -> tuple[tuple[LayerSpec, ...], ...]:
    if not isinstance(value, list | tuple) or not value:
        raise wrong(value, "a list of branches, each a list of layers")
    return each(value, _check_path, setting)


_PATH_SCHEMA = {"type": "array", "items": {"x-choice": "layer"}}
Layers = Annotated[tuple[LayerSpec, ...], Rule(_check_layers, {**_PATH_SCHEMA, "minItems": 1})]
Path = Annotated[tuple[LayerSpec, ...], Rule(_check_path, _PATH_SCHEMA)]
Paths = Annotated[
    tuple[tuple[LayerSpec, ...], ...],
    Rule(_check_paths, {"type": "array", "items": _PATH_SCHEMA, "minItems": 1}),
]


class Residual(LayerSpec):
    """Layers, and what goes in added to what comes out (He et al. 2016)."""

    name: ClassVar[str] = "residual"
    shorthand: ClassVar[str | None] = "layers"
    layers: Layers = Field(description="the layers that are gone around")
    shortcut: Path | None = Field(default=None, description="layers of the way around; default: the identity")


class Branches(LayerSpec):
    """Several ways from the same input, merged. An empty one is the identity."""

    name: ClassVar[str] = "branches"
    shorthand: ClassVar[str | None] = "paths"
    paths: Paths = Field(description="the ways, each a list of layers")
    merge: Literal["add", "concat", "mul"] = Field(default="add", description="how their outputs are merged")


LAYERS: dict[str, type[LayerSpec]] = {
    **registry(
        Conv,
        ConvTranspose,
        DeformConv,
        MaxPool,
        AvgPool,
        Upsample,
        PixelShuffle,
        PixelUnshuffle,
        ChannelShuffle,
        BatchNorm,
        LayerNorm,
        RmsNorm,
        GroupNorm,
        InstanceNorm,
        Gated,
        Residual,
        Branches,
        Reshape,
        Dropout,
    ),
    **ACTIVATIONS,
}


def walk(
    stack: Sequence[LayerSpec], *, path: tuple[str | int, ...] = ("stack",)
) -> Iterator[tuple[tuple[str | int, ...], LayerSpec]]:
    """All layers in order, those inside a residual or a branch after the one that holds them.

    The path of a layer leads to it from the top of a resolved file: `("stack", 1, "residual", "layers", 0)`.
    """
    for i, spec in enumerate(stack):
        place = (*path, i)
        yield place, spec
        if isinstance(spec, Residual):
            yield from walk(spec.layers, path=(*place, spec.name, "layers"))
            yield from walk(spec.shortcut or (), path=(*place, spec.name, "shortcut"))
        if isinstance(spec, Branches):
            for j, way in enumerate(spec.paths):
                yield from walk(way, path=(*place, spec.name, "paths", j))
