"""Convolution, `conv`, and the keys that all layers with a weight over a window share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from mediaconv.config.problems import Problem, shown
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Count, Sizes
from mediaconv.counted import counted
from mediaconv.layers.filters.filter_keys import FirKernel, KernelField
from mediaconv.layers.keys.initializers import InitializerField
from mediaconv.layers.keys.inline_numbers import Bias, Weight, shape_of
from mediaconv.layers.keys.padding_keys import Padding, PaddingMode, causal_padding_problems
from mediaconv.layers.layer_spec import BuildContext, CausalLayer
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


class ConvKeys(CausalLayer):
    """The keys that all convolutions share. Values per axis are in torch's axis order."""

    in_channels: Count | None = Field(default=None, description="default: follows from what comes before")
    out_channels: Count | None = Field(default=None, description="number of output channels")
    kernel_size: Sizes | None = Field(default=None, description="one number, or one per axis")
    stride: Sizes = Field(default=1, description="one number, or one per axis")
    dilation: Sizes = Field(default=1, description="one number, or one per axis")
    groups: Count = Field(default=1, description="channels are split in groups that do not see each other")
    bias: Bias = Field(
        default=True,
        description="whether there is one, or its numbers; default: true, and false beside weight or kernel",
    )
    padding: Padding = Field(
        default="same",
        description="same (unlike torch's default, 0), valid, a number, or one of these per axis",
    )
    padding_mode: PaddingMode = Field(default="zeros", description="what is padded with")
    alignment: Literal["strict", "block"] = Field(
        default="strict",
        description="of causal pad: output j sees inputs <= j*s (strict) or <= j*s + s - 1 (block)",
    )
    weight: Weight | None = Field(default=None, description="the weight's numbers, nested as torch's shape")
    init: InitializerField | None = Field(default=None, description="an initializer by torch's name")

    decisive: ClassVar[frozenset[str]] = frozenset({"causal", "time_axis", "weight", "kernel"})
    has_alignments: ClassVar[bool] = True
    """Whether there is a choice of `alignment`."""
    out_axis: ClassVar[int] = 0
    """The weight's axis of output channels in torch's shape."""

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context) + self._numbers() + self._channels()
        problems += self._required() + self._alignment(context)
        how = self.causality(context)
        raster = how.mode == "raster"
        if how and self.padding_mode in ("reflect", "circular", *(["replicate"] if raster else [])):
            expected = "zeros" if raster else "zeros or replicate"
            reason = "under causality it reads the future at the start of the file"
            if self.padding_mode == "replicate":
                reason = "above the first row it copies that row, of which raster would read later columns"
            text = f"got {self.padding_mode}, expected {expected}: {reason}"
            problems.append(Problem(("padding_mode",), text))
        return problems + causal_padding_problems(self.padding, how, self.causal_axes(context), context)

    def _numbers(self) -> list[Problem]:
        """Inline numbers state the channels and the kernel: here these are filled in, or compared."""
        if self.weight is None:
            return []
        problems = []
        if self.init is not None:
            problems.append(Problem(("init",), "is given beside weight: give one of them"))
        shape = shape_of(self.weight)
        channels = list(shape[:2])
        channels[1] *= self.groups
        out, into = channels[self.out_axis], channels[1 - self.out_axis]
        for key, stored in (("out_channels", out), ("in_channels", into), ("kernel_size", shape[2:])):
            stated = getattr(self, key)
            if stated is None:
                self._resolve(key, stored)
            elif stated != stored and not (isinstance(stored, tuple) and set(stored) == {stated}):
                text = f"got {shown(stated)}, but the numbers of weight say {shown(stored)}"
                problems.append(Problem((key,), text))
        self._resolve_bias()
        return problems

    def _resolve_bias(self) -> None:
        """A weight that is stated stands alone: a random bias is added only where one is asked for."""
        if "bias" not in self.model_fields_set:
            self._resolve("bias", False)

    def _channels(self) -> list[Problem]:
        problems = []
        for key in ("in_channels", "out_channels"):
            channels = getattr(self, key)
            if channels is not None and channels % self.groups:
                text = f"got {self.groups}, expected a divisor of {key}, {channels}"
                problems.append(Problem(("groups",), text))
        if isinstance(self.bias, tuple) and self.out_channels not in (None, len(self.bias)):
            count = f"one per output channel, {self.out_channels}"
            problems.append(Problem(("bias",), f"got {len(self.bias)} numbers, expected {count}"))
        return problems

    def _required(self, unless: str = "weight") -> list[Problem]:
        return [
            Problem((key,), f"is required, unless {unless} states it", missing=True)
            for key in ("out_channels", "kernel_size")
            if getattr(self, key) is None
        ]

    def arguments(self, context: BuildContext) -> dict[str, Any]:
        """What torch's convolutions take."""
        if self.in_channels not in (None, context.channels):
            raise ValueError(
                f"in_channels: got {self.in_channels}, "
                f"but what comes before gives {counted(context.channels, 'channel')}"
            )
        keys = ("out_channels", "kernel_size", "stride", "dilation", "padding", "groups", "padding_mode")
        stated = {key: getattr(self, key) for key in keys}
        return {**stated, "in_channels": context.channels, "bias": self.bias is not False}

    def weight_count(self, context: BuildContext) -> int:
        if self.kernel_size is None or self.out_channels is None:
            return 0
        from mediaconv.nn.geometry import per_axis

        sizes = per_axis(self.kernel_size, context.dims, "kernel_size")
        return self.out_channels * max(1, context.channels // self.groups) * math.prod(sizes)

    def convolution(self, context: BuildContext, **arguments: Any) -> nn.Module:
        """The plain convolution, standard or causal."""
        how = self.causality(context.file)
        if not how:
            return context.nn_class("Conv")(**arguments)
        return context.nn_class("CausalConv")(
            **arguments,
            mode=how.mode,
            raster_type=how.raster,
            time_axis=self.time_axis,
            alignment=self.alignment,
        )

    def set_weights(self, module: Any, *, name: str, seed: int, rate_hz: float | None) -> None:
        from mediaconv.layers.keys.random_weights import apply_mask, generator_for, initialize, write_numbers

        if self.init is not None:
            drawn = generator_for(seed, f"{name}.weight")
            initialize(module.weight, self.init.name, self.init.chosen_options, drawn)
        if self.weight is not None:
            write_numbers(module.weight, self.weight)
        apply_mask(module)
        if isinstance(self.bias, tuple):
            write_numbers(module.bias, self.bias)

    def _alignment(self, context: ValidationContext) -> list[Problem]:
        how = self.causality(context)
        if self.alignment == "strict" or (self.has_alignments and how.mode == "pad"):
            return []
        where = f"under causal {how.mode}" if self.has_alignments else f"for {self.name}"
        text = f"got block {where}, expected strict: block is a conv's under causal pad"
        return [Problem(("alignment",), text)]


def stated_by(*keys: str) -> ConfigDict:
    """For the schema: the channels and the kernel are given, or one of these keys states them."""
    ways: list[JsonValue] = [{"required": ["out_channels", "kernel_size"]}]
    ways += [{"required": [key]} for key in keys]
    return ConfigDict(json_schema_extra={"anyOf": ways})


@register
class Conv(ConvKeys):
    """Convolution: torch's ConvNd, standard or causal."""

    model_config = stated_by("kernel", "weight")
    name: ClassVar[str] = "conv"
    kernel: KernelField | None = Field(default=None, description="a well-known kernel by name")

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        if self.kernel is None:
            return problems
        self._resolve_bias()
        beside = f"is given beside kernel {self.kernel.name}: give one of them"
        problems += [Problem((key,), beside) for key in ("weight", "init") if getattr(self, key) is not None]
        for problem in self.kernel.problems(context):
            location = (self.kernel.name, *problem.location) if problem.location else ()
            problems.append(Problem(("kernel", *location), problem.text))
        return problems

    def _required(self, unless: str = "kernel or weight") -> list[Problem]:
        return super()._required(unless) if self.kernel is None else []

    def build(self, context: BuildContext) -> nn.Module:
        return self.convolution(context, **self.arguments(context))

    def set_weights(self, module: Any, *, name: str, seed: int, rate_hz: float | None) -> None:
        if self.kernel is not None:
            from mediaconv.layers.filters.fill import fill_kernel

            fill_kernel(module, self.kernel, rate_hz=rate_hz)
        super().set_weights(module, name=name, seed=seed, rate_hz=rate_hz)

    @property
    def needs_rate(self) -> bool:
        return isinstance(self.kernel, FirKernel)

    def arguments(self, context: BuildContext) -> dict[str, Any]:
        """A well-known kernel says size, channels and groups of its layer, and no bias unless asked for.

        Each channel by itself is a grouped convolution; `mix` is a dense one over the channels' mean.
        """
        arguments = super().arguments(context)
        if self.kernel is None:
            return arguments
        from mediaconv.layers.filters.fill import filter_count, kernel_size

        filters = filter_count(self.kernel)
        alone = not self.kernel.mix
        out = self.out_channels or filters * (context.channels if alone else 1)
        depthwise = alone and self.groups == 1 and out == filters * context.channels
        return arguments | {
            "out_channels": out,
            "kernel_size": self.kernel_size or kernel_size(self.kernel, context.dims),
            "groups": context.channels if depthwise else self.groups,
        }
