"""Copies of modules, whatever they hold. Changes no module and knows no layers."""

from __future__ import annotations

import copy

from torch import Tensor, nn


def copy_module(module: nn.Module) -> nn.Module:
    """`copy.deepcopy` of a module, also of one that keeps a computed tensor.

    `torch.nn.utils.weight_norm` keeps the weight that its last call computed, and deepcopy refuses a tensor
    with a graph behind it: such tensors are copied without their graph. The next call computes them anew.
    """
    memo: dict[int, object] = {}
    for part in module.modules():
        for value in (*vars(part).values(), *part._buffers.values()):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(module, memo)
