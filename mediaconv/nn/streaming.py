"""Exact execution in chunks: `stream(module)`, the state of a stream, and the one mechanism behind it.

A layer is `Streamable`: it tells per axis what it reads (`axis_map`), makes a fresh `State` and takes a
step. State belongs to the caller's `Stream`, never to the module, so any number of streams run over one
module. Which torch modules are pointwise, and so need no state, is told by `POINTWISE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.geometry import IDENTITY, AxisMap, Window


class State:
    """What one layer remembers between two chunks: tensors, counters, and its parts' states.

    tensors: buffers, each (N, C, ...) with the stream axis in its place; None before the first chunk.
    counts: numbers of steps received, emitted and so on.
    children: states of the layer's parts, in order.
    """

    def __init__(self, children: Iterable[State] = (), **counts: int) -> None:
        self.tensors: dict[str, Tensor | None] = {}
        self.counts: dict[str, int] = dict(counts)
        self.children: list[State] = list(children)

    def copy(self) -> State:
        """An independent copy; tensors are cloned and keep their graph."""
        twin = State((child.copy() for child in self.children), **self.counts)
        twin.tensors = {k: None if v is None else v.clone() for k, v in self.tensors.items()}
        return twin

    def __repr__(self) -> str:
        shapes = {k: None if v is None else tuple(v.shape) for k, v in self.tensors.items()}
        return f"State({self.counts}, tensors={shapes}, children={len(self.children)})"


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

    def output_channels(self, channels: int) -> int:
        """Channels of the output for an input of `channels`. Raises ValueError where they do not fit."""
        return channels

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time that it reads, along the stream axis 0."""
        return self.axis_map(0).latency

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


POINTWISE: dict[type[nn.Module], None] = dict.fromkeys(
    [
        nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU,
        nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish,
        nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Threshold, nn.Softmax2d,
        nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
    ]
)  # fmt: skip
"""torch modules whose output at a position reads the input at that position alone (dropout: in eval mode)."""


def is_pointwise(module: nn.Module) -> bool:
    """Whether a plain torch module needs no state (softmax and log-softmax only over channels)."""
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        return module.dim == 1
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


def output_channels(module: nn.Module, channels: int) -> int:
    """Output channels of any layer that streams, for an input of `channels`."""
    return module.output_channels(channels) if isinstance(module, Streamable) else channels


def unknown_layer(module: nn.Module) -> TypeError:
    """The error for a layer that cannot stream."""
    return TypeError(
        f"{type(module).__name__} is not a layer that streams: use the layers of mediaconv.nn, "
        "torch's pointwise activations, or convert known torch layers with mediaconv.nn.to_streaming"
    )


def step_window(
    x: Tensor,
    state: State,
    window: Window,
    apply: Callable[[Tensor], Tensor],
    *,
    axis: int,
    last: bool,
    padding_mode: str = "zeros",
    padding_value: float = 0.0,
) -> Tensor | None:
    """Windows along the stream axis that a chunk completes, through `apply`; None where there are none.

    The buffer holds what windows to come still read; `start` is the index in it where the next window
    begins (past its end where the stride is larger than the kernel). `apply` gets exactly the inputs of
    whole windows and must not pad along this axis.
    """
    dim = axis + 2
    counts = state.counts
    counts["received"] += x.shape[dim]
    held = state.tensors.get("buffer")
    held = x if held is None else torch.cat([held, x], dim)
    if not counts["started"]:
        if not last and counts["received"] < _inputs_to_start(window, padding_mode):
            state.tensors["buffer"] = held.clone() if held is x else held
            return None
        if last:
            _check_padding(window, counts["received"], padding_mode)
        held = _pad_start(held, window, dim, padding_mode, padding_value)
        counts["start"] = max(0, -window.left)
        counts["started"] = 1
    if last:
        count = window.output_length(counts["received"]) - counts["emitted"]
        missing = counts["start"] + (count - 1) * window.step + window.extent - held.shape[dim]
        if count > 0 and missing > 0:
            held = _pad_end(held, missing, window, counts["received"], dim, padding_mode, padding_value)
    else:
        room = held.shape[dim] + min(0, window.right) - counts["start"] - window.extent
        count = room // window.step + 1 if room >= 0 else 0
    start = counts["start"]
    y = None
    if count > 0:
        y = apply(held.narrow(dim, start, (count - 1) * window.step + window.extent))
        start += count * window.step
        counts["emitted"] += count
    keep = _inputs_to_end(window, padding_mode)
    cut = max(0, min(start, held.shape[dim] - keep))
    state.tensors["buffer"] = held.narrow(dim, cut, held.shape[dim] - cut).clone()
    counts["start"] = start - cut
    return y


def window_state() -> State:
    """The fresh state of `step_window`."""
    return State(received=0, emitted=0, start=0, started=0)


def _inputs_to_start(window: Window, padding_mode: str) -> int:
    """Inputs needed before the left padding is known."""
    if padding_mode == "reflect":
        return max(1, window.left + 1)
    return 1 if padding_mode == "replicate" and window.left > 0 else 0


def _inputs_to_end(window: Window, padding_mode: str) -> int:
    """Last inputs that the right padding is made of, kept though no window reads them any more."""
    if window.right <= 0 or padding_mode == "zeros":
        return 0
    return window.right + 1 if padding_mode == "reflect" else 1


def _check_padding(window: Window, received: int, padding_mode: str) -> None:
    if padding_mode == "reflect" and received and max(window.left, window.right) >= received:
        raise ValueError(
            f"padding_mode reflect: {max(window.left, window.right)} steps of padding need a longer input "
            f"than {received}; use replicate or zeros"
        )


def _constant(like: Tensor, size: int, dim: int, value: float) -> Tensor:
    shape = list(like.shape)
    shape[dim] = size
    return like.new_full(shape, value)


