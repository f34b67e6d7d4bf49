"""The layers with a weight over a window: `conv`, `conv_transpose`, `deform_conv`, `gated`.

Keys and their checks only; the modules are built elsewhere.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from mediaconv.config.initializers import InitializerField
from mediaconv.config.inline_numbers import Bias, Weight, shape_of
from mediaconv.config.layer import CausalLayer
from mediaconv.config.padding import Padding, PaddingMode, causal_padding_problems
from mediaconv.config.problems import Problem, shown
from mediaconv.config.setting import Setting
from mediaconv.config.values import Count, Flag, Natural, Paddings, Sizes, per_axis
from mediaconv.layers.filters.options import KernelField


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
    padding: Padding = Field(default="same", description="same, valid, a number, or one of these per axis")
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

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting) + self._numbers() + self._channels()
        found += self._required() + self._alignment(setting)
        how = self.causality(setting)
        raster = how.mode == "raster"
        if how and self.padding_mode in ("reflect", "circular", *(["replicate"] if raster else [])):
            expected = "zeros" if raster else "zeros or replicate"
            reason = "under causality it reads the future at the start of the file"
            if self.padding_mode == "replicate":
                reason = "above the first row it copies that row, of which raster would read later columns"
            text = f"got {self.padding_mode}, expected {expected}: {reason}"
            found.append(Problem(("padding_mode",), text))
        return found + causal_padding_problems(self.padding, how, self.causal_axes(setting), setting)

    def _numbers(self) -> list[Problem]:
        """Inline numbers state the channels and the kernel: here these are filled in, or compared."""
        if self.weight is None:
            return []
        found = []
        if self.init is not None:
            found.append(Problem(("init",), "is given beside weight: give one of them"))
        shape = shape_of(self.weight)
        channels = list(shape[:2])
        channels[1] *= self.groups
        out, into = channels[self.out_axis], channels[1 - self.out_axis]
        for key, told in (("out_channels", out), ("in_channels", into), ("kernel_size", shape[2:])):
            given = getattr(self, key)
            if given is None:
                self._resolve(key, told)
            elif (per_axis(given, len(told)) if isinstance(told, tuple) else given) != told:
                text = f"got {shown(given)}, but the numbers of weight say {shown(told)}"
                found.append(Problem((key,), text))
        self._resolve_bias()
        return found

    def _resolve_bias(self) -> None:
        """A weight that is stated stands alone: a random bias is added only where one is asked for."""
        if "bias" not in self.model_fields_set:
            self._resolve("bias", False)

    def _channels(self) -> list[Problem]:
        found = []
        for key in ("in_channels", "out_channels"):
            given = getattr(self, key)
            if given is not None and given % self.groups:
                found.append(Problem(("groups",), f"got {self.groups}, expected a divisor of {key}, {given}"))
        if isinstance(self.bias, tuple) and self.out_channels not in (None, len(self.bias)):
            count = f"one per output channel, {self.out_channels}"
            found.append(Problem(("bias",), f"got {len(self.bias)} numbers, expected {count}"))
        return found

    def _required(self, unless: str = "weight") -> list[Problem]:
        return [
            Problem((key,), f"is required, unless {unless} states it", missing=True)
            for key in ("out_channels", "kernel_size")
            if getattr(self, key) is None
        ]

    def _alignment(self, setting: Setting) -> list[Problem]:
        how = self.causality(setting)
        if self.alignment == "strict" or (self.has_alignments and how.mode == "pad"):
            return []
        where = f"under causal {how.mode}" if self.has_alignments else f"for {self.name}"
        text = f"got block {where}, expected strict: block is a conv's under causal pad"
        return [Problem(("alignment",), text)]


def _stated_by(*keys: str) -> ConfigDict:
    """For the schema: the channels and the kernel are given, or one of these keys states them."""
    ways: list[JsonValue] = [{"required": ["out_channels", "kernel_size"]}]
    ways += [{"required": [key]} for key in keys]
    return ConfigDict(json_schema_extra={"anyOf": ways})


class Conv(ConvKeys):
    """Convolution: torch's ConvNd, standard or causal."""

    model_config = _stated_by("kernel", "weight")
    name: ClassVar[str] = "conv"
    kernel: KernelField | None = Field(default=None, description="a well-known kernel by name")

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        if self.kernel is None:
            return found
        self._resolve_bias()
        beside = f"is given beside kernel {self.kernel.name}: give one of them"
        found += [Problem((key,), beside) for key in ("weight", "init") if getattr(self, key) is not None]
        for problem in self.kernel.problems(setting):
            place = (self.kernel.name, *problem.location) if problem.location else ()
            found.append(Problem(("kernel", *place), problem.text))
        return found

    def _required(self, unless: str = "kernel or weight") -> list[Problem]:
        return super()._required(unless) if self.kernel is None else []


class ConvTranspose(ConvKeys):
    """Transposed convolution: torch's ConvTransposeNd; `padding: same` gives `stride` times the length."""

    model_config = _stated_by("weight")
    name: ClassVar[str] = "conv_transpose"
    has_alignments: ClassVar[bool] = False
    out_axis: ClassVar[int] = 1
    output_padding: Paddings = Field(default=0, description="added to the length at the end, per axis")

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        if self.padding_mode == "replicate" or (self.padding_mode != "zeros" and not self.causality(setting)):
            text = f"got {self.padding_mode}, expected zeros: a transposed layer has no other"
            found.append(Problem(("padding_mode",), text))
        return found


class DeformConv(ConvKeys):
    """Deformable convolution: every tap reads at a learned offset (Dai et al. 2017)."""

    model_config = _stated_by("weight")
    name: ClassVar[str] = "deform_conv"
    dims: ClassVar[tuple[int, ...]] = (2, 3)
    has_alignments: ClassVar[bool] = False
    offset_range: Natural = Field(
        default=1, description="largest offset along the stream axis (rows, frames), so that it streams"
    )
    modulation: Flag = Field(
        default=False, description="weigh every tap by a learned factor too (Zhu et al. 2019)"
    )

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        how = self.causality(setting)
        if how.mode in ("mask", "raster"):
            text = f"got {how.mode}, expected pad or false: taps that move cannot be masked by their place"
            found.append(Problem(("causal",) if self.causal is not None else (), text))
        return found


class Gated(ConvKeys):
    """WaveNet's gate tanh(a) * sigmoid(b): of the channels' two halves, or of a convolution's two outputs."""

    name: ClassVar[str] = "gated"

    def _required(self, unless: str = "weight") -> list[Problem]:
        fields = {k: f for k, f in type(self).model_fields.items() if k not in ("causal", "time_axis")}
        bare = all(getattr(self, key) == field.get_default() for key, field in fields.items())
        return [] if bare else super()._required(unless)

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        if self.weight is not None:
            text = "is given: the two convolutions of a gate take their numbers from weights or init"
            return [*found, Problem(("weight",), text)]
        return found
