"""Models that pad or cut in front by what follows from the input's length: a capture for each phase of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn import for_length, stream, to_streaming
from mediaconv.nn.graph.entry import streaming_graph


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's padding along the first axis after the channels, as timm and others compute it."""
    n = x.shape[2]
    total = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
    return F.pad(x, [0, 0] * (x.ndim - 3) + [total // 2, total - total // 2])


class Same(nn.Module):
    """A strided layer with a shortcut of another kernel, and a pool, padded as TensorFlow does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 3, 3, 2), nn.Conv1d(2, 3, 5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(same(x, 3, 2))) + self.b(same(x, 5, 2))
        return F.max_pool1d(same(x, 3, 2), 3, 2)


class Front(nn.Module):
    """Zeros in front to a multiple of the stride, by a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.cat([x.new_zeros(x.shape[0], 2, -x.shape[2] % 3), x], 2))


class Centred(nn.Module):
    """Padded to a multiple of four on both sides, and cut to the input's length after."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv1d(2, 3, 4, 4), nn.ConvTranspose1d(3, 2, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        n, left = x.shape[2], -x.shape[2] % 4 // 2
        y = self.up(self.down(F.pad(x, (left, -n % 4 - left))))
        return y[:, :, left : left + n]


class Odd(nn.Module):
    """Another way at odd lengths, that torch.export writes down as a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (1, 0)) if x.shape[2] % 2 else x)


class FromTheEnd(nn.Module):
    """A shortcut cut to the size of a layer without padding, from the end, as WaveNet's residuals are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, dilation=4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        cut = x[:, :, -y.shape[2] :]
        return y + cut * 2 + x[:, :, 8 - x.shape[2] :]


class Multiples(nn.Module):
    """Runs at multiples of four alone: what it adds is as long as its input only there."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv1d(2, 3, 4, 4), nn.ConvTranspose1d(3, 2, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(self.down(x))


def ragged(x: Tensor, s) -> Tensor:
    rest = x.shape[2] - 5
    parts = x.split([1, 0, 4, *[7] * (rest // 7), rest % 7], 2)
    return torch.cat([*map(s.push, parts), s.flush()], 2)


@pytest.mark.parametrize(("kind", "period"), [(Same, 4), (Front, 3), (Centred, 4), (Odd, 2)])
def test_every_phase_of_the_length_streams_as_the_whole(kind: type[nn.Module], period: int) -> None:
    torch.manual_seed(0)
    module = kind().double().eval()
    graph = to_streaming(module, example=torch.randn(1, 2, 24, dtype=torch.float64))
    for n in range(30, 30 + period + 1):
        x = torch.randn(1, 2, n, dtype=torch.float64)
        y = ragged(x, stream(graph, length=n))
        torch.testing.assert_close(y, module(x), rtol=0, atol=1e-12)
        assert for_length(graph, n).output_length(n) == y.shape[2]


def test_a_length_that_is_not_known_or_another_is_refused() -> None:
    example = torch.randn(1, 2, 24)
    graph = to_streaming(Same().eval(), example=example)
    (note,) = graph.notes
    assert note.startswith("lengths 4 n: what it pads or cuts in front follows from the input's length")
    with pytest.raises(ValueError, match="give length="):
        stream(graph)
    told = to_streaming(Same().eval(), example=example, length=26)
    assert told.notes == []
    s = stream(told)
    s.push(torch.randn(1, 2, 27))
    with pytest.raises(ValueError, match=r"length 27: .* for lengths 4 n \+ 2"):
        s.flush()


def test_a_length_that_was_told_in_vain_asks_for_another_input() -> None:
    graph = to_streaming(Multiples().eval(), example=torch.randn(1, 2, 24))
    with pytest.raises(
        ValueError, match=r"^length 26: .* lengths 4 n alone.*: give an input of such a length$"
    ):
        for_length(graph, 26)
    program = torch.export.export(
        Odd().eval(), (torch.randn(1, 2, 24),), dynamic_shapes=({2: torch.export.Dim.AUTO},)
    )
    with pytest.raises(ValueError, match=r"^length 27: .* lengths 2 n.*: give an input of such a length$"):
        for_length(to_streaming(program, example=torch.randn(1, 2, 24)), 27)


def test_the_causal_twin_reads_nothing_that_comes_later() -> None:
    torch.manual_seed(0)
    module = Same().double().eval()
    twin = streaming_graph(module, torch.randn(1, 2, 24, dtype=torch.float64), into_past=True)
    assert twin.latency == 0
    for n in (28, 29, 30, 31):
        x = torch.randn(1, 2, n, dtype=torch.float64)
        y = twin(x)
        assert y.shape == module(x).shape
        torch.testing.assert_close(ragged(x, stream(twin, length=n)), y, rtol=0, atol=1e-12)
        changed = x.clone()
        changed[:, :, 17:] += 1
        assert torch.equal(twin(changed)[:, :, :5], y[:, :, :5])  # outputs at 0, 4, ..., 16


def test_a_cut_counted_from_the_end_by_a_size_is_at_a_fixed_place() -> None:
    module = FromTheEnd().double().eval()
    s = stream(module, example=torch.randn(1, 2, 60, dtype=torch.float64))
    for length in (9, 12, 60, 97):
        x = torch.randn(2, 2, length, dtype=torch.float64)
        s.reset()
        torch.testing.assert_close(ragged(x, s), module(x), rtol=1e-12, atol=1e-12)
    assert s.latency == 8
