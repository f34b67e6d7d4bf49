"""Film in long chunks: not joined with what comes before them, results in memory that was used before."""

from __future__ import annotations

import gc
import itertools
import threading

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.backends import algorithms, large_pages
from mediaconv.nn.backends.reused_memory import ReusedMemory, current
from mediaconv.nn.streaming import stream as stream_module
from mediaconv.nn.streaming import window as window_module
from mediaconv.testing import TOLERANCE, check_streaming, run, split

LAYOUTS = (torch.contiguous_format, torch.channels_last_3d)


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some frames of 40x40 take the way of long ones."""
    monkeypatch.setattr(window_module, "LARGE_BYTES", 1)
    monkeypatch.setattr(large_pages, "LARGE_BYTES", 2**12)
    monkeypatch.setattr(stream_module, "SHORT_BYTES", 1)
    monkeypatch.setattr(algorithms, "BAND_BYTES", 0)  # bands of a few rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_that_are_not_joined_equal_conv3d(dtype: torch.dtype, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    for channels, stride, dilation, causal in itertools.product((2, 6), (1, 2, 3), (1, 2), (False, True)):
        cls = nn.CausalConv3d if causal else nn.Conv3d
        module = cls(channels, 3, 3, (stride, 2, 1), "same", (dilation, 1, 2)).to(dtype)
        x = torch.randn(2, channels, 14, 40, 40, dtype=dtype).contiguous(memory_format=layout)
        before, after = (2 * dilation, 0) if causal else (dilation, dilation)
        padded = F.pad(x.double(), (2, 2, 1, 1, before, after))
        weights = module.weight.double(), module.bias.double()
        expected = F.conv3d(padded, *weights, (stride, 2, 1), 0, (dilation, 1, 2))
        # sums of up to 162 products, rounded once to the type
        limit = TOLERANCE[dtype] * float(expected.detach().abs().max())
        for plan in ((5, 5, 4), (1, 0, 2, 7), (1,) * 14):
            with torch.inference_mode():
                y = run(nn.stream(module), split(x, plan, 0))
            torch.testing.assert_close(y.double(), expected, rtol=0, atol=limit)


@pytest.mark.parametrize("padding", ["same", 0, (2, 1, 0), (0, 9, 9)])
@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_long_chunks_keep_the_contract(padding: str | int | tuple, mode: str) -> None:
    module = nn.Conv3d(1, 2, (4, 3, 2), padding=padding, padding_mode=mode)
    for dtype in torch.float32, torch.float64:
        check_streaming(module, (1, 1, 11, 34, 32), (3, 0, 1, 7), dtype=dtype, measure="no")


def test_no_frame_of_a_long_chunk_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[int] = []
    join = window_module.join

    def spy(parts: tuple[Tensor, ...], dim: int, like: Tensor | None = None) -> Tensor:
        joined.append(sum(part.shape[dim] for part in parts))
        return join(parts, dim, like)

    monkeypatch.setattr(window_module, "join", spy)
    monkeypatch.setattr(algorithms, "join", spy)
    s = nn.stream(nn.CausalConv3d(2, 2, 3))
    with torch.inference_mode():
        for chunk in torch.rand(1, 2, 24, 40, 40).split(8, 2):
            assert s.push(chunk).shape[2] == 8
    assert joined
    assert max(joined) == 2  # what the next chunk needs of this one


def test_gradients_of_long_chunks_are_those_of_the_whole() -> None:
    module = nn.Conv3d(2, 3, 3, padding=1).double()
    x = torch.randn(1, 2, 9, 33, 33, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 3, 9, 33, 33, dtype=torch.float64)
    wanted = torch.autograd.grad((module(x) * weights).sum(), [x, module.weight])
    got = torch.autograd.grad((run(nn.stream(module), x.split(4, 2)) * weights).sum(), [x, module.weight])
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_is_used_again_only_when_nothing_lies_in_it(layout: torch.memory_format) -> None:
    module = nn.Sequential(nn.CausalConv3d(2, 3, 3), torch.nn.ReLU(), nn.Conv3d(3, 2, 3, padding=1)).eval()
    x = torch.randn(1, 2, 40, 40, 40).contiguous(memory_format=layout)
    with torch.inference_mode():
        whole = module(x)
        outputs = run(nn.stream(module), x.split(4, 2))  # all are held until the end
        s, places, seen, at = nn.stream(module), [], None, 0
        for chunk in x.split(4, 2):
            y = s.push(chunk)  # the one before is held while this is made
            if seen is not None:
                torch.testing.assert_close(seen, whole[:, :, at - seen.shape[2] : at], rtol=0, atol=1e-5)
            places.append(y.data_ptr())
            at, seen = at + y.shape[2], y[:, :, :]  # a view holds it too
            del y
    torch.testing.assert_close(outputs, whole, rtol=0, atol=1e-5)
    assert len(set(places[1:])) < len(places) - 1, "every output took fresh memory"
    assert all(a != b for a, b in itertools.pairwise(places))


def test_what_holds_memory_keeps_it() -> None:
    memory = ReusedMemory()
    with memory:
        x = large_pages.empty((1, 2, 40, 40, 40), torch.float32, torch.contiguous_format)
        place, array = x.data_ptr(), x[:, :, 5:].numpy()
        del x
        gc.collect()
        y = large_pages.empty((1, 2, 40, 40, 40), torch.float32, torch.contiguous_format)
        assert y.data_ptr() != place
        del array
        z = large_pages.empty((1, 2, 20, 40, 41), torch.float32, torch.channels_last_3d)
        assert z.data_ptr() == place
        assert place % 64 == 0
        with ReusedMemory() as inner:
            assert current() is inner
        assert current() is memory
        others: list[ReusedMemory | None] = []
        thread = threading.Thread(target=lambda: others.append(current()))
        thread.start()
        thread.join()
        assert others == [None]
    assert current() is None


def test_memory_that_is_not_used_for_two_chunks_is_given_back() -> None:
    memory = ReusedMemory()
    with memory:
        large_pages.empty((2**20,), torch.float32, torch.contiguous_format)
    assert len(memory._blocks) == 1
    for _ in range(3):
        with memory:
            large_pages.empty((2**12,), torch.float32, torch.contiguous_format)
    assert [len(block.memory) for block in memory._blocks] == [2**14]
