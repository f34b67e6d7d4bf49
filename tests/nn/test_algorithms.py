"""Each way to compute a convolution equals torch's, and the choice between them does not show."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.backends import algorithms as kernels
from mediaconv.nn.backends import large_pages
from mediaconv.nn.backends.memory_layout import is_packed
from mediaconv.testing import run


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_folding_is_conv3d(grad: bool, layout: torch.memory_format) -> None:
    for depth, stride, dilation, groups in itertools.product((1, 2, 3), (1, 2), (1, 2), (1, 2)):
        x = torch.randn(2, 4, 6, 5, 7, dtype=torch.float64).contiguous(memory_format=layout)
        w = torch.randn(6, 4 // groups, depth, 3, 2, dtype=torch.float64, requires_grad=grad)
        b = torch.randn(6, dtype=torch.float64)
        arguments = (x, w, b, (stride, 2, 1), (0, 1, 1), (dilation, 1, 2), groups)
        ours, theirs = kernels.folded_conv3d(*arguments), F.conv3d(*arguments)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        if grad:
            weights = torch.randn_like(ours)
            gradients = [torch.autograd.grad((y * weights).sum(), w)[0] for y in (ours, theirs)]
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_banding_is_conv3d(layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "BAND_BYTES", 0)  # bands of LEAST_ROWS rows
    for height, stride, dilation, padding in itertools.product((1, 3), (1, 2, 5), (1, 2), (0, 1, 9)):
        x = torch.randn(2, 4, 5, 23, 11).contiguous(memory_format=layout)
        w, b = torch.randn(6, 2, 3, height, 2), torch.randn(6)
        arguments = ((1, stride, 2), (0, padding, 1), (2, dilation, 1), 2)
        ours = kernels.banded_conv3d(x, w, b, *arguments)
        theirs = F.conv3d(x.double(), w.double(), b.double(), *arguments)
        assert ours.is_contiguous(memory_format=layout)
        # sums of up to 36 float32 products
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_frames_are_banded_or_folded_with_the_same_result(dtype: torch.dtype) -> None:
    module = nn.CausalConv3d(2, 3, 3).to(dtype)
    x = torch.randn(1, 2, 5, 40, 40, dtype=dtype)
    with torch.inference_mode():
        assert kernels._banding_pays(x, 2 * 27) == (dtype == torch.float32)
        assert kernels._folding_pays(x) == (dtype == torch.float64)
        y = run(nn.stream(module), x.split(1, 2))
        theirs = F.conv3d(F.pad(x, (1, 1, 1, 1, 2, 0)), module.weight, module.bias)
    limit = 1e-6 if dtype == torch.float32 else 1e-12  # as the contract has it
    torch.testing.assert_close(y, theirs, rtol=0, atol=limit * float(theirs.abs().max()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_in_large_pages_holds_what_torch_cat_gives(
    layout: torch.memory_format, dtype: torch.dtype
) -> None:
    parts = [torch.randn(1, 3, t, 700, 700).to(dtype).contiguous(memory_format=layout) for t in (1, 2)]
    joined = large_pages.concatenate(parts, 2, layout)
    assert joined.numel() * joined.element_size() > large_pages.LARGE_BYTES
    assert joined.is_contiguous(memory_format=layout)
    assert torch.equal(joined, torch.cat(parts, 2))
    first = parts[0].float().requires_grad_()
    (gradient,) = torch.autograd.grad(large_pages.concatenate([first, first], 2, layout).sum(), first)
    assert torch.equal(gradient, torch.full_like(first, 2.0))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_columns_are_conv1d(batch: int, bias: bool) -> None:
    for k, stride, dilation in itertools.product((1, 2, 5), (1, 3), (2, 7)):
        x = torch.randn(batch, 4, 40, dtype=torch.float64)
        w = torch.randn(6, 4, k, dtype=torch.float64, requires_grad=True)
        b = torch.randn(6, dtype=torch.float64) if bias else None
        ours = kernels.column_conv1d(x, w, b, stride, dilation)
        theirs = F.conv1d(x, w, b, stride, 0, dilation)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        weights = torch.randn_like(ours)
        gradients = [torch.autograd.grad((y * weights).sum(), w)[0] for y in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_packed_is_conv1d(batch: int, bias: bool) -> None:
    for k, stride, dilation, packs in itertools.product((1, 3), (1, 3), (1, 4), (False, True)):
        x = torch.randn(batch, 8, 300)
        x = x.transpose(1, 2).contiguous().transpose(1, 2) if packs else x
        w = torch.randn(6, 8, k, requires_grad=True)
        b = torch.randn(6) if bias else None
        ours = kernels.packed_conv1d(x, w, b, stride, dilation)
        theirs = F.conv1d(x.double(), w.double(), None if b is None else b.double(), stride, 0, dilation)
        assert is_packed(ours)
        # sums of 24 float32 products
        torch.testing.assert_close(
            ours.double(), theirs, rtol=0, atol=1e-6 * float(theirs.detach().abs().max())
        )
        weights = torch.randn_like(ours)
        gradients = [torch.autograd.grad((y * weights).sum(), w)[0] for y in (ours, theirs)]
        # sums of a thousand products
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-5 * float(gradients[1].abs().max()))


def test_any_layer_takes_packed_sound_and_a_stream_gives_it_out_as_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed: list[torch.Tensor] = []

    def spy(x: torch.Tensor, *arguments: Any) -> torch.Tensor:
        packed.append(x)
        return packed_conv1d(x, *arguments)

    packed_conv1d = kernels.packed_conv1d
    monkeypatch.setattr(kernels, "packed_conv1d", spy)
    c = 8
    stack = nn.Sequential(
        nn.CausalConv1d(1, c, 3),
        nn.Residual(nn.Sequential(nn.Conv1d(c, c, 5, padding="same"), torch.nn.ReLU())),
        nn.Branches([nn.Conv1d(c, c, 1), nn.CausalConv1d(c, c, 3, dilation=4, mode="mask")], "concat"),
        nn.Gated(nn.Conv1d(2 * c, 2 * c, 3, 2, "same", padding_mode="replicate")),
        nn.MaxPool1d(3, 1, "same"),
        nn.AvgPool1d(3, 1, "same", count_include_pad=False),
        nn.CausalConv1d(c, c, 3),
        nn.Upsample1d(2, "linear"),
        nn.ChannelLayerNorm(c),
        nn.RMSNorm(c),
        nn.CausalConv1d(c, c, 3),
        nn.ConvTranspose1d(c, c, 4, 2, "same"),
        nn.PixelUnshuffle1d(2),
        nn.ChannelShuffle(4),
        nn.CausalConv1d(2 * c, 2 * c, 3),
        nn.PixelShuffle1d(2),
        nn.Reshape("n (c k) t -> n c (t k)", {"k": 2}, in_channels=c),
        nn.BatchNorm1d(c // 2),
        nn.CausalConv1d(c // 2, c, 3),
        nn.GroupNorm(2, c),
    ).eval()
    x = torch.rand(1, 1, 24000) * 2 - 1
    with torch.inference_mode():
        whole = stack(x)
        streamed = nn.stream(stack)
        chunks = [streamed.push(chunk) for chunk in (x[..., :1], *x[..., 1:].split(9000, 2))]
        y = torch.cat([*chunks, streamed.flush()], 2)
        first = nn.stream(stack[:1]).push(x)
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))
    assert len(packed) > 10
    assert all(chunk.is_contiguous() for chunk in (first, *chunks))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        # more products an output than two libraries may add up to within 1e-6
        (nn.Conv1d(512, 64, 7, padding=3), (1, 512, 300)),
        (nn.Conv1d(85, 64, 3, padding=1), (1, 85, 600)),
        (nn.CausalConv2d(64, 32, 5), (1, 64, 40, 30)),
        (nn.CausalConv3d(64, 32, 3), (1, 64, 12, 20, 20)),
    ],
)
def test_long_sums_are_the_same_in_short_chunks(
    module: nn.Conv1d | nn.CausalConv2d | nn.CausalConv3d, shape: tuple[int, ...]
) -> None:
    x = torch.randn(shape)
    with torch.inference_mode():
        y = run(nn.stream(module), x.split(1, 2))
        whole = module(x)
        theirs = F.conv3d if x.ndim == 5 else F.conv2d if x.ndim == 4 else F.conv1d
        pads = [n for w in reversed(module.windows) for n in (w.left, w.right)]
        exact = copy.deepcopy(module).double()
        expected = theirs(F.pad(x, pads).double(), exact.weight, exact.bias)
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-7 * float(whole.abs().max()))
    # a sum of thousands of float32 products, against its value
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=5e-6 * float(expected.abs().max()))


def test_gradients_are_torchs_whichever_way_is_taken() -> None:
    module = nn.CausalConv3d(12, 3, 3)
    x = torch.randn(1, 12, 4, 9, 8)
    y = run(nn.stream(module), x.split(1, 2))
    theirs = F.conv3d(F.pad(x, (1, 1, 1, 1, 2, 0)), module.weight, module.bias)
    weights = torch.randn_like(theirs)
    ours, expected = (torch.autograd.grad((v * weights).sum(), module.weight)[0] for v in (y, theirs))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_an_output_has_the_memory_format_of_its_input() -> None:
    for channels in (2, 12):
        module = nn.CausalConv3d(channels, 4, 3)
        with torch.inference_mode():
            for layout in (torch.contiguous_format, torch.channels_last_3d):
                x = torch.randn(1, channels, 6, 40, 40).contiguous(memory_format=layout)
                assert module(x).is_contiguous(memory_format=layout)
                streamed = nn.stream(module)
                for chunk in x.split(2, 2):
                    assert streamed.push(chunk).is_contiguous(memory_format=layout)


def test_film_that_is_channels_last_has_the_bits_of_film_in_bands() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.rand(1, 3, 6, 48, 64), torch.rand(8, 3, 3, 3, 3), torch.rand(8)
    arguments = (weight, bias, (1, 1, 1), (0, 1, 1), (1, 1, 1), 1)
    last = kernels.banded_conv3d(x.contiguous(memory_format=torch.channels_last_3d), *arguments)
    assert last.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(last, kernels.banded_conv3d(x, *arguments))
    torch.testing.assert_close(last, F.conv3d(x, *arguments), rtol=1e-6, atol=1e-6)
