"""Padding as a layer of its own, for torch models that pad before they convolve. It learns nothing."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mediaconv.nn.geometry import Window
from mediaconv.nn.streaming.protocol import TotalStride
from mediaconv.nn.streaming.window import Span, Windowed, pad

MODES = ("zeros", "replicate", "reflect")


class Pad(Windowed, TotalStride, nn.Module):
    """Steps added at both ends of each axis, or cut off where a number is negative.

    padding: two numbers an axis, before and after, the last axis first (torch's order).
    mode: `zeros` (of `value`), `replicate` or `reflect`.

    Shape: (N, C, ...) to the same, each axis longer by its two numbers.
    """

    def __init__(self, padding: Sequence[int], mode: str = "zeros", value: float = 0.0) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
        if not padding or len(padding) % 2:
            raise ValueError(f"padding: got {len(padding)} numbers, expected two an axis")
        self.padding, self.padding_mode, self.fill = tuple(padding), mode, value
        self.dims = len(padding) // 2
        pairs = zip(self.padding[-2::-2], self.padding[-1::-2], strict=True)
        self.windows = tuple(
            Window(1, left=left, right=right, mirrored=mode == "reflect") for left, right in pairs
        )

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        y = pad(x, self.windows, self.padding_mode, self.fill, None if span is None else span.axis)
        return y.clone() if y is x else y  # a stream's buffer, which is not the caller's to change

    def extra_repr(self) -> str:
        return f"{self.padding}, mode={self.padding_mode}"
