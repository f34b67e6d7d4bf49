"""A model that was exported for a batch of one, made to take several items where each comes out as alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mediaconv.nn.graph.capture.items_alone import items_alone


def free_batch(model: nn.Module, shape: Sequence[int]) -> None:
    """Let a model that was exported for a batch of one take several items, if each comes out as alone.

    shape: of one item with its batch, (1, ...). Raises ValueError where it does not. Why it fails for one
    item, too, is told by who captures it.
    """
    for number, hook in list(model._forward_pre_hooks.items()):
        if getattr(hook, "__name__", "") == "_check_input_constraints_pre_hook":  # torch.export's own
            del model._forward_pre_hooks[number]
            model._forward_pre_hooks_with_kwargs.pop(number, None)
    if not items_alone(model, shape[1:]) and _runs(model, shape):
        raise ValueError(
            "it was exported for a batch of 1 and does not take several frames at once: export it with a "
            "batch of any size (dynamic_shapes or dynamic_axes with 0)"
        )


def _runs(model: nn.Module, shape: Sequence[int]) -> bool:
    try:
        with torch.no_grad():
            model(torch.zeros(list(shape)))
    except Exception:  # whatever the model says
        return False
    return True
