"""Modules that go another way at some lengths or sizes: refused there, streamed elsewhere."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn import stream, to_streaming
from mediaconv.nn.streaming.protocol import run_chunks


class Branching(nn.Module):
    """Twice the input at lengths that are no multiple of three, padded where the width is odd."""

    def __init__(self, dims: int = 1) -> None:
        super().__init__()
        self.conv = (nn.Conv1d, nn.Conv2d)[dims - 1](4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % 3:
            x = x * 2
        if x.ndim == 4 and x.shape[3] % 2:
            x = F.pad(x, (0, 1))
        return self.conv(x)


@pytest.mark.parametrize(("length", "words"), [(24, "3 n"), (25, "3 n + 1 or 3 n + 2")])
def test_lengths_at_which_a_module_goes_another_way_are_refused(length: int, words: str) -> None:
    module = Branching().double().eval()
    graph = to_streaming(module, example=torch.randn(1, 4, length, dtype=torch.float64))
    assert f"lengths {words} alone" in graph.notes[-1]
    for n in range(5, 40):
        x = torch.randn(1, 4, n, dtype=torch.float64)
        s = stream(graph)
        parts = [s.push(x[..., :4]), s.push(x[..., 4:])]
        if (n % 3 == 0) == (length % 3 == 0):
            ours = torch.cat([*parts, s.flush()], 2)
            torch.testing.assert_close(ours, module(x), rtol=0, atol=1e-12)
        else:
            with pytest.raises(ValueError, match=re.escape(f"for lengths {words} alone")):
                s.flush()
            with pytest.raises(ValueError, match="goes another way"):
                graph.check_length(n)


class Resized(nn.Module):
    """A segmentation head: a low layer resized to the size of a high one, both to the input's."""

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = nn.Conv1d(2, 3, 3, 2, 1), nn.Conv1d(3, 3, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.high(x)
        low = F.interpolate(self.low(high), size=high.shape[2:], mode="linear")
        return F.interpolate(high + low, size=x.shape[2:], mode="linear")


def test_sizes_resized_to_each_other_hold_at_lengths_that_divide() -> None:
    module = Resized().double().eval()
    s = stream(module, example=torch.randn(1, 2, 24, dtype=torch.float64))
    for length in range(20, 29):
        x = torch.randn(1, 2, length, dtype=torch.float64)
        s.reset()
        parts = [s.push(x[..., :5]), s.push(x[..., 5:])]
        if length % 4:
            with pytest.raises(ValueError, match="by no whole factor"):
                s.flush()
        else:
            torch.testing.assert_close(torch.cat([*parts, s.flush()], 2), module(x), rtol=0, atol=1e-12)


def test_an_input_that_is_too_short_is_told_how_long_one_must_be() -> None:
    program = torch.export.export(
        nn.Conv1d(4, 4, 9), (torch.randn(1, 4, 24),), dynamic_shapes=({2: torch.export.Dim.AUTO},)
    )
    graph = to_streaming(program)
    # a program keeps the conditions of its export: an output of a single step is none of it
    with pytest.raises(ValueError, match="length 3: as captured, the model takes 10 or more"):
        graph.check_length(3)
    graph.check_length(10)


def test_other_sizes_at_which_a_module_goes_another_way_are_refused() -> None:
    graph = to_streaming(Branching(2).double().eval(), example=torch.randn(1, 4, 12, 8, dtype=torch.float64))
    assert stream(graph).push(torch.randn(1, 4, 6, 10, dtype=torch.float64)).shape[3] == 10
    with pytest.raises(ValueError, match=r"sizes .*goes another way"):
        stream(graph).push(torch.randn(1, 4, 6, 9, dtype=torch.float64))


def test_padding_to_a_multiple_streams_at_every_length() -> None:
    class Padded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool1d(F.pad(x, (0, -x.shape[2] % 3)), 3)

    graph = to_streaming(Padded(), example=torch.randn(1, 2, 24))
    assert graph.notes == []
    for n in (1, 2, 3, 24, 25, 26):
        graph.check_length(n)


def test_pools_that_round_up_stream_at_every_length() -> None:
    """torch.export relies on parities of the length for them, and short inputs fail: neither is a limit."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv1d(1, 4, 3, stride=2), nn.Conv1d(4, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool1d(self.first(x), 3, 2, ceil_mode=True)
            return F.max_pool1d(self.second(x), 3, 2, ceil_mode=True)

    module = Pooled().double().eval()
    graph = to_streaming(module, example=torch.randn(1, 1, 64, dtype=torch.float64))
    assert graph.notes == []
    for n in range(11, 80):
        graph.check_length(n)
        x = torch.randn(1, 1, n, dtype=torch.float64)
        s = stream(graph)
        ours = torch.cat([s.push(x[..., :9]), s.push(x[..., 9:]), s.flush()], 2)
        torch.testing.assert_close(ours, module(x), rtol=0, atol=1e-12)


class CheckedUntraced(torch.nn.Module):
    """Refuses some lengths by a check that it leaves out while it is traced."""

    def __init__(self, multiple: int, least: int) -> None:
        super().__init__()
        self.conv, self.multiple, self.least = torch.nn.Conv1d(1, 1, 3, padding=1), multiple, least

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and (x.shape[2] % self.multiple or x.shape[2] < self.least):
            raise RuntimeError(f"wrong length {x.shape[2]}")
        return self.conv(x)


@pytest.mark.parametrize(("multiple", "least"), [(32, 1), (8, 40), (1, 9)])
def test_lengths_that_the_module_refuses_untraced_are_refused(multiple: int, least: int) -> None:
    model = CheckedUntraced(multiple, least).eval()
    graph = to_streaming(model, example=torch.zeros(1, 1, 64))
    for n in (1, 2, 8, 9, 10, 32, 40, 63, 64, 65, 96, 1000, 1024):
        x = torch.randn(1, 1, n)
        if n % multiple or n < least:
            with pytest.raises(RuntimeError, match="wrong length"):
                model(x)
            with pytest.raises(ValueError, match=f"length {n}: "):
                run_chunks(graph, x.split(7, 2))
        else:
            # float32 sums of a chunk run in another order
            torch.testing.assert_close(run_chunks(graph, x.split(7, 2)), model(x), rtol=0, atol=1e-6)


class Resizing(nn.Module):
    """Brought back to the input's size, which is by no whole factor at odd lengths."""

    def forward(self, x: Tensor) -> Tensor:
        return x + F.interpolate(x[:, :, ::2] * 2, size=x.shape[2])


def test_lengths_at_which_a_resize_is_uneven_are_told_as_such() -> None:
    graph = to_streaming(Resizing().eval(), example=torch.zeros(1, 1, 64))
    words = "lengths 2 n alone: at others what it resizes is by no whole factor"
    assert any(words in note for note in graph.notes), graph.notes
    with pytest.raises(ValueError, match=r"length 63: .*lengths 2 n alone; .*by no whole factor"):
        graph.check_length(63)


class Otherwise(nn.Module):
    """Twice the input where it is longer than so many steps."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) * (2 if x.shape[2] > self.most else 1)


@pytest.mark.parametrize("most", [300, 3000])
def test_a_way_that_only_long_inputs_go_is_tried_there_and_refused(most: int) -> None:
    module = Otherwise(most)
    graph = to_streaming(module, example=torch.zeros(1, 1, 110))
    assert any(f"lengths up to {most} alone" in note for note in graph.notes)
    for n in (most - 1, most, most + 1, 4 * most):
        x = torch.randn(1, 1, n)
        if n <= most:
            assert torch.equal(run_chunks(graph, x.split(50, 2), 0), module(x))
        else:
            with pytest.raises(ValueError, match=f"for lengths up to {most} alone"):
                run_chunks(graph, x.split(50, 2), 0)


class SameByAnotherWay(nn.Module):
    """Doubled in two ways, which the number of all values chooses: as an algorithm is chosen."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x if x.numel() < 3000 else x * 2


def test_a_way_that_only_large_inputs_go_is_no_condition_where_it_gives_the_same() -> None:
    graph = to_streaming(SameByAnotherWay(), example=torch.zeros(1, 1, 20, 5))
    assert not graph.notes
    x = torch.randn(1, 1, 1000, 5)
    assert torch.equal(run_chunks(graph, x.split(90, 2), 0), x * 2)


class Cut(nn.Module):
    def __init__(self, start: int, end: int | None) -> None:
        super().__init__()
        self.bounds = slice(start, end)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)[..., self.bounds]


