"""Layers as steps of fixed shape: every step takes as many inputs and gives as many outputs as the last.

A stream's own step gives what is complete, more at one time and less at another. Here outputs come late by
a number of steps that is known beforehand: the first ones lie before the signal, at negative positions.
Positions outside the signal are made padding at every layer again, since a padding is zero and not the
convolution of zeros. No files, no ONNX: those are in `step`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.geometry import Window
from mediaconv.nn.layers.containers import MERGES, Branches, Sequential
from mediaconv.nn.layers.gates import Gated
from mediaconv.nn.layers.norms import ChannelLayerNorm, RMSNorm
from mediaconv.nn.layers.pooling import _AvgPool
from mediaconv.nn.layers.resample import Resample
from mediaconv.nn.layers.reshape import Reshape
from mediaconv.nn.layers.resize import _Upsample
from mediaconv.nn.layers.transposed import _ConvTranspose
from mediaconv.nn.streaming.protocol import axis_map, init_state
from mediaconv.nn.streaming.window import Span, Windowed, pad

DIM = 2
"""The stream axis of a tensor (N, C, T, ...)."""
INSIDE = Span(0, 2**20, None)
"""Windows far from both ends of the signal."""
UNKNOWN_LENGTH = 2**40
"""More than any signal has: its length while it goes on."""

Length = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Level:
    """What passes between two layers in one step.

    first: position of the first one in step 0, at most 0. count: how many a step. length: of the whole signal
        at this level, from that of the input (int64 tensors).
    """

    first: int
    count: int
    length: Length


class Clock(NamedTuple):
    """What all layers of a step are told. steps: taken so far. length: of the input, int64 scalars."""

    steps: Tensor
    length: Tensor


class FixedLayer(nn.Module):
    """One layer, or layers of layers, in steps of fixed shape."""

    out: Level

    def initial(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """An output and the state before the first step, all zeros, for inputs like `x`."""
        state: dict[str, Tensor] = {}
        clock = Clock(torch.zeros((), dtype=torch.int64), torch.tensor(UNKNOWN_LENGTH))
        self._declare(x, state, "")
        y, _ = self(x, iter(state.values()), clock)
        return torch.zeros_like(y), state

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        """Put this layer's zeros into `state`, by name; an output for an input like `x`."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        """Outputs of one step and the state after it; takes its own tensors from `state` in order."""
        raise NotImplementedError


def _zeros(x: Tensor, count: int) -> Tensor:
    return x.new_zeros(*x.shape[:DIM], count, *x.shape[DIM + 1 :])


class FixedPointwise(FixedLayer):
    """A layer without state; it may repeat each position `factor` times."""

    def __init__(self, layer: nn.Module, before: Level, factor: int) -> None:
        super().__init__()
        self.layer = layer
        self.out = Level(before.first * factor, before.count * factor, lambda n: before.length(n) * factor)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        return self.layer(x)

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        return self.layer(x), []


class FixedWindow(FixedLayer):
    """A sliding window: the inputs that later windows read are kept, those outside the signal made padding.

    apply: all outputs of whole windows. each: outputs a window. shift: outputs of window 0 before output 0.
    """

    def __init__(
        self,
        layer: nn.Module,
        window: Window,
        before: Level,
        apply: Callable[[Tensor], Tensor],
        *,
        mode: str = "zeros",
        fill: float = 0.0,
        each: int = 1,
        shift: int = 0,
        length: Length | None = None,
    ) -> None:
        super().__init__()
        self.layer, self.window, self.before, self.apply_windows = layer, window, before, apply
        self.mode, self.fill = mode, fill
        stride = window.stride
        windows = before.count // stride
        ahead = max(0, window.extent - 1 - window.left, window.left if mode == "reflect" else 0)
        first = (before.first + before.count - 1 - ahead) // stride - windows + 1
        begin = first * stride - window.left
        behind = {"zeros": 0, "replicate": 1, "reflect": 2}[mode] * max(0, window.right)
        self.kept = max(0, before.first - begin + behind)
        self.begin = begin - (before.first - self.kept)
        self.read = (windows - 1) * stride + window.extent
        self.divides = isinstance(layer, _AvgPool) and layer.divisor_override is None
        self.out = Level(first * each - shift, windows * each, length or self._length)

    def _length(self, n: Tensor) -> Tensor:
        window, length = self.window, self.before.length(n)
        stride, room = window.stride, length + window.left + window.right - window.extent
        if not window.ceil:
            return torch.where((room >= 0) & (length > 0), room.div(stride, rounding_mode="floor") + 1, 0)
        count = (1 - (-room).div(stride, rounding_mode="floor")).clamp(min=0)
        count = count - ((count > 0) & ((count - 1) * stride >= length + window.left)).long()
        return torch.where(length > 0, count, 0)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        if self.kept:
            state[f"{prefix}inputs"] = _zeros(x, self.kept)
        held = torch.cat([_zeros(x, self.kept), x], DIM)
        return self.apply_windows(held.narrow(DIM, self.begin, self.read))

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        held = torch.cat([next(state), x], DIM) if self.kept else x
        size = self.kept + self.before.count
        start = clock.steps * self.before.count + (self.before.first - self.kept)
        position = torch.arange(size, device=x.device) + start
        length = self.before.length(clock.length)
        padded = self._padded(held, position, start, length)
        y = self.apply_windows(padded.narrow(DIM, self.begin, self.read))
        if self.divides:
            y = y * self._share(position, length).to(y.dtype).reshape(-1, *[1] * (y.ndim - DIM - 1))
        return y, [held.narrow(DIM, size - self.kept, self.kept)] if self.kept else []

    def _padded(self, held: Tensor, position: Tensor, start: Tensor, length: Tensor) -> Tensor:
        if self.mode == "zeros":
            inside = (position >= 0) & (position < length)
            return torch.where(inside.reshape(-1, *[1] * (held.ndim - DIM - 1)), held, self.fill)
        if self.mode == "reflect":
            position = torch.where(position < 0, -position, position)
            position = torch.where(position >= length, 2 * (length - 1) - position, position)
        else:
            position = torch.minimum(position.clamp(min=0), length - 1)
        return held.index_select(DIM, (position - start).clamp(0, held.shape[DIM] - 1))

    def _share(self, position: Tensor, length: Tensor) -> Tensor:
        """Kernel size over the positions that a mean counts, a window each."""
        window = self.window
        left, right = (window.left, window.right) if self.layer.count_include_pad else (0, 0)
        counted = ((position >= -left) & (position < length + right)).double()
        taps = counted.narrow(0, self.begin, self.read).unfold(0, window.extent, window.stride)
        return window.kernel / taps[:, :: window.dilation].sum(1).clamp(min=1)


