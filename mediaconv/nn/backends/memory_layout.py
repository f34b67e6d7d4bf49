"""In which order a tensor's values lie in memory, and keeping it. Changes no values and knows no layers.

torch has names for channels that lie side by side in 2D and 3D (`torch.channels_last`), and none in 1D: here
sound is *packed* where they do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mediaconv.nn.backends.large_pages import SHORT_BYTES, concatenate


def memory_format(x: Tensor) -> torch.memory_format:
    """Channels last where `x` lies so and in no other way, otherwise contiguous."""
    if x.ndim < 4 or x.is_contiguous():
        return torch.contiguous_format
    last = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return last if x.is_contiguous(memory_format=last) else torch.contiguous_format


def is_packed(x: Tensor) -> bool:
    """Whether the channels of sound (N, C, T) lie side by side, and not also its samples."""
    return x.ndim == 3 and x.stride(1) == 1 and x.stride(2) > 1


def join(parts: tuple[Tensor, ...], dim: int, like: Tensor | None = None) -> Tensor:
    """torch.cat along any axis, packed along sound's where the last part is: torch keeps that in 2D, 3D.

    like: a tensor whose layout the result has, instead of the last part.
    """
    last = parts[-1] if like is None else like
    if last.is_contiguous() and last.nbytes < SHORT_BYTES:
        return torch.cat(parts, dim)
    if is_packed(last) and dim == 2:
        return torch.cat([part.transpose(1, 2) for part in parts], 1).transpose(1, 2)
    return concatenate(parts, dim, memory_format(last))