@pytest.mark.parametrize(
    ("start", "end", "most"),
    [(0, 10**9, 10**9 - 1), (2, 1000, 999), (-1000, -3, 999), (-(10**9), 10**9, 10**9 - 1)],
)
def test_a_slice_to_a_place_past_the_end_is_open_for_inputs_that_do_not_reach_it(
    start: int, end: int, most: int
) -> None:
    module = Cut(start, end)
    graph = to_streaming(module, example=torch.zeros(1, 2, 64))
    assert [note.split(" alone")[0] for note in graph.notes] == [f"lengths up to {most}"]
    for n in (6, 64, 200, 999, 1001, 3000):
        x = torch.randn(1, 2, n)
        if n <= most:
            assert torch.equal(run_chunks(graph, x.split(90, 2), 0), module(x))
        else:
            with pytest.raises(ValueError, match=f"for lengths up to {most} alone"):
                run_chunks(graph, x.split(90, 2), 0)


def test_conditions_are_made_once_for_all_lengths_that_are_asked() -> None:
    """An exported step asks at thousands."""
    graph = to_streaming(Branching().eval(), example=torch.zeros(1, 4, 40))
    made = graph.conditions()
    assert made is graph.conditions()
    assert [n for n in range(40, 60) if graph.takes(n)] == [n for n in range(40, 60) if n % 3]
    assert graph.conditions() is made
    assert [n for n in range(40, 60) if graph.captured_at(42).takes(n)] == [42, 45, 48, 51, 54, 57]


class Narrow(nn.Module):
    """Goes another way at lengths that are odd, no multiple of three, short or long: four conditions."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[2]
        factor = (2 if n % 2 else 1) * (3 if n % 3 else 1) * (5 if n > 500 else 1) * (7 if n < 20 else 1)
        return x * factor


def test_all_conditions_on_lengths_are_told_at_once_in_words() -> None:
    graph = to_streaming(Narrow(), example=torch.randn(1, 1, 60))
    words = "6 n from 20 to 500"
    told = {n: _refusal(graph, n) for n in range(1, 700)}
    assert [n for n, why in told.items() if not why] == list(range(24, 501, 6))
    assert all(f"for lengths {words} alone" in why for why in told.values() if why)


def _refusal(graph: nn.Module, length: int) -> str:
    try:
        graph.check_length(length)
    except ValueError as error:
        return str(error)
    return ""