class FixedTransposed(FixedLayer):
    """A transposed window: the inputs whose shares reach into later outputs are kept."""

    def __init__(self, layer: _ConvTranspose, before: Level) -> None:
        super().__init__()
        self.layer, self.before = layer, before
        m = layer.maps[0]
        self.factor = m.stride
        self.kept = (m.extent - 1) // self.factor
        constant = m.extent - self.factor - m.left - m.right

        def length(n: Tensor) -> Tensor:
            return torch.where(before.length(n) > 0, before.length(n) * self.factor + constant, 0)

        self.out = Level(before.first * self.factor - m.left, before.count * self.factor, length)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        if self.kept:
            state[f"{prefix}inputs"] = _zeros(x, self.kept)
        return self._outputs(torch.cat([_zeros(x, self.kept), x], DIM))

    def _outputs(self, held: Tensor) -> Tensor:
        y = self.layer._cut(held, None, skip=0)
        short = held.shape[DIM] * self.factor - y.shape[DIM]
        if short > 0:
            y = F.pad(y, [*[0, 0] * (y.ndim - DIM - 1), 0, short])
        return self.layer._add_bias(y.narrow(DIM, self.kept * self.factor, self.out.count))

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        held = torch.cat([next(state), x], DIM) if self.kept else x
        size = self.kept + self.before.count
        position = torch.arange(size, device=x.device) + clock.steps * self.before.count
        position = position + (self.before.first - self.kept)
        inside = (position >= 0) & (position < self.before.length(clock.length))
        masked = torch.where(inside.reshape(-1, *[1] * (x.ndim - DIM - 1)), held, 0.0)
        return self._outputs(masked), [held.narrow(DIM, size - self.kept, self.kept)] if self.kept else []


class FixedChain(FixedLayer):
    """Layers one after the other."""

    def __init__(self, names: Sequence[str], layers: Sequence[FixedLayer], out: Level) -> None:
        super().__init__()
        self.names, self.layers, self.out = list(names), nn.ModuleList(layers), out

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        for name, layer in zip(self.names, self.layers, strict=True):
            x = layer._declare(x, state, f"{prefix}{name}.")  # type: ignore[operator]
        return x

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        after: list[Tensor] = []
        for layer in self.layers:
            x, kept = layer(x, state, clock)
            after += kept
        return x, after


class FixedBranches(FixedLayer):
    """Parallel layers; those that come early wait for the latest."""

    def __init__(self, names: Sequence[str], paths: Sequence[FixedLayer], merge: str) -> None:
        super().__init__()
        self.names, self.paths, self.merge = list(names), nn.ModuleList(paths), merge
        first = min(path.out.first for path in paths)
        self.delays = [path.out.first - first for path in paths]
        self.out = Level(first, paths[0].out.count, paths[0].out.length)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        parts = []
        for name, path, delay in zip(self.names, self.paths, self.delays, strict=True):
            y = path._declare(x, state, f"{prefix}{name}.")  # type: ignore[operator]
            if delay:
                state[f"{prefix}{name}.waiting"] = _zeros(y, delay)
            parts.append(y)
        return MERGES[self.merge](parts)

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        parts, after = [], []
        for path, delay in zip(self.paths, self.delays, strict=True):
            y, kept = path(x, state, clock)
            after += kept
            if delay:
                queue = torch.cat([next(state), y], DIM)
                y = queue.narrow(DIM, 0, self.out.count)
                after.append(queue.narrow(DIM, self.out.count, delay))
            parts.append(y)
        return MERGES[self.merge](parts), after


