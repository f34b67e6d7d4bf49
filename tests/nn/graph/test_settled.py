"""Sizes and numbers known while a module is exported: what `max` settles, and what constants hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.refusal import CaptureError


class Same(tn.Module):
    """Convolutions of stride 2 that pad as much as gives ceil(T / 2), as TensorFlow does."""

    def __init__(self, kernel_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = tn.ModuleList(tn.Conv1d(2, 2, k, stride=2) for k in kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            n, k = x.shape[-1], layer.kernel_size[0]
            amount = max((math.ceil(n / 2) - 1) * 2 + k - n, 0)
            x = layer(F.pad(x, (amount // 2, amount - amount // 2)))
        return x


class Given(tn.Module):
    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


def streamed(graph: tn.Module, x: Tensor) -> Tensor:
    s = nn.stream(graph, length=x.shape[2])
    parts = [s.push(part) for part in x.split([1, 0, 7, x.shape[2] - 8], 2)]
    return torch.cat([*parts, s.flush()], 2)


@pytest.mark.parametrize(("kernel_sizes", "lengths"), [((3,) * 8, (700, 768)), ((1, 2, 5, 3), (100, 107))])
@torch.no_grad()
def test_padding_that_is_never_negative_leaves_sizes_short(
    kernel_sizes: tuple[int, ...], lengths: tuple[int, ...]
) -> None:
    """With `Max` in the sizes the export of eight such layers takes hours."""
    torch.manual_seed(0)
    module = Same(kernel_sizes).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, lengths[0], dtype=torch.float64))
    sizes = [str(n.meta["val"].shape) for n in graph.a_capture()[1].graph.nodes if n.name.startswith("conv")]
    assert "Max" not in sizes[-1]
    assert len(sizes[-1]) < 60
    for length in lengths:
        x = torch.randn(1, 2, length, dtype=torch.float64)
        torch.testing.assert_close(streamed(graph, x), module(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_max_that_matters_stays() -> None:
    """What is cut at some lengths and padded at others is another number at each: both are seen."""
    module = Given(lambda x: F.pad(x, (0, max(3 - x.shape[-1] % 5, 0))))
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 40, dtype=torch.float64))
    for length in (40, 41, 44, 58):
        x = torch.randn(1, 2, length, dtype=torch.float64)
        assert torch.equal(streamed(graph, x), module(x)), length


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x.mean(torch.arange(1, x.ndim - 1).tolist(), keepdim=True) + x,
        lambda x: sum(x * int(i) for i in torch.arange(1, 4)),
        lambda x: x * float(torch.full((2,), 0.25)[1]),
        lambda x: x[:, : torch.prod(torch.tensor([1, 2])).item()],
    ],
)
@torch.no_grad()
def test_numbers_that_are_read_from_constants_are_known(way: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 3, 40, dtype=torch.float64)
    assert torch.equal(streamed(nn.to_streaming(Given(way), example=x), x), way(x))


def test_numbers_of_what_was_written_or_of_the_input_stay_unknown() -> None:
    def written(x: Tensor) -> Tensor:
        numbers = torch.zeros(3)
        numbers[1:].fill_(4.0)
        return x * float(numbers[2])

    for way in (written, lambda x: x * float(x.max()), lambda x: x * float(torch.rand(1))):
        with pytest.raises(CaptureError, match="depends on the values of a tensor"):
            nn.to_streaming(Given(way), example=torch.randn(1, 2, 40))
