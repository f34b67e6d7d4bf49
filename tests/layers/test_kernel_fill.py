"""How a bank of filters fills a layer, against each filter run by itself; kernels in layers, streamed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.layers.filters.fill import fill, fill_kernel, make_kernel, parse_kernel

BANK = torch.arange(2 * 3 * 3, dtype=torch.float64).reshape(2, 3, 3)
X = torch.randint(0, 9, (2, 3, 6, 7), generator=torch.Generator().manual_seed(0)).double()
"""Whole numbers, so that sums are exact in any order."""


def alone(channel: int, filter: int) -> torch.Tensor:
    return F.conv2d(X[:, channel : channel + 1], BANK[filter][None, None])[:, 0]


def test_each_channel_by_itself_depthwise_and_dense_alike():
    expected = torch.stack([alone(c, f) for c in range(3) for f in range(2)], dim=1)
    assert torch.equal(F.conv2d(X, fill((6, 1, 3, 3), BANK, groups=3), groups=3), expected)
    assert torch.equal(F.conv2d(X, fill((6, 3, 3, 3), BANK)), expected)


def test_the_mean_over_channels():
    total = torch.stack([sum(alone(c, f) for c in range(3)) for f in range(2)], dim=1)
    # thirds are not exact in binary
    torch.testing.assert_close(F.conv2d(X, fill((2, 3, 3, 3), BANK)), total / 3, rtol=1e-13, atol=0)


def test_groups_of_several_channels_are_filled_each_by_itself():
    x = torch.cat([X, X[:, :1]], dim=1)
    mean = F.conv2d(x, fill((4, 2, 3, 3), BANK, groups=2), groups=2)
    for group, f in ((0, 0), (0, 1), (1, 0), (1, 1)):
        a, b = (alone(c % 3, f) for c in (2 * group, 2 * group + 1))
        assert torch.equal(mean[:, 2 * group + f], (a + b) / 2)
    each = F.conv2d(x, fill((8, 2, 3, 3), BANK, groups=2), groups=2)
    assert torch.equal(each[:, :6], torch.stack([alone(c, f) for c in range(3) for f in range(2)], dim=1))


@pytest.mark.parametrize(
    ("shape", "groups", "words"),
    [
        ((5, 3, 3, 3), 1, r"out_channels: got 5, but 2 filters over 3 channels in 1 group fit 6 .* or 2"),
        ((3, 1, 3, 3), 3, r"got 3, .* in 3 groups fit 6 .* or 6"),
        ((6, 1, 5, 5), 3, r"kernel_size: got \[5, 5\], but the kernel has \[3, 3\]"),
    ],
)
def test_counts_that_do_not_fit_are_refused(shape, groups, words):
    with pytest.raises(UsageError, match=words):
        fill(shape, BANK, groups)


def test_a_layers_own_mode_and_dilation_make_its_kernel():
    conv = mnn.CausalConv1d(2, 2, 101, dilation=2, groups=2, bias=False)
    fill_kernel(conv, parse_kernel("low_pass", {"cutoff_hz": 500}), rate_hz=8000)
    expected = make_kernel("low_pass", {"cutoff_hz": 500}, dims=1, rate_hz=4000, mode="pad")
    assert torch.equal(conv.weight.detach(), expected.float().expand(2, 1, 101))


def test_a_raster_layer_gets_a_kernel_of_its_type():
    conv = mnn.CausalConv2d(1, 1, 3, mode="raster", raster_type="A")
    bias = conv.bias.detach().clone()
    fill_kernel(conv, parse_kernel("box"))
    assert conv.weight.detach().tolist() == [[[[0.25, 0.25, 0.25], [0.25, 0, 0], [0, 0, 0]]]]
    assert torch.equal(conv.bias.detach(), bias)


@pytest.mark.parametrize("kind", ["none", "pad", "mask"])
def test_a_filter_in_a_layer_streams_as_on_the_whole(kind):
    size = {"kernel_size": 101, "bias": False}
    conv = (
        mnn.Conv1d(1, 1, padding="same", **size)
        if kind == "none"
        else mnn.CausalConv1d(1, 1, mode=kind, **size)
    )
    fill_kernel(conv.double(), parse_kernel("high_pass", {"cutoff_hz": 900}), rate_hz=8000)
    x = torch.randn(1, 1, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    running = mnn.stream(conv)
    y = torch.cat([running.push(x[:, :, :7]), running.push(x[:, :, 7:]), running.flush()], dim=2)
    # a chunk's sums may be ordered otherwise than the whole's: the design's own bound for float64
    torch.testing.assert_close(y, conv(x), rtol=0, atol=1e-12)
