"""A convolution of sound as one product of matrices over its windows, where that takes less time than oneDNN.

The channels of a position lie side by side, so that a window is a row as it lies in memory. Which is quicker
follows from sizes alone, never from a clock, so that a run gives the same values again. Weights that are kept
in the order of such rows are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

START_US = 32.0
"""Microseconds that a call of oneDNN takes longer to begin than one of BLAS: 40 to 45 against 10."""
WEIGHTS_A_US = 8000
"""Weights that BLAS packs in a microsecond, in every call of more than one output."""
SUMS_A_US = 330_000
"""Products by which BLAS comes a microsecond behind oneDNN."""
COPIED_A_US = 3750
"""Numbers of windows that overlap, which are copied out, a microsecond."""


def product_pays(outputs: int, shape: Sequence[int]) -> bool:
    """Whether the product takes less time. outputs: of the whole batch; shape: of the weight, (C', C, K).

    Measured on one core of AMD EPYC (AVX-512) with kernels of 1 to 16, 1 to 1,024 channels and 1 to 20,000
    outputs: of 512 to 256 channels, kernel 16, oneDNN is quicker at any number but one; of 128 to 256, kernel
    1, the product takes a third of the time at 1 to 16 outputs, and half at 64.
    """
    out_channels, channels, taps = shape
    weights = out_channels * channels * taps
    sums = outputs * weights
    behind = sums / SUMS_A_US
    if outputs > 1:
        behind += weights / WEIGHTS_A_US
    if taps > 1:
        behind += outputs * channels * taps / COPIED_A_US
    return behind < START_US


def rows_of_weight(weight: Tensor) -> Tensor:
    """(C', C, K) as rows in the order of windows, (C', K * C)."""
    return weight.transpose(1, 2).reshape(weight.shape[0], -1).contiguous()


def window_product(x: Tensor, rows: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor:
    """conv1d without padding or groups, (N, C, T) to (N, C', T'). rows: `rows_of_weight`.

    The result is packed (mediaconv.nn.backends.memory_layout), as `x` had better be.
    """
    windows = x.transpose(1, 2).contiguous()
    n, length, channels = windows.shape
    taps = rows.shape[1] // channels
    if taps > 1 or stride > 1:
        count = (length - (taps - 1) * dilation - 1) // stride + 1
        item, position = length * channels, stride * channels
        if dilation == 1:
            windows = windows.as_strided((n, count, taps * channels), (item, position, 1))
        else:
            shape, strides = (n, count, taps, channels), (item, position, dilation * channels, 1)
            windows = windows.as_strided(shape, strides).reshape(n, count, taps * channels)
    if n == 1:  # of two axes BLAS takes rows that overlap, or copies them itself
        return F.linear(windows[0], rows, bias).t().unsqueeze(0)
    return F.linear(windows, rows, bias).transpose(1, 2)