def _pad_start(held: Tensor, window: Window, dim: int, mode: str, value: float) -> Tensor:
    if window.left <= 0 or (mode != "zeros" and held.shape[dim] == 0):
        return held
    if mode == "zeros":
        return torch.cat([_constant(held, window.left, dim, value), held], dim)
    if mode == "replicate":
        return torch.cat([held.narrow(dim, 0, 1).expand(_with(held, dim, window.left)), held], dim)
    return torch.cat([held.narrow(dim, 1, window.left).flip(dim), held], dim)


def _pad_end(
    held: Tensor, missing: int, window: Window, received: int, dim: int, mode: str, value: float
) -> Tensor:
    if mode == "zeros":
        return torch.cat([held, _constant(held, missing, dim, value)], dim)
    end = held.shape[dim]
    if mode == "replicate":
        return torch.cat([held, held.narrow(dim, end - 1, 1).expand(_with(held, dim, missing))], dim)
    _check_padding(window, received, mode)
    return torch.cat([held, held.narrow(dim, end - 1 - missing, missing).flip(dim)], dim)


def _with(x: Tensor, dim: int, size: int) -> list[int]:
    shape = list(x.shape)
    shape[dim] = size
    return shape


def step_whole(
    x: Tensor, state: State, apply: Callable[[Tensor], Tensor], *, axis: int, last: bool
) -> Tensor | None:
    """Hold every chunk and apply the layer once, at the end: for layers that read the whole input."""
    held = state.tensors.get("buffer")
    held = x if held is None else torch.cat([held, x], axis + 2)
    state.tensors["buffer"] = None if last else (held.clone() if held is x else held)
    return apply(held) if last and held.shape[axis + 2] else None


def pad(x: Tensor, windows: Iterable[Window], mode: str = "zeros", value: float = 0.0) -> Tensor:
    """Pad (or cut, where padding is negative) every axis after the channels for its window."""
    amounts = [n for w in reversed(list(windows)) for n in (w.left, w.right)]
    if not any(amounts):
        return x
    if mode == "zeros":
        return F.pad(x, amounts, value=value)
    x = F.pad(x, [max(0, n) for n in amounts], mode=mode)
    return F.pad(x, [min(0, n) for n in amounts]) if min(amounts) < 0 else x


class Stream:
    """A module running over one input, chunk by chunk. Made by `stream`.

    Every `push` returns the outputs that became complete, shape (N, C, ...), possibly none along the
    stream axis; `flush` ends the input and returns the rest. Joined they equal the module on the whole.
    """

    def __init__(self, module: nn.Module, axis: int) -> None:
        self.module = module
        self.axis = axis
        self.map = axis_map(module, axis)
        self._state = init_state(module, axis)
        self._like: Tensor | None = None
        self._flushed = False

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time that it waits for; `math.inf` where it waits for the end."""
        return self.map.latency

    @property
    def receptive_field(self) -> int | float:
        """Inputs from the first to the last that one output reads."""
        return self.map.receptive_field

    @property
    def stride(self) -> Fraction:
        """Input steps an output step."""
        return self.map.stride

    def output_length(self, length: int) -> int:
        """Outputs in all for an input of `length` steps."""
        return self.map.output_length(length)

    def push(self, x: Tensor) -> Tensor:
        """Take the next chunk, (N, C, ...); any length along the stream axis, 0 too.

        Raises ValueError after `flush`, or for a chunk that does not continue the ones before it.
        """
        if self._flushed:
            raise ValueError("this stream was flushed: its input has ended; call reset() to begin another")
        self._check(x)
        return step(self.module, x, self._state, axis=self.axis, last=False)

    def flush(self) -> Tensor:
        """End the input and return the outputs that were waiting for more of it."""
        if self._flushed:
            raise ValueError("this stream was flushed already; call reset() to begin another")
        if self._like is None:
            raise ValueError(
                "nothing was pushed: a stream learns its shape from the first chunk (it may be empty)"
            )
        y = step(self.module, self._like, self._state, axis=self.axis, last=True)
        self._flushed = True
        return y

    def reset(self) -> None:
        """Forget everything: the next push begins a new input."""
        self._state = init_state(self.module, self.axis)
        self._like = None
        self._flushed = False

    def get_state(self) -> State:
        """A copy of the state, independent of what the stream does next."""
        return self._state.copy()

    def copy(self) -> Stream:
        """An independent stream over the same module, at the same place."""
        twin = Stream(self.module, self.axis)
        twin._state = self._state.copy()
        twin._like = self._like
        twin._flushed = self._flushed
        return twin

    def _check(self, x: Tensor) -> None:
        dim = self.axis + 2
        if x.ndim <= dim:
            raise ValueError(
                f"a chunk is (N, C, ...) with axis {self.axis} after the channels: got {tuple(x.shape)}"
            )
        if self._like is None:
            self._like = x.detach().narrow(dim, 0, 0).clone()
            return
        ours, came = list(self._like.shape), list(x.shape)
        ours[dim] = came[dim] = -1
        if ours != came or x.dtype != self._like.dtype or x.device != self._like.device:
            raise ValueError(
                f"a chunk of shape {tuple(x.shape)}, {x.dtype} on {x.device} does not continue a stream of "
                f"{tuple(self._like.shape)}, {self._like.dtype} on {self._like.device}"
            )


def stream(module: nn.Module, *, axis: int = 0) -> Stream:
    """Run a module over its input in chunks of any size, with the result of one call on the whole.

    module: a layer of this package, a torch activation, or a `Sequential` of them.
    axis: which axis after the channels the chunks come along; 0 is samples, frames or rows.
    Raises TypeError naming a layer that cannot stream.
    """
    return Stream(module, axis)
