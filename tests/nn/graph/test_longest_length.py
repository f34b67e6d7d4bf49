"""Modules that take no input longer than some length, as by a learned table of positions; against torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mediaconv.nn import to_streaming
from mediaconv.nn.graph.refusal import CaptureError

MOST = 200


class Positions(nn.Module):
    """A convolution, with a table of `MOST` positions added in one of the ways that modules read one."""

    def __init__(self, way: Callable[[Positions, Tensor], Tensor]) -> None:
        super().__init__()
        self.table = nn.Embedding(MOST, 1)
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.way(self, x)


def embedded(m: Positions, x: Tensor) -> Tensor:
    return m.table(torch.arange(x.shape[2])).mT


def indexed(m: Positions, x: Tensor) -> Tensor:
    return m.table.weight[torch.arange(x.shape[2])].mT


def selected(m: Positions, x: Tensor) -> Tensor:
    return torch.index_select(m.table.weight, 0, torch.arange(x.shape[2])).mT


def gathered(m: Positions, x: Tensor) -> Tensor:
    return torch.gather(m.table.weight, 0, torch.arange(x.shape[2])[:, None]).mT


def asserted(m: Positions, x: Tensor) -> Tensor:
    if not torch.compiler.is_compiling():
        assert x.shape[2] <= MOST, f"at most {MOST} steps"
    return m.table.weight[0]


def raised(m: Positions, x: Tensor) -> Tensor:
    if x.shape[2] > MOST:
        raise ValueError(f"at most {MOST} steps")
    return m.table.weight[0]


WAYS = [embedded, indexed, selected, gathered, asserted, raised]


def of(way: Callable[[Positions, Tensor], Tensor]) -> Positions:
    torch.manual_seed(0)
    return Positions(way).eval()


@pytest.mark.parametrize("way", WAYS)
def test_an_example_that_the_module_refuses_is_told_in_our_words(way) -> None:
    module, x = of(way), torch.zeros(1, 1, 600)
    with pytest.raises((IndexError, RuntimeError, AssertionError, ValueError)) as own:
        module(x)
    with pytest.raises(CaptureError) as told:
        to_streaming(module, example=x, hold=True)
    assert "called with an input (N, C, ...) of (1, 1, 600) it fails: " in str(told.value)
    assert str(own.value).splitlines()[0].rstrip(".") in str(told.value)