def fix(module: nn.Module, before: Level, path: str = "") -> FixedLayer:
    """A module that streams as steps of fixed shape, given what comes in.

    Raises ValueError naming a layer that has no such step, as it reads the whole input.
    """
    where = path or type(module).__name__
    if isinstance(module, Sequential):
        return _chain(list(module.parts()), before, path)
    if isinstance(module, Gated):
        return _chain([("conv", module.conv), ("gate", module.gate)], before, path)
    if isinstance(module, Branches):
        names, modules = zip(*module.parts(), strict=True)
        paths = [fix(m, before, f"{path}.{n}".strip(".")) for n, m in zip(names, modules, strict=True)]
        return FixedBranches(names, paths, module.merge)
    if isinstance(module, _ConvTranspose):
        return FixedTransposed(module, before)
    if isinstance(module, Resample) and axis_map(module).total_stride != 1:
        return _resample(module, before)
    if isinstance(module, _Upsample) and module.windows[0].kernel > 1:
        return _upsample(module, before)
    if isinstance(module, Windowed) and not isinstance(module, _Upsample) and not axis_map(module, 0).whole:
        return _window(module, before)
    if axis_map(module, 0).whole:
        raise ValueError(
            f"{where}: {type(module).__name__} reads the whole input, so it has no step to export"
        )
    if isinstance(module, ChannelLayerNorm | RMSNorm):
        return FixedPointwise(_SpelledNorm(module), before, 1)
    if not init_state(module, 0).counts and not init_state(module, 0).children:
        return FixedPointwise(module, before, int(1 / axis_map(module, 0).total_stride))
    raise ValueError(f"{where}: {type(module).__name__} has no step of fixed shape yet")


class _SpelledNorm(nn.Module):
    """A norm over channels in elementary operations: ONNX has it over the last axis only."""

    def __init__(self, norm: ChannelLayerNorm | RMSNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm, shape = self.norm, (-1, *[1] * (x.ndim - 2))
        if isinstance(norm, ChannelLayerNorm):
            x = x - x.mean(1, keepdim=True)
        eps = torch.finfo(x.dtype).eps if norm.eps is None else norm.eps
        y = x / ((x * x).mean(1, keepdim=True) + eps).sqrt()
        y = y if norm.weight is None else y * norm.weight.reshape(shape)
        return y if norm.bias is None else y + norm.bias.reshape(shape)


def _chain(parts: Sequence[tuple[str, nn.Module]], before: Level, path: str) -> FixedChain:
    layers: list[FixedLayer] = []
    for name, module in parts:
        layers.append(fix(module, before, f"{path}.{name}".strip(".")))
        before = layers[-1].out
    return FixedChain([name for name, _ in parts], layers, before)


def _window(layer: Windowed, before: Level) -> FixedWindow:
    window = layer.windows[0]
    each = layer.outputs_of(INSIDE, 1)

    def length(n: Tensor) -> Tensor:
        return before.length(n).div(window.stride, rounding_mode="floor") * each

    return FixedWindow(
        layer,  # type: ignore[arg-type]
        window,
        before,
        lambda x: _means(layer, x) if isinstance(layer, _AvgPool) else layer.apply_windows(x, INSIDE),
        mode=layer.padding_mode,
        fill=layer.fill,
        each=each,
        length=length if isinstance(layer, Reshape) else None,
    )


def _means(layer: _AvgPool, x: Tensor) -> Tensor:
    """As the layer's own windows, without `divisor_override`, which ONNX does not know."""
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[layer.dims - 1]
    padded = pad(x, layer.windows, skip=0)
    total = pool(padded, layer.kernel_size, layer.stride) * math.prod(layer.kernel_size)
    return layer.divided(total, x, INSIDE)


def _upsample(layer: _Upsample, before: Level) -> FixedWindow:
    factor = int(1 / axis_map(layer).total_stride)
    causal = layer.windows[0].right == 0
    return FixedWindow(
        layer,
        layer.windows[0],
        before,
        lambda x: layer.apply_windows(x, INSIDE),
        mode="replicate",
        each=factor,
        shift=0 if causal else factor // 2,
        length=lambda n: before.length(n) * factor,
    )


def _resample(layer: Resample, before: Level) -> FixedWindow:
    window, new = layer._window, layer._new

    def length(n: Tensor) -> Tensor:
        return -(-before.length(n) * new).div(window.stride, rounding_mode="floor")

    return FixedWindow(layer, window, before, layer._blocks, each=new, length=length)
