"""The layers with a weight over a window: `conv`, `conv_transpose`, `deform_conv`, `gated`.

Keys and their checks only; the modules are built elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mediaconv.config.initializers import InitializerField
from mediaconv.config.kernels import KernelField
from mediaconv.config.layer import Alignment, CausalLayer
from mediaconv.config.problems import Location, Problem, shown, wrong
from mediaconv.config.setting import Setting
from mediaconv.config.values import (
    Count,
    Flag,
    Natural,
    Paddings,
    Rule,
    Sizes,
    as_number,
    per_axis,
    per_axis_of,
)
from mediaconv.errors import nearest

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
_PADDING_WORDS = ("same", "valid")


def _check_padding(value: Any, setting: Setting | None) -> int | str:
    if value in _PADDING_WORDS and isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        hint = nearest(value, _PADDING_WORDS) if isinstance(value, str) else ""
        raise wrong(value, "same, valid or an integer >= 0", hint=hint)
    return value


_PADDING_ITEM = Rule(
    _check_padding, {"anyOf": [{"enum": list(_PADDING_WORDS)}, {"type": "integer", "minimum": 0}]}
)
Padding = Annotated[
    int | str | tuple[int | str, ...],
    per_axis_of(_PADDING_ITEM, "same, valid or an integer >= 0", single=(int, str)),
]


def _check_weight(value: Any, setting: Setting | None) -> Any:
    rank = setting.dims + 2 if setting and setting.dims else None
    shape = f"numbers nested {rank} deep" if rank else "nested lists of numbers"
    words = f"{shape}: output channels, input channels, then the axes"
    kept, sizes = _nested(value, words, ())
    if (rank and len(sizes) != rank) or len(sizes) < 3 or 0 in sizes:
        raise wrong(value, words)
    return kept


def _nested(value: Any, words: str, location: Location) -> tuple[Any, tuple[int, ...]]:
    """Numbers in tuples, and how many there are at each depth."""
    if not isinstance(value, list | tuple):
        found = as_number(value)
        if found is None:
            raise wrong(value, "a number", location=location)
        return found, ()
    items = [_nested(item, words, (*location, i)) for i, item in enumerate(value)]
    shapes = {shape for _, shape in items}
    if len(shapes) > 1:
        raise wrong(value, "lists of equal length at each depth", location=location)
    return tuple(item for item, _ in items), (len(items), *(shapes.pop() if shapes else ()))


def shape_of(weight: Any) -> tuple[int, ...]:
    """The shape of inline numbers.

    >>> shape_of((((1.0, 2.0, 1.0),),))
    (1, 1, 3)
    """
    return (len(weight), *shape_of(weight[0])) if isinstance(weight, tuple) else ()


def _check_bias(value: Any, setting: Setting | None) -> bool | tuple[float, ...]:
    if isinstance(value, bool):
        return value
    words = "true, false or a list of numbers, one per output channel"
    if not isinstance(value, list | tuple) or not value:
        raise wrong(value, words)
    found = [as_number(item) for item in value]
    for i, item in enumerate(found):
        if item is None:
            raise wrong(value[i], "a number", location=(i,))
    return tuple(item for item in found if item is not None)


Weight = Annotated[Any, Rule(_check_weight, {"type": "array"})]
Bias = Annotated[
    bool | tuple[float, ...],
    Rule(
        _check_bias,
        {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]},
    ),
]


class ConvKeys(CausalLayer):
    """The keys that all convolutions share. Values per axis are in torch's axis order."""

    in_channels: Count | None = Field(default=None, description="default: follows from what comes before")
    out_channels: Count | None = Field(default=None, description="number of output channels")
    kernel_size: Sizes | None = Field(default=None, description="one number, or one per axis")
    stride: Sizes = Field(default=1, description="one number, or one per axis")
    dilation: Sizes = Field(default=1, description="one number, or one per axis")
    groups: Count = Field(default=1, description="channels are split in groups that do not see each other")
    bias: Bias = Field(default=True, description="whether there is one, or its numbers")
    padding: Padding = Field(default="same", description="same, valid, a number, or one of these per axis")
    padding_mode: PaddingMode = Field(default="zeros", description="what is padded with")
    alignment: Alignment = Field(
        default="strict",
        description="of causal pad: output j sees inputs <= j*stride (strict) or <= j*stride + stride - 1 (block)",
    )
    weight: Weight | None = Field(
        default=None, description="the numbers of the weight, nested as torch's shape"
    )
    init: InitializerField | None = Field(default=None, description="an initializer by torch's name")

    _transposed: ClassVar[bool] = False

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        found += self._weights(setting)
        found += self._channels()
        found += self._causal_padding(setting)
        return found

    def _weights(self, setting: Setting) -> list[Problem]:
        """Inline numbers state the channels and the kernel; here these are filled in or compared."""
        if self.weight is None:
            return []
        found = (
            [Problem(("init",), "got an initializer beside inline numbers: give one of them")]
            if self.init
            else []
        )
        shape = shape_of(self.weight)
        out = shape[1] * self.groups if self._transposed else shape[0]
        into = shape[0] if self._transposed else shape[1] * self.groups
        told = {"out_channels": out, "in_channels": into, "kernel_size": shape[2:]}
        for key, value in told.items():
            given = getattr(self, key)
            if given is None:
                object.__setattr__(self, key, value)
            elif (per_axis(given, len(value)) if isinstance(value, tuple) else given) != value:
                found.append(
                    Problem((key,), f"got {shown(given)}, but the numbers of weight say {shown(value)}")
                )
        return found

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

    def _required(self) -> list[Problem]:
        return [
            Problem((key,), "is required, unless weight states it", missing=True)
            for key in ("out_channels", "kernel_size")
            if getattr(self, key) is None
        ]

    def _causal_padding(self, setting: Setting) -> list[Problem]:
        how = self.causality(setting)
        found = []
        if self.alignment == "block" and how.mode != "pad":
            found.append(
                Problem(
                    ("alignment",),
                    f"got block under causal {how.mode}, expected strict: block is defined for pad",
                )
            )
        if not how:
            return found
        if self.padding_mode in ("reflect", "circular"):
            found.append(
                Problem(
                    ("padding_mode",),
                    f"got {self.padding_mode}, expected zeros or replicate: under causality it reads the future "
                    "at the start of the file",
                )
            )
        for axis in self.causal_axes(setting) or (0,):
            given = (
                self.padding
                if isinstance(self.padding, int | str)
                else self.padding[min(axis, len(self.padding) - 1)]
            )
            if isinstance(given, int) or (how.mode == "raster" and given != "same"):
                where = setting.axes[axis] if setting.axes else f"axis {axis}"
                found.append(
                    Problem(
                        ("padding",),
                        f"got {shown(self.padding)}, expected same along {where}: causal {how.mode} "
                        "pads it as the kernel says",
                    )
                )
                break
        return found


