"""Windows and transposed windows as steps of fixed shape: positions outside the signal are made padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.export.fixed import DIM, Clock, FixedLayer, Length, Level, zeros
from mediaconv.nn.geometry import Window
from mediaconv.nn.layers.pooling import _AvgPool
from mediaconv.nn.layers.transposed import _ConvTranspose


class FixedWindow(FixedLayer):
    """A sliding window: the inputs that later windows read are kept, those outside the signal made padding.

    apply: all outputs of whole windows. each: outputs a window. shift: outputs of window 0 before output 0.
    dim: the dimension of the stream.
    """

    def __init__(
        self,
        layer: nn.Module | None,
        window: Window,
        before: Level,
        apply: Callable[[Tensor], Tensor],
        *,
        mode: str = "zeros",
        fill: float = 0.0,
        each: int = 1,
        shift: int = 0,
        length: Length | None = None,
        dim: int = DIM,
    ) -> None:
        super().__init__()
        self.dim = dim
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
            state[f"{prefix}inputs"] = zeros(x, self.kept, self.dim)
        held = torch.cat([zeros(x, self.kept, self.dim), x], self.dim)
        return self.apply_windows(held.narrow(self.dim, self.begin, self.read))

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        held = torch.cat([next(state), x], self.dim) if self.kept else x
        size = self.kept + self.before.count
        start = clock.steps * self.before.count + (self.before.first - self.kept)
        position = torch.arange(size, device=x.device) + start
        length = self.before.length(clock.length)
        padded = self._padded(held, position, start, length)
        y = self.apply_windows(padded.narrow(self.dim, self.begin, self.read))
        if self.divides:
            y = y * self._share(position, length).to(y.dtype).reshape(-1, *[1] * (y.ndim - self.dim - 1))
        return y, [held.narrow(self.dim, size - self.kept, self.kept)] if self.kept else []

    def _padded(self, held: Tensor, position: Tensor, start: Tensor, length: Tensor) -> Tensor:
        if self.mode == "zeros":
            inside = (position >= 0) & (position < length)
            return torch.where(inside.reshape(-1, *[1] * (held.ndim - self.dim - 1)), held, self.fill)
        if self.mode == "reflect":
            position = torch.where(position < 0, -position, position)
            position = torch.where(position >= length, 2 * (length - 1) - position, position)
        else:
            position = torch.minimum(position.clamp(min=0), length - 1)
        return held.index_select(self.dim, (position - start).clamp(0, held.shape[self.dim] - 1))

    def _share(self, position: Tensor, length: Tensor) -> Tensor:
        """Kernel size over the positions that a mean counts, a window each."""
        window = self.window
        assert self.layer is not None
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
            count = before.length(n) * self.factor + constant
            return torch.where(before.length(n) > 0, count, 0).clamp(min=0)

        self.out = Level(before.first * self.factor - m.left, before.count * self.factor, length)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        if self.kept:
            state[f"{prefix}inputs"] = zeros(x, self.kept)
        return self._outputs(torch.cat([zeros(x, self.kept), x], DIM))

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
