"""Whether a module computes each item of a batch by itself, found by running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def items_alone(call: Callable[[Tensor], Any], shape: Sequence[int], *, count: int = 3) -> bool:
    """Whether `call` gives for several random items, (count, *shape), what it gives for each by itself.

    No where it raises for several: a batch of one is written into it.
    """
    items = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            together = _tensors(call(items))
            alone = [_tensors(call(item[None])) for item in items]
        return all(
            torch.allclose(y, torch.cat(parts), rtol=1e-4, atol=1e-5 * float(y.abs().max()))
            for y, *parts in zip(together, *alone, strict=True)
        )
    except Exception:  # whatever torch says of the sizes
        return False


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if hasattr(result, "values") else result
    return [value for value in values if isinstance(value, Tensor)]
