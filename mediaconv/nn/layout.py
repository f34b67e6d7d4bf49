"""In which order a tensor's values lie in memory, and keeping it. Changes no values and knows no layers.

torch has names for channels that lie side by side in 2D and 3D (`torch.channels_last`), and none in 1D: here
sound is *packed* where they do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mediaconv.nn.memory import concatenate


def memory_format(x: Tensor) -> torch.memory_format:
    """Channels last where `x` lies so and in no other way, otherwise contiguous."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim)
    if last is None or x.is_contiguous() or not x.is_contiguous(memory_format=last):
        return torch.contiguous_format
    return last


def is_packed(x: Tensor) -> bool:
    """Whether the channels of sound (N, C, T) lie side by side, and not also its samples."""
    return x.ndim == 3 and x.stride(1) == 1 and x.stride(2) > 1


def join(parts: Sequence[Tensor], dim: int) -> Tensor:
    """torch.cat along a stream axis, packed where the last part is: torch keeps that in 2D and 3D alone."""
    if is_packed(parts[-1]):
        return torch.cat([part.transpose(1, 2) for part in parts], 1).transpose(1, 2)
    return concatenate(parts, dim, memory_format(parts[-1]))
