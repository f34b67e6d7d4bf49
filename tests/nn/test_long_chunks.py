"""Film in long chunks: not joined with what comes before them, results in memory that was used before."""

from __future__ import annotations

import copy
import gc
import itertools
import threading

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mediaconv import nn
from mediaconv.nn.backends import algorithms, continued_film, large_pages
from mediaconv.nn.backends.reused_memory import ReusedMemory, current
from mediaconv.nn.streaming import stream as stream_module
from mediaconv.nn.streaming import window as window_module
from mediaconv.testing import TOLERANCE, check_streaming, run, split

LAYOUTS = (torch.contiguous_format, torch.channels_last_3d)
SIZE = 1, 3, 24, 36, 40


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


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_film_that_continues_has_the_bits_of_its_join(batch: int, bias: bool) -> None:
    for earlier, later, stride, dilation in itertools.product((1, 2, 5), (1, 5, 9), (1, 2, 3), (1, 2)):
        if earlier + later < 2 * dilation + 1:
            continue
        x = torch.randn(batch, 4, earlier + later, 33, 35).contiguous(memory_format=torch.channels_last_3d)
        w, b = torch.randn(6, 2, 3, 3, 2), torch.randn(6) if bias else None
        arguments = (w, b, (stride, 2, 1), (0, 1, 0), (dilation, 1, 2), 2)
        parts = x[:, :, :earlier], x[:, :, earlier:]
        ours = continued_film.continued_conv3d(*parts, *arguments)
        assert ours.is_contiguous(memory_format=torch.channels_last_3d)
        assert torch.equal(ours, algorithms.banded_conv3d(x, *arguments))
        in_bands = algorithms.banded_conv3d(parts[1], *arguments, before=parts[0])
        torch.testing.assert_close(in_bands, ours, rtol=1e-6, atol=1e-5)
        folded = algorithms.folded_conv3d(parts[1].double(), *doubles(arguments), before=parts[0].double())
        theirs = F.conv3d(x.double(), *doubles(arguments))
        torch.testing.assert_close(folded, theirs, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))


def doubles(arguments: tuple) -> tuple:
    return tuple(a.double() if isinstance(a, Tensor) else a for a in arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_windows_within_the_padding_and_strides_past_the_kernel(
    layout: torch.memory_format, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    for kernel, stride, padding, dilation in (
        (3, 1, 6, 2),  # windows that lie wholly in the padding
        ((2, 3, 1), (3, 1, 2), (0, 1, 0), (2, 1, 1)),
        ((1, 3, 3), (4, 1, 1), 0, 1),
        ((5, 1, 1), (2, 1, 1), (4, 0, 0), (1, 1, 1)),
    ):
        layer = torch.nn.Conv3d(3, 4, kernel, stride, padding, dilation).to(dtype).eval()
        x = torch.randn(SIZE, dtype=dtype).contiguous(memory_format=layout)
        with torch.inference_mode():
            expected = copy.deepcopy(layer).double()(x.double())
            for plan in ((24,), (2, 7, 0, 1, 14), (1,) * 24):
                y = run(nn.stream(layer), split(x, plan, 0))
                limit = TOLERANCE[dtype] * float(expected.abs().max())
                torch.testing.assert_close(y.double(), expected, rtol=0, atol=limit)


def stack() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = (nn.CausalConv3d(3, 4, 3), torch.nn.ReLU(), nn.CausalConv3d(4, 3, 3), nn.CausalConv3d(3, 3, 3))
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("recorded", [False, True])
def test_what_was_handed_out_is_never_written_again(layout: torch.memory_format, recorded: bool) -> None:
    x = torch.randn(SIZE).contiguous(memory_format=layout)
    streamed, kept = nn.stream(stack().requires_grad_(recorded)), []
    with torch.set_grad_enabled(recorded):
        whole = streamed.module(x)
        for i, part in enumerate(x.split(3, 2)):
            y = streamed.push(part)
            if i == 3:
                half, state = streamed.copy(), streamed.get_state()
            views = y, y.detach().numpy(), y[:, :1], torch.from_dlpack(y.detach())
            kept += [(views[i % 4], y.detach().clone())]  # some held whole, some by a view of any kind alone
            del y, views
        for held, expected in kept:
            held = torch.as_tensor(held)
            assert torch.equal(held, expected[:, : held.shape[1]])
        again = nn.stream(streamed.module)
        again.set_state(state)
        for other in (half, again):
            rest = torch.cat([other.push(part) for part in x[:, :, 12:].split(3, 2)], 2)
            torch.testing.assert_close(rest, whole[:, :, 12:], rtol=0, atol=1e-5)
        if recorded:
            again.reset()
            outputs = torch.cat([again.push(part) for part in x.split(3, 2)], 2)
            weights, parameter = torch.randn_like(outputs), streamed.module[0].weight
            pair = [torch.autograd.grad((y * weights).sum(), parameter)[0] for y in (outputs, whole)]
            torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-3)  # sums of 34,560 products


def test_products_of_continued_film_are_counted() -> None:
    x = torch.randn(SIZE).contiguous(memory_format=torch.channels_last_3d)
    streamed = nn.stream(nn.CausalConv3d(3, 4, 3))
    with torch.no_grad():
        streamed.push(x)
        with FlopCounterMode(display=False) as counter:
            streamed.push(x)
    assert counter.get_total_flops() == 2 * x.numel() * 4 * 27
