"""A model that was exported for a batch of one, made to take several items where each comes out as alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def free_batch(model: nn.Module, shape: Sequence[int]) -> None:
    """Let a model that was exported for a batch of one take several items, if each comes out as alone.

    shape: of one item with its batch, (1, ...). Raises ValueError where it does not.
    """
    for number, hook in list(model._forward_pre_hooks.items()):
        if getattr(hook, "__name__", "") == "_check_input_constraints_pre_hook":  # torch.export's own
            del model._forward_pre_hooks[number]
            model._forward_pre_hooks_with_kwargs.pop(number, None)
    items = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            together = _tensors(model(items))
            alone = [_tensors(model(item[None])) for item in items]
        same = all(
            torch.allclose(y, torch.cat(parts), rtol=1e-4, atol=1e-5 * float(y.abs().max()))
            for y, *parts in zip(together, *alone, strict=True)
        )
    except Exception:  # a size of one is written into the model: whatever torch says of it
        same = False
    if not same:
        raise ValueError(
            "it was exported for a batch of 1 and does not take several frames at once: export it with a "
            "batch of any size (dynamic_shapes or dynamic_axes with 0)"
        )


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if hasattr(result, "values") else result
    return [value for value in values if isinstance(value, Tensor)]
