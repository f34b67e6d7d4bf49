"""conv1d with few outputs: several neighbouring samples are computed as if they were channels of one.

oneDNN fills a vector register with output channels, of which sound has one or two: the rest of each register
is idle. With 16 phases and channels together it is full, for a kernel that is that much longer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_CHANNELS = 4
"""Output channels up to which a register is filled by phases."""
LEAST_OUTPUTS = 2**15
"""Outputs below which the kernels of all phases take longer to make than they save."""
_LANES = 16


def phased_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """conv1d without padding, stride, dilation or groups; of 1 to 2 channels a third of the time.

    `x` must be finite: an output's own window is multiplied, and up to 15 samples more by zero.
    """
    n, channels, length = x.shape
    out_channels, _, taps = weight.shape
    phases = _LANES // out_channels
    count, extent = length - taps + 1, taps + phases - 1
    blocks = -(-count // phases)
    if blocks * phases > count:
        x = F.pad(x, (0, blocks * phases - count))
    shifted = _shifted(weight, phases).transpose(1, 2).reshape(out_channels * phases, channels, extent)
    biases = None if bias is None else bias.repeat_interleave(phases)
    y = torch.conv1d(x, shifted, biases, phases)
    y = y.view(n, out_channels, phases, blocks).transpose(2, 3).reshape(n, out_channels, -1)
    return y if blocks * phases == count else y[:, :, :count].contiguous()


def _shifted(weight: Tensor, phases: int) -> Tensor:
    """(C', C, K) to (C', C, phases, K + phases - 1): the kernel of phase s begins at place s."""
    out_channels, channels, taps = weight.shape
    extent = taps + phases - 1
    row = F.pad(weight, (0, phases)).unsqueeze(2)  # one longer than extent, so each begins one later
    rows = row.expand(-1, -1, phases, -1).reshape(out_channels, channels, -1)
    return rows[:, :, : phases * extent].view(out_channels, channels, phases, extent)
