"""The contract of a layer that streams, and which torch modules keep it as they are. No mechanism here.

A layer is `Streamable`: it tells per axis what it reads (`axis_map`), makes a fresh `State` and takes a
step. State belongs to the caller's stream, never to the module, so any number of streams run over one
module. A layer whose output at a position reads the input at that position alone is `Pointwise`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch
from torch import Tensor, nn

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap, whole_number
from mediaconv.nn.streaming.state import State


class Streamable:
    """Mixin of every layer that runs in chunks. Tensors are (N, C, ...); `axis` counts the axes after C."""

    dims: int
    causal: bool = False
    """Whether the layer is built to read no input after an output's own time, along its time axis or axes."""

    def axis_map(self, axis: int) -> AxisMap:
        """What outputs read along an axis."""
        raise NotImplementedError

    def init_state(self, axis: int) -> State:
        """The state of a stream along `axis` that has received nothing."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        """Take a chunk (it may be empty) and return the outputs that it completes; `last` ends the stream."""
        raise NotImplementedError

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """Name and module of each layer that this one is made of; none for a layer proper."""
        return iter(())

    def output_channels(self, channels: int) -> int:
        """Channels of the output for an input of `channels`. Raises ValueError where they do not fit."""
        return channels

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time that it reads, along the stream axis 0."""
        return self.axis_map(0).latency

    @property
    def lookback(self) -> int | float:
        """Inputs before an output's own time that it reads, along the stream axis 0."""
        return self.axis_map(0).lookback

    @property
    def receptive_field(self) -> int | float:
        """Inputs from the first to the last that one output reads, along the stream axis 0."""
        return self.axis_map(0).receptive_field

    def output_length(self, length: int, axis: int = 0) -> int:
        """Output length along an axis for an input of `length` steps."""
        return self.axis_map(axis).output_length(length)

    def output_shape(self, shape: Iterable[int]) -> tuple[int, ...]:
        """Output shape for an input shape (N, C, ...)."""
        n, c, *lengths = shape
        out = (self.axis_map(axis).output_length(length) for axis, length in enumerate(lengths))
        return (n, self.output_channels(c), *out)

    def check_axes(self, x: Tensor) -> None:
        """Raise ValueError for an input of another number of axes than this layer takes."""
        if x.ndim != self.dims + 2:
            raise ValueError(
                f"{type(self).__name__} takes (N, C, ...) with {self.dims} axes after the channels: "
                f"got shape {tuple(x.shape)}"
            )

    def empty_output(self, x: Tensor, axis: int | None = None, length: int = 0) -> Tensor:
        """An output without elements for an input like `x`; where an axis is given, of a length along it."""
        shape = list(self.output_shape(x.shape))
        if axis is not None:
            shape[axis + 2] = length
        return x.new_empty(shape)


class TotalStride(Streamable):
    """Mixin of a layer to which torch gives no stride: its total along the stream axis 0."""

    @property
    def stride(self) -> int | Fraction:
        """Input steps an output step along the stream axis 0: an int, or a Fraction below or between."""
        return whole_number(self.axis_map(0).total_stride)


class Stateless(TotalStride):
    """Mixin of a layer that makes of each position its outputs without any other: a step is a call."""

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self(x)  # type: ignore[operator]


class Pointwise(Stateless):
    """Mixin of a layer whose output at a position reads the input at that position alone."""

    def axis_map(self, axis: int) -> AxisMap:
        return IDENTITY


RANDOM = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
)
"""torch modules that are random in training mode, and stream in eval mode."""

