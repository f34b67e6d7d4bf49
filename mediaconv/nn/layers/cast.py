"""A change of the type of numbers as a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mediaconv.nn.streaming.protocol import Pointwise


class Cast(Pointwise, nn.Module):
    """Every value in another type.

    Shape: (N, C, ...) to the same.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)

    def extra_repr(self) -> str:
        return str(self.dtype).removeprefix("torch.")
