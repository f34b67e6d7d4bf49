"""Fresh memory on a CPU for tensors of many megabytes, in large pages. Changes no values and knows no layers.

The system hands out memory in pages of 4 KiB, and prepares each when it is first touched: filling a fresh
tensor of a film's chunk takes several times as long as filling it again. NumPy asks for pages of 2 MiB
(madvise(2), MADV_HUGEPAGE) and torch does not, so the memory is NumPy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mediaconv.nn.backends.reused_memory import current

LARGE_BYTES = 2**22
"""Size from which NumPy asks for large pages; what is smaller, malloc mostly has at hand."""
SHORT_BYTES = 2**18
"""Size below which copying, or asking how best to copy, costs more than holding what was copied from."""


def empty(shape: Sequence[int], dtype: torch.dtype, memory_format: torch.memory_format) -> Tensor:
    """torch.empty on the CPU; of a stream's reused memory, while that is in use.

    memory_format: contiguous, or channels last for the shape's number of axes.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE_BYTES or torch.compiler.is_compiling():
        return torch.empty(tuple(shape), dtype=dtype, device="cpu", memory_format=memory_format)
    reused = current()
    flat = torch.from_numpy(np.empty(size, np.uint8) if reused is None else reused.take(size)).view(dtype)
    if memory_format == torch.contiguous_format:
        return flat.view(*shape)
    n, c, *lengths = shape
    return flat.view(n, *lengths, c).movedim(-1, 1)


def concatenate(parts: Sequence[Tensor], dim: int, memory_format: torch.memory_format) -> Tensor:
    """torch.cat. The result has the memory format named, where memory in large pages is what holds it."""
    if sum(part.nbytes for part in parts) < LARGE_BYTES:
        return torch.cat(list(parts), dim)
    first = parts[0]
    recorded = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    plain = first.device.type != "cpu" or torch.compiler.is_compiling() or recorded
    if plain or any(part.dtype != first.dtype for part in parts):
        return torch.cat(list(parts), dim)
    shape = list(first.shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    return torch.cat(list(parts), dim, out=empty(shape, first.dtype, memory_format))
