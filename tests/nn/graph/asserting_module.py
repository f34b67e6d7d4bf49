"""A module with assertions. It stands apart, for pytest writes those of test modules anew."""

from __future__ import annotations

from torch import Tensor
from torch import nn as tn


class Asserted(tn.Module):
    """Asserts on values, of both kinds, before its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = tn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        assert (x.abs() < 100).all(), "too large"
        assert not x.isnan().any()
        return self.conv(x)
