"""Sound from one sample rate to another, in chunks, with the values of torchaudio.functional.resample.

torchaudio makes the kernels; here they are only applied. Its package is imported when a `Resample` is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.streaming.protocol import TotalStride
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import pad_by, step_window, window_state


@dataclass(frozen=True)
class Resampled(AxisMap):
    """Blocks of `new` outputs, each block reading one window of the input that moves by `orig`."""

    window: Window
    new: int

    @property
    def total_stride(self) -> Fraction:
        return Fraction(self.window.stride, self.new)

    @property
    def period(self) -> int:
        return self.new

    @property
    def input_period(self) -> int:
        return self.window.stride

    def output_length(self, length: int) -> int:
        # rounded up without a negative number: traced divisions do not floor
        return (self.new * length + self.window.stride - 1) // self.window.stride

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        return self.window.reads(np.unique(outputs // self.new))


class Resample(TotalStride, nn.Module):
    """Sound resampled by windowed sinc interpolation, as torchaudio.functional.resample does by default.

    orig_hz, new_hz: sample rates, whole numbers in Hz. Equal rates give the input.
    The latency is `width + orig - 1` input samples, with `orig = orig_hz / gcd` and
    `width = ceil(6 * orig / (0.99 * min(orig, new)))`.

    Shape: (N, C, T) to (N, C, ceil(T * new_hz / orig_hz)).
    """

    dims = 1

    def __init__(self, orig_hz: int, new_hz: int) -> None:
        super().__init__()
        if min(orig_hz, new_hz) < 1 or int(orig_hz) != orig_hz or int(new_hz) != new_hz:
            raise ValueError(
                f"sample rates: got {orig_hz} and {new_hz} Hz, expected whole numbers of at least 1"
            )
        gcd = math.gcd(int(orig_hz), int(new_hz))
        self.orig_hz, self.new_hz = int(orig_hz), int(new_hz)
        self._orig, self._new = self.orig_hz // gcd, self.new_hz // gcd
        self._kernels: dict[tuple[torch.dtype, torch.device], Tensor] = {}
        self._map: AxisMap = IDENTITY
        if self._orig == self._new:
            return
        kernel = self._kernel(torch.zeros((), dtype=torch.float32))
        extent = kernel.shape[-1]
        width = (extent - self._orig) // 2
        self._window = Window(extent, self._orig, left=width, right=width + self._orig - 1)
        self._map = Resampled(self._window, self._new)

    def _kernel(self, like: Tensor) -> Tensor:
        """Kernels of one block's outputs, (new, 1, extent), computed in the input's own type."""
        key = (like.dtype, like.device)
        if key not in self._kernels:
            from torchaudio.transforms import Resample as Kernels

            made = Kernels(self.orig_hz, self.new_hz, dtype=like.dtype)
            self._kernels[key] = made.kernel.to(like.device)
        return self._kernels[key]

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, T) to (N, C, T')."""
        if self._orig == self._new:
            return x
        if 0 in x.shape:
            return x.new_empty(self.output_shape(x.shape))
        y = self._blocks(pad_by(x, [self._window.left, self._window.right]))
        return y.narrow(2, 0, self._map.output_length(x.shape[2]))

    def _blocks(self, padded: Tensor) -> Tensor:
        """All whole blocks of an input that is padded."""
        n, c, length = padded.shape
        y = F.conv1d(padded.reshape(n * c, 1, length), self._kernel(padded), stride=self._orig)
        return y.transpose(1, 2).reshape(n, c, -1)

    def axis_map(self, axis: int) -> AxisMap:
        return self._map

    def init_state(self, axis: int) -> State:
        return State() if self._orig == self._new else window_state()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self._orig == self._new:
            return x
        emitted = state.counts["emitted"] * self._new
        y = step_window(x, state, self._window, self._blocks, axis=axis, last=last)
        if y is None:
            return x.new_empty((*x.shape[:2], 0))
        return y.narrow(2, 0, self._map.output_length(state.counts["received"]) - emitted) if last else y

    def extra_repr(self) -> str:
        return f"{self.orig_hz} Hz to {self.new_hz} Hz"
