"""Modules that take no input longer than some length, as by a learned table of positions; against torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mediaconv.nn import stream, to_streaming
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks

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


@pytest.mark.parametrize("way", [embedded, indexed, selected, gathered])
@pytest.mark.parametrize("example", [50, MOST])
def test_the_longest_input_is_known_from_the_table(way, example: int) -> None:
    module = of(way)
    graph = to_streaming(module, example=torch.zeros(1, 1, example), hold=True)
    for n in (MOST - 1, MOST):
        x = torch.randn(1, 1, n)
        with torch.no_grad():
            # float32 sums of a chunk run in another order
            torch.testing.assert_close(run_chunks(graph, x.split(7, 2)), module(x), rtol=0, atol=1e-6)
    words = f"length {MOST + 1}: the model takes up to {MOST} steps"
    with pytest.raises(ValueError, match=words):
        run_chunks(graph, torch.zeros(1, 1, MOST + 1).split(67, 2))
    with pytest.raises(ValueError, match=words):
        stream(graph, length=MOST + 1)
    assert f"it takes up to {MOST} steps" in graph.notes


def test_an_end_that_tracing_leaves_out_is_found_where_a_longer_input_was_refused() -> None:
    graph = to_streaming(of(asserted), example=torch.zeros(1, 1, MOST))
    with pytest.raises(ValueError, match=f"takes up to {MOST} steps"):
        run_chunks(graph, torch.zeros(1, 1, MOST + 1).split(67, 2))


def test_no_end_is_told_of_positions_that_never_leave_their_table() -> None:
    def clamped(m: Positions, x: Tensor) -> Tensor:
        return m.table(torch.arange(x.shape[2]).clamp(max=MOST - 1)).mT

    module, x = of(clamped), torch.randn(1, 1, 3 * MOST)
    graph = to_streaming(module, example=torch.zeros(1, 1, 50), hold=True)
    with torch.no_grad():
        # float32 sums of a chunk run in another order
        torch.testing.assert_close(run_chunks(graph, x.split(7, 2)), module(x), rtol=0, atol=1e-6)