POINTWISE: dict[type[nn.Module], None] = dict.fromkeys(
    [
        nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU,
        nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish,
        nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Threshold, nn.Softmax2d,
        nn.LocalResponseNorm, nn.ChannelShuffle, *RANDOM,
    ]
)  # fmt: skip
"""torch modules whose output at a position reads the input at that position alone."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def is_pointwise(module: nn.Module) -> bool:
    """Whether a plain torch module needs no state (softmax and its kin and GLU only over channels)."""
    if isinstance(module, nn.Softmax | nn.Softmin | nn.LogSoftmax | nn.GLU):
        return module.dim == 1
    if type(module) in BATCH_NORMS:
        return module.running_mean is not None  # type: ignore[union-attr]
    return type(module) in POINTWISE


def axis_map(module: nn.Module, axis: int = 0) -> AxisMap:
    """What a module's outputs read along an axis. Raises TypeError for an unknown layer, by name."""
    if isinstance(module, Streamable):
        return module.axis_map(axis)
    if is_pointwise(module):
        return IDENTITY
    raise unknown_layer(module)


def init_state(module: nn.Module, axis: int) -> State:
    """A fresh state for any layer that streams."""
    return module.init_state(axis) if isinstance(module, Streamable) else State()


def step(module: nn.Module, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
    """One step of any layer that streams."""
    if isinstance(module, Streamable):
        return module.step(x, state, axis=axis, last=last)
    return module(x)


def run_chunks(module: nn.Module, chunks: Iterable[Tensor], axis: int = 0) -> Tensor:
    """The joined outputs of any layer that streams, for the chunks of one input; one at least."""
    state, outputs = init_state(module, axis), []
    for chunk in chunks:
        outputs.append(step(module, chunk, state, axis=axis, last=False))
        end = chunk.narrow(axis + 2, 0, 0)
    outputs.append(step(module, end, state, axis=axis, last=True))
    return torch.cat(outputs, axis + 2)


def output_channels(module: nn.Module, channels: int) -> int:
    """Output channels of any layer that streams, for an input of `channels`."""
    if isinstance(module, nn.GLU):
        return channels // 2
    return module.output_channels(channels) if isinstance(module, Streamable) else channels


def layer_kind(module: nn.Module) -> str:
    """What a layer is in tables and messages: its class, or the words that its class has for itself."""
    return getattr(type(module), "kind_in_words", type(module).__name__)


def unknown_layer(module: nn.Module, path: str = "") -> TypeError:
    """The error for a layer that cannot stream; `path` is its place in the model."""
    where = f"{path}: " if path else ""
    return TypeError(
        f"{where}{type(module).__name__} is not a layer that streams: use the layers of mediaconv.nn, or "
        "torch's convolutions, pools, norms and pointwise activations; a block of your own is made known "
        "with mediaconv.nn.register_residual or register_converter; or pass example=, an input (N, C, ...): "
        "the module is captured then"
    )


def each_child(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Name and module of each child, one that stands twice twice: `named_children` leaves repeats out."""
    return [(name, child) for name, child in module._modules.items() if child is not None]


def count_axes(module: nn.Module) -> int | None:
    """Axes after the channels that a model takes; None where all of its layers take any number."""
    return next((layer.dims for _, layer in leaves(module) if hasattr(layer, "dims")), None)  # type: ignore[return-value]


def leaves(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Path and module of every layer proper, in order: `("0.layers.2", Conv1d(...))`."""
    if not parts_of(module):
        yield name, module
    for part, child in parts_of(module):
        yield from leaves(child, f"{name}.{part}" if name else part)


def parts_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Name and module of each layer that one which streams is made of."""
    return list(module.parts()) if isinstance(module, Streamable) else []


def fingerprint(module: nn.Module) -> int:
    """A number that tells modules apart by their layers, what those print of themselves, and their sizes.

    Values of parameters are no matter, nor where they lie. What a captured module prints is its example.
    """
    words = []
    for name, part in module.named_modules():
        own = part._parameters.items()
        sizes = [(key, tuple(p.shape)) for key, p in own if p is not None]
        said = "" if getattr(part, "captures", False) else part.extra_repr()
        words.append(f"{name} {type(part).__name__} {said} {sizes}")
    return zlib.crc32("\n".join(words).encode())