class Conv(ConvKeys):
    """Convolution: torch's ConvNd, standard or causal."""

    name: ClassVar[str] = "conv"
    kernel: KernelField | None = Field(default=None, description="a well-known kernel by name")

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        if self.kernel is None:
            return found + self._required()
        for key in ("weight", "init"):
            if getattr(self, key) is not None:
                found.append(Problem((key,), f"is given beside kernel {self.kernel.name}: give one of them"))
        if self.kernel_size is not None and self.kernel.own_size:
            found.append(
                Problem(
                    ("kernel_size",),
                    f"got {shown(self.kernel_size)}, but {self.kernel.name} has a size of its own",
                )
            )
        below = self.kernel.problems(setting)
        found += [
            Problem(("kernel", self.kernel.name, *p.location) if p.location else ("kernel",), p.text)
            for p in below
        ]
        return found

    def _required(self) -> list[Problem]:
        return [
            Problem(p.location, "is required, unless kernel or weight states it", True)
            for p in super()._required()
        ]


class ConvTranspose(ConvKeys):
    """Transposed convolution: torch's ConvTransposeNd; `padding: same` gives `stride` times the length."""

    name: ClassVar[str] = "conv_transpose"
    output_padding: Paddings = Field(default=0, description="added to the length at the end, per axis")
    _transposed: ClassVar[bool] = True

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting) + self._required()
        if self.padding_mode != "zeros":
            found.append(
                Problem(
                    ("padding_mode",),
                    f"got {self.padding_mode}, expected zeros: a transposed layer has no other",
                )
            )
        return found


class DeformConv(ConvKeys):
    """Deformable convolution: every tap reads at a learned offset (Dai et al. 2017)."""

    name: ClassVar[str] = "deform_conv"
    dims: ClassVar[tuple[int, ...]] = (2, 3)
    offset_range: Natural = Field(
        default=1, description="largest offset along the stream axis (rows, frames), so that it streams"
    )
    modulation: Flag = Field(
        default=False, description="weigh every tap by a learned factor too (Zhu et al. 2019)"
    )

    def problems(self, setting: Setting) -> list[Problem]:
        return super().problems(setting) + self._required()


class Gated(ConvKeys):
    """WaveNet's gate, tanh(a) * sigmoid(b): of the two halves of the channels, or of one convolution's two outputs."""

    name: ClassVar[str] = "gated"

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        return found + self._required() if self.model_fields_set else found
