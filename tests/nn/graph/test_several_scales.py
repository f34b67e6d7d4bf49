"""Paths of several scales that meet at a skip's size, and what is resized or made for the whole length."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sympy
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn import stream, to_streaming
from mediaconv.nn.graph.lengths.conditions import Conditions
from mediaconv.nn.graph.lengths.length_words import described
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.symbols import AxisSize


class Unet(nn.Module):
    """Strided convolutions down, and up to the size of each skip, which is joined or added."""

    def __init__(self, mode: str, join: str, depth: int = 2, dims: int = 1) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
        wide = 4 if join == "add" else 8
        self.down = nn.ModuleList(conv(4, 4, 3, 2, 1) for _ in range(depth))
        self.up = nn.ModuleList(conv(wide, 4, 3, padding=1) for _ in range(depth))
        self.mode, self.join = mode, join

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.relu(down(x))
        for up in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode=self.mode)
            x = up(x + skip if self.join == "add" else torch.cat([x, skip], 1))
        return x


class Pooled(nn.Module):
    """A mean over all positions, brought back to the size of a path that is coarser than the input."""

    def __init__(self, stride: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 4, 3, stride, 1)
        self.out = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        mean = F.interpolate(F.adaptive_avg_pool2d(y, 1), size=y.shape[2:], mode="bilinear")
        return self.out(torch.cat([y, mean], 1))


class Called(nn.Module):
    """A function of the input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def ragged(x: Tensor, module: nn.Module, length: int | None = None) -> Tensor:
    s = stream(module, length=length)
    parts = [s.push(part) for part in x.split([1, 0, 5, x.shape[2] - 6], 2)]
    return torch.cat([*parts, s.flush()], 2)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


@pytest.mark.parametrize(("mode", "join"), [("nearest", "cat"), ("linear", "add")])
def test_a_path_that_is_brought_to_a_skips_size_streams_at_whole_multiples(mode: str, join: str) -> None:
    module = Unet(mode, join).double().eval()
    graph = to_streaming(module, example=noise(1, 4, 24))
    assert any("lengths 4 n alone" in note for note in graph.notes)
    assert graph.latency < 24
    for n in (8, 12, 40):
        x = noise(2, 4, n)
        with torch.no_grad():
            torch.testing.assert_close(ragged(x, graph), module(x), rtol=0, atol=1e-12)
    for n in (9, 26, 39):
        with pytest.raises(ValueError, match=rf"length {n}: .* lengths 4 n alone.*give length={n}"):
            ragged(noise(1, 4, n), graph)


def test_another_length_that_is_known_is_held_to_the_end() -> None:
    module = Unet("nearest", "add").double().eval()
    graph = to_streaming(module, example=noise(1, 4, 24))
    for n in (24, 26):
        x = noise(1, 4, n)
        with torch.no_grad():
            torch.testing.assert_close(ragged(x, graph, n), module(x), rtol=0, atol=1e-12)
    odd = to_streaming(module, example=noise(1, 4, 26))
    assert any("at lengths 4 n" in note and "held to the end" in note for note in odd.notes)
    with pytest.raises(CaptureError, match=r"no whole factor .*causal=True"):
        to_streaming(module, example=noise(1, 4, 26), causal=True)


def test_images_are_brought_to_a_skips_size_along_both_axes() -> None:
    module = Unet("bilinear", "cat", dims=2).float().eval()
    graph = to_streaming(module, example=noise(1, 4, 16, 12, dtype=torch.float32))
    for shape in ((1, 4, 24, 12), (2, 4, 16, 20)):
        x = noise(*shape, dtype=torch.float32)
        with torch.no_grad():
            torch.testing.assert_close(ragged(x, graph), module(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="lengths 4 n alone"):
        ragged(noise(1, 4, 18, 12, dtype=torch.float32), graph)


def test_a_mean_over_all_meets_a_coarser_path_at_the_end() -> None:
    module = Pooled().double().eval()
    graph = to_streaming(module, example=noise(1, 4, 24, 8))
    assert any("held to the end" in note for note in graph.notes)
    for n in (24, 31, 50):
        x = noise(1, 4, n, 8)
        with torch.no_grad():
            torch.testing.assert_close(ragged(x, graph), module(x), rtol=0, atol=1e-12)
    with pytest.raises(CaptureError, match="needs the whole input, and causal=True"):
        to_streaming(module, example=noise(1, 4, 24, 8), causal=True)


def made_for_the_whole_length(x: Tensor) -> Tensor:
    ramp = torch.linspace(-1, 1, x.shape[2], dtype=x.dtype)
    curve = torch.logspace(0, 1, x.shape[2], base=2.0, dtype=x.dtype)
    return torch.cat([x * curve + ramp, ramp.expand(x.shape[0], 1, -1)], 1)


def across_channels(x: Tensor) -> Tensor:
    """Attention across the channels of images, whose scores are sums over all positions."""
    y = F.normalize(x.flatten(2), dim=-1)
    return ((y @ y.mT).softmax(-1) @ x.flatten(2)).reshape(x.shape)


def test_attention_across_channels_is_held_to_the_end() -> None:
    module = Called(across_channels)
    graph = to_streaming(module, example=noise(1, 4, 12, 5))
    assert any("sums over all positions" in note for note in graph.notes)
    for axis, shape in ((0, (2, 4, 17, 5)), (1, (2, 4, 5, 17))):
        x = noise(*shape)
        s = stream(graph, axis=axis)
        y = torch.cat([*(s.push(p) for p in x.split([1, 5, 11], axis + 2)), s.flush()], axis + 2)
        torch.testing.assert_close(y, module(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, scale_factor=2, mode="linear", align_corners=True),
        lambda x: F.interpolate(x[..., ::2], size=x.shape[2], mode="linear") * x,
        lambda x: x[..., ::2] * torch.linspace(0, 3, (x.shape[2] + 1) // 2, dtype=x.dtype),
        made_for_the_whole_length,
    ],
    ids=["corners", "odd sizes", "coarse ramp", "ramps"],
)
def test_what_depends_on_the_whole_length_is_held_to_the_end(function: Callable[[Tensor], Tensor]) -> None:
    module = Called(function)
    graph = to_streaming(module, example=noise(1, 4, 25))
    assert any("held to the end" in note for note in graph.notes)
    for n in (25, 32, 47):
        x = noise(2, 4, n)
        torch.testing.assert_close(ragged(x, graph), module(x), rtol=0, atol=0)


@pytest.mark.parametrize("stride", [3, 16])
def test_the_lengths_at_which_a_factor_is_whole_are_told_from_a_short_example(stride: int) -> None:
    class Back(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, stride, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + F.interpolate(self.conv(x), size=x.shape[2:])

    graph = to_streaming(Back().eval(), example=noise(1, 2, 50, dtype=torch.float32), hold=True)
    assert any(f"(at lengths {stride} n it is one)" in note for note in graph.notes), graph.notes


def test_lengths_of_which_long_ones_fail_are_told_one_by_one() -> None:
    n = sympy.Symbol("n", integer=True, positive=True)
    sizes = [AxisSize(1), AxisSize(2), AxisSize(n)]
    conditions = Conditions([sympy.Eq(12 * ((n - 1) // 16 + 1), n)], sizes, 2)
    met = [k for k in range(1, 10_000) if 12 * ((k - 1) // 16 + 1) == k]
    assert described(conditions, [0], (1, 2, 50)) == " or ".join(map(str, met))
