"""Sizes and numbers known while a module is exported: what `max` settles, and what constants hold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import sympy
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F
from torch.utils._sympy.functions import Mod, PythonMod

from mediaconv import nn
from mediaconv.nn.graph.capture.sizes.multiples import quotient_of
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


class Windows(tn.Module):
    """Means over windows of 7 rows and columns, of images that are padded to whole ones, halved twice."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            h, w = x.shape[2:]
            x = F.pad(x, (0, (7 - w % 7) % 7, 0, -h % 7))
            n, c, rows, columns = x.shape
            windows = x.view(n, c, rows // 7, 7, columns // 7, 7)
            windows = windows - windows.mean((3, 5), keepdim=True)
            x = windows.reshape(n, c, rows, columns)[:, :, :h, :w]
            x = F.pad(x, (0, w % 2, 0, h % 2))
            x = x[:, :, ::2, ::2] + x[:, :, 1::2, 1::2]
        return x[:, :, : x.shape[2] - x.shape[2] % 2]


@torch.no_grad()
def test_padding_to_whole_windows_leaves_sizes_short() -> None:
    """With the remainders in the sizes they double with each such layer, and the export takes minutes."""
    module = Windows()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 60, 33, dtype=torch.float64))
    captured = graph.a_capture()[1].graph
    sizes = [str(n.meta["val"].shape) for n in captured.nodes if isinstance(n.meta.get("val"), Tensor)]
    assert "Mod" not in "".join(sizes)
    assert max(map(len, sizes)) < 200
    for length in (60, 61, 75):
        x = torch.randn(1, 2, length, 33, dtype=torch.float64)
        torch.testing.assert_close(streamed(graph, x), module(x), rtol=0, atol=1e-12)


def test_quotients_are_the_remainders_at_every_length() -> None:
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    for k, c in itertools.product((2, 3, 7), range(-9, 20)):
        written = [Mod(c + 9 * k - Mod(n, k), k), PythonMod(c - n, k), n + c - Mod(n, k), n + c + Mod(n, k)]
        for expr in written:
            short = quotient_of(expr)
            assert [expr.subs(n, v) for v in range(20)] == [short.subs(n, v) for v in range(20)], expr
    assert str(quotient_of(n + Mod(n, 2))) == "2*(((n + 1)//2))"


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
