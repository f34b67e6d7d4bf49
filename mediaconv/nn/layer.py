"""The contract of a layer that streams, and which torch modules keep it as they are. No mechanism here.

A layer is `Streamable`: it tells per axis what it reads (`axis_map`), makes a fresh `State` and takes a
step. State belongs to the caller's stream, never to the module, so any number of streams run over one
module. A layer whose output at a position reads the input at that position alone is `Pointwise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from torch import Tensor, nn

from mediaconv.nn.geometry import IDENTITY, AxisMap
from mediaconv.nn.state import State


class Streamable:
    """Mixin of every layer that runs in chunks. Tensors are (N, C, ...); `axis` counts the axes after C."""

    dims: int

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
    def look_back(self) -> int | float:
        """Inputs before an output's own time that it reads, along the stream axis 0."""
        return self.axis_map(0).look_back

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

    def empty_output(self, x: Tensor, axis: int | None = None, length: int = 0) -> Tensor:
        """An output without elements for an input like `x`; where an axis is given, of a length along it."""
        shape = list(self.output_shape(x.shape))
        if axis is not None:
            shape[axis + 2] = length
        return x.new_empty(shape)


class Pointwise(Streamable):
    """Mixin of a layer whose output at a position reads the input at that position alone."""

    def axis_map(self, axis: int) -> AxisMap:
        return IDENTITY

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self(x)  # type: ignore[operator]


class Composite(Streamable):
    """Mixin of a layer made of layers: its stride is its total along the stream axis 0."""

    @property
    def stride(self) -> int | Fraction:
        """Input steps an output step along the stream axis 0: an int, or a Fraction below or between."""
        total = self.axis_map(0).stride
        return int(total) if total.denominator == 1 else total


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


def geometry(module: nn.Module, axis: int = 0) -> AxisMap:
    """Latency, look-back, receptive field, stride and output length of any stack along any axis.

    axis: counts the axes after the channels: 0 is samples, frames or rows.
    Raises TypeError naming a layer that cannot stream.

    >>> from mediaconv.nn import Conv2d
    >>> geometry(Conv2d(1, 1, (3, 5), padding="same"), axis=1).receptive_field
    5
    """
    for name, layer in leaves(module):
        if not isinstance(layer, Streamable) and not is_pointwise(layer):
            raise unknown_layer(layer, name)
    return axis_map(module, axis)


def init_state(module: nn.Module, axis: int) -> State:
    """A fresh state for any layer that streams."""
    return module.init_state(axis) if isinstance(module, Streamable) else State()


def step(module: nn.Module, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
    """One step of any layer that streams."""
    if isinstance(module, Streamable):
        return module.step(x, state, axis=axis, last=last)
    return module(x)


def output_channels(module: nn.Module, channels: int) -> int:
    """Output channels of any layer that streams, for an input of `channels`."""
    if isinstance(module, nn.GLU):
        return channels // 2
    return module.output_channels(channels) if isinstance(module, Streamable) else channels


def unknown_layer(module: nn.Module, path: str = "") -> TypeError:
    """The error for a layer that cannot stream; `path` is its place in the model."""
    where = f"{path}: " if path else ""
    return TypeError(
        f"{where}{type(module).__name__} is not a layer that streams: use the layers of mediaconv.nn, "
        "torch's pointwise activations, or convert known torch layers with mediaconv.nn.to_streaming"
    )


def leaves(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Path and module of every layer proper, in order: `("0.layers.2", Conv1d(...))`."""
    inner = list(module.parts()) if isinstance(module, Streamable) else []
    if not inner:
        yield name, module
    for part, child in inner:
        yield from leaves(child, f"{name}.{part}" if name else part)


def check_eval(module: nn.Module) -> None:
    """Raise ValueError for a layer whose training mode cannot stream: dropout, or statistics of the batch."""
    for name, layer in leaves(module):
        if not layer.training:
            continue
        random = isinstance(layer, RANDOM) and getattr(layer, "p", 1) > 0
        if random or isinstance(layer, BATCH_NORMS):
            where = f"{name}: " if name else ""
            raise ValueError(
                f"{where}{type(layer).__name__} in training mode cannot stream: call .eval() first"
            )


def noncausal_layers(module: nn.Module, axis: int = 0) -> list[tuple[str, nn.Module, int | float]]:
    """Every layer that reads the future along an axis: its path, itself and how many of its inputs ahead.

    `math.inf` is a layer that needs the whole input (a norm over time). What `alignment="block"` reads,
    up to stride-1 inputs, was asked for and is not listed.
    """
    found = []
    for name, layer in leaves(module):
        ahead = axis_map(layer, axis).latency
        allowed = axis_map(layer, axis).stride - 1 if getattr(layer, "alignment", "") == "block" else 0
        if ahead > allowed:
            found.append((name, layer, ahead))
    return found
