"""`mediaconv.testing` as these tests use it: the formula must be met exactly unless a case says less."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from mediaconv import testing
from mediaconv.nn import stream
from mediaconv.testing import check_streaming

verify_contract = partial(check_streaming, measure="exact")


def verify_numbers(
    module: nn.Module, shape: Sequence[int], plan: Sequence[int], *, axis: int, seed: int
) -> None:
    """The contract's values in float32; when outputs come, and how states are kept, is alike in all types."""
    module, x = testing.prepared(module, shape, torch.float32, seed)
    with torch.no_grad():
        whole = module(x)
        testing.check_shapes(module, x, whole, axis)
        fresh = stream(module, axis=axis)
        testing.check_overwritten(fresh, testing.split(x, plan, axis), whole, None)
        testing.check_interleaved(module, fresh, x, plan, whole, None)
        testing.check_one_step(fresh, x, whole, None)
