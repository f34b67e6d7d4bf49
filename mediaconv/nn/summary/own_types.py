"""Models that run in the types they were written for alone, made to take and to give float64 around them.

A literal `.float()` in a forward, or weights in two types, refuse float64 weights: such a model is measured
as it is, between two changes of type.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from mediaconv.nn.layers.cast import Cast
from mediaconv.nn.layers.containers import Sequential
from mediaconv.nn.streaming.protocol import Streamable, each_child

TYPES = (torch.float32, torch.float16, torch.bfloat16)


def keeps_types(module: nn.Module) -> bool:
    """Whether a module is one of `in_own_types`, whose parameters stay in the types that they have."""
    return getattr(module, "_keeps_types", False)


def in_own_types(module: nn.Module, runs: Callable[[nn.Module], bool]) -> nn.Module:
    """The module as it is where that `runs` in float64 or in no type, else between changes of type.

    runs: whether a module can be tried. What a stack consists of keeps its names.
    """
    if runs(module):
        return module
    return next((made for made in (_between(module, t) for t in TYPES) if runs(made)), module)


def _between(module: nn.Module, dtype: torch.dtype) -> nn.Sequential:
    made = Sequential() if isinstance(module, Streamable) else nn.Sequential()
    layers = each_child(module) if isinstance(module, nn.Sequential) else [("model", module)]
    made.add_module("own type", Cast(dtype))
    for name, layer in layers:
        made.add_module(name, layer)
    made.add_module("as given", Cast(torch.float64))
    made.__dict__["_keeps_types"] = True
    return made.train(module.training)
