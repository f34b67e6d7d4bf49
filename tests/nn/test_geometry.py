"""Latency, receptive field, stride and length of layers and stacks, by numbers that a reader can check."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn as tn

from mediaconv import nn
from mediaconv.testing import check_geometry, reads


def test_a_stack_tells_its_numbers_as_integers() -> None:
    torch.manual_seed(0)  # of some draws every ReLU is shut for all of what the gradient is taken at
    stack = nn.Sequential(
        nn.CausalConv1d(1, 4, 3, 2),
        tn.ReLU(),
        nn.CausalConv1d(4, 4, 3, dilation=4),
        nn.CausalConvTranspose1d(4, 1, 4, 2),
    )
    assert (stack.latency, stack.stride) == (0, 1)
    # the transposed layer reads 2 steps, the dilated one 9 of them: 10 steps of 2 inputs, of windows of 3
    assert stack.receptive_field == 2 * (10 - 1) + 3
    assert stack.lookback == 21  # odd outputs lie between the inputs that they come from
    assert [stack.output_length(n) for n in (0, 1, 2, 9)] == [0, 2, 2, 10]
    check_geometry(stack.double(), (1, 1, 8), 0, exact=True)


def test_every_axis_has_its_own_numbers() -> None:
    conv = nn.CausalConv3d(1, 1, (3, 5, 7), (1, 2, 3))
    stack = nn.Sequential(conv, nn.Upsample3d((2, 1, 1)))
    assert [nn.geometry(stack, a).latency for a in range(3)] == [0, 2, 3]
    assert [nn.geometry(stack, a).receptive_field for a in range(3)] == [3, 5, 7]
    assert [nn.geometry(stack, a).total_stride for a in range(3)] == [Fraction(1, 2), 2, 3]
    assert stack.stride == Fraction(1, 2)
    assert conv.stride == (1, 2, 3)
    assert nn.stream(stack, axis=1).latency == 2
    assert stack.output_length(7, axis=2) == 3
    assert stack.output_shape((2, 1, 5, 6, 7)) == (2, 1, 10, 3, 3)


@pytest.mark.parametrize(
    ("layer", "stride"),
    [
        (nn.Upsample2d(3), Fraction(1, 3)),
        (nn.PixelShuffle3d(2), Fraction(1, 2)),
        (nn.PixelUnshuffle1d(4), 4),
        (nn.Gate(), 1),
        (nn.ChannelLayerNorm(2), 1),
        (nn.GroupNorm(1, 2), 1),
        (nn.Resample(48000, 44100), Fraction(160, 147)),
        (nn.Reshape("n c (t k) -> n (c k) t", {"k": 5}, in_channels=2), 5),
    ],
)
def test_layers_to_which_torch_gives_no_stride_have_one(layer: Any, stride: int | Fraction) -> None:
    assert layer.stride == nn.stream(layer).stride == stride
    assert type(layer.stride) is type(nn.stream(layer).stride) is type(stride)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(1, 1, 3), nn.ConvTranspose2d(1, 1, 3), nn.Upsample2d(2), nn.PixelShuffle2d(1)]
)
def test_another_number_of_axes_is_refused(layer: tn.Module) -> None:
    for shape in (1, 8, 8), (1, 1, 8, 8, 8):
        with pytest.raises(ValueError, match="2 axes after the channels: got shape"):
            layer(torch.rand(shape))
        with pytest.raises(ValueError, match="2 axes after the channels: got shape"):
            nn.stream(nn.Sequential(tn.ReLU(), layer)).push(torch.rand(shape))


@pytest.mark.parametrize(
    ("layer", "latency", "field", "back"),
    [
        (nn.Conv1d(1, 1, 4, padding="same"), 2, 4, 1),
        (nn.Conv1d(1, 1, 3, 2), 2, 3, 0),
        (nn.CausalConv1d(1, 1, 4, 2, dilation=3), 0, 10, 9),
        (nn.CausalConv1d(1, 1, 4, 2, alignment="block"), 1, 4, 2),
        (nn.CausalConv1d(1, 1, 5, mode="mask"), 0, 3, 2),
        (nn.ConvTranspose1d(1, 1, 4, 2, "same"), 1, 2, 1),
        (nn.CausalConvTranspose1d(1, 1, 5, 2), 0, 3, 2),
        (nn.MaxPool1d(3, 2, "same"), 1, 3, 1),
        (nn.CausalAvgPool1d(3), 0, 3, 2),
        (nn.Upsample1d(4, "linear"), 1, 2, 1),
        (nn.Upsample1d(4, "linear", causal=True), 0, 2, 1),
        (nn.Upsample1d(4), 0, 1, 0),
        (nn.PixelUnshuffle1d(4), 3, 4, 0),
        (nn.PixelUnshuffle1d(4, causal=True), 0, 4, 3),
        (nn.Residual(nn.Conv1d(1, 1, 7, padding="same"), nn.CausalConv1d(1, 1, 9)), 3, 12, 8),
        (nn.GroupNorm(1, 1), math.inf, math.inf, math.inf),
        (nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), math.inf, math.inf, math.inf),
    ],
)
def test_layers_by_hand(layer: tn.Module, latency: float, field: float, back: float) -> None:
    assert (layer.latency, layer.receptive_field, layer.lookback) == (latency, field, back)


def test_a_deformable_layer_reads_as_far_as_its_range() -> None:
    for kind, ahead in (nn.DeformConv2d, 2), (nn.CausalDeformConv2d, 0):
        m = kind(1, 1, 3, padding="same", offset_range=2).double()
        shifts = torch.zeros(9, 2)
        shifts[:3, 0], shifts[6:, 0] = (
            -2,
            2,
        )  # first row of taps as far back, last row as far ahead as they may
        m.offset.bias.data = shifts.flatten().double()
        check_geometry(m, (1, 1, 9, 3), 0, exact=True)
        assert m.latency == ahead + (0 if ahead == 0 else 1)
        assert nn.geometry(m, 1).latency == math.inf


def test_resampling_reads_no_more_than_it_says() -> None:
    for orig, new in (3, 2), (2, 3), (1, 4):
        check_geometry(nn.Resample(orig, new), (1, 1, 8), 0, exact=False)
    assert nn.Resample(44100, 48000).latency == 7 + 147 - 1


def test_noncausal_layers_are_named_with_what_they_read() -> None:
    stack = nn.Sequential(
        nn.CausalConv1d(1, 2, 3),
        nn.Residual(nn.Sequential(nn.Conv1d(2, 2, 5, padding="same"), tn.ReLU())),
        nn.CausalConv1d(2, 2, 4, 2, alignment="block"),
        nn.GroupNorm(1, 2),
        nn.Gated(nn.Conv1d(2, 4, 3, padding="same")),
        nn.Upsample1d(2, "linear"),
    )
    named = [(name, ahead) for name, _, ahead in nn.noncausal_layers(stack)]
    assert named == [("1.layers.0", 2), ("3", math.inf), ("4.conv", 1), ("5", 1)]
    raster = nn.CausalConv2d(1, 1, 5, mode="raster")
    assert nn.noncausal_layers(raster) == []
    assert [ahead for _, _, ahead in nn.noncausal_layers(raster, axis=1)] == [2]


def test_raster_reads_exactly_the_positions_before() -> None:
    for kind in "AB":
        m = nn.CausalConv2d(1, 1, 5, mode="raster", raster_type=kind).double()
        x = torch.rand(1, 1, 9, 9, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(m(x)[0, 0, 4, 4], x)
        read = {(int(r), int(c)) for r, c in gradient[0, 0].nonzero()}
        window = {(r, c) for r in range(2, 7) for c in range(2, 7)}
        assert read == {p for p in window if p < (4, 4) or (kind == "B" and p == (4, 4))}


def test_the_grain_of_strides_on_strides() -> None:
    down, up = nn.CausalConv1d(1, 1, 3, 3), nn.CausalConvTranspose1d(1, 1, 2, 2)
    assert nn.geometry(nn.Sequential(down, up)).input_period == 3
    assert nn.geometry(nn.Sequential(up, down)).input_period == 3
    assert nn.geometry(nn.Sequential(up, nn.CausalConv1d(1, 1, 2, 4))).input_period == 2
    assert nn.geometry(nn.Sequential(down, up, down)).input_period == 9
    assert nn.geometry(nn.Residual(down, nn.Conv1d(1, 1, 1, 3))).input_period == 3


def test_padding_is_read_at_the_ends_only() -> None:
    assert reads(
        nn.CausalConv1d(1, 1, 3).double(), torch.rand(1, 1, 5, dtype=torch.float64), 0, 0
    ).tolist() == [
        True,
        *[False] * 4,
    ]
