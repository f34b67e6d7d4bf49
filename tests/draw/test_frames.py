"""The frame list against torch.nn.functional: every output drawn, tap by tap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mediaconv import nn as layers
from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.made_layers import demo_input, demo_layer, demo_lengths
from mediaconv.draw.panels.describe import describe
from mediaconv.draw.sliding.frames import Order, order_of, sliding
from mediaconv.errors import UsageError

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
LENGTHS = {1: (11,), 2: (6, 5), 3: (4, 3, 5)}


def all_steps(parts):
    return [parts.step(*output) for output in parts.outputs()]


def torch_mode(mode):
    return "constant" if mode == "zeros" else mode


def oracle_conv(x, weight, bias, pads, stride, dilation, groups, mode):
    """convNd of torch over an input padded by hand; pads: (left, right) per axis."""
    amounts = [n for pair in reversed(pads) for n in pair]
    padded = F.pad(x[None], amounts, mode=torch_mode(mode))
    conv = CONV[len(pads)]
    return conv(padded, weight, bias, stride, 0, dilation, groups)[0]


CASES = [
    (dims, causal, options)
    for dims in (1, 2, 3)
    for causal in ("false", "pad", "mask", "raster", "raster-A")
    for options in (
        {},
        {"stride": 2},
        {"dilation": 2},
        {"kernel_size": 2},
        {"kernel_size": 4, "stride": 3},
        {"in_channels": 4, "out_channels": 2, "groups": 2, "bias": True},
        {"padding_mode": "replicate"},
    )
    if not (dims == 1 and causal.startswith("raster"))
    if not (causal == "raster-A" and options.get("kernel_size") == 2)
    if not (causal.startswith("raster") and "padding_mode" in options)  # refused: it would read the future
]


def case_pads(dims, causal, kernel, stride, dilation):
    pads = []
    for axis in range(dims):
        e = (kernel - 1) * dilation + 1
        left = (e - 1) // 2
        pads.append((e - 1, 0) if causal == "pad" and axis == 0 else (left, e - 1 - left))
    return pads


def case_mask(dims, causal, kernel, dilation):
    """Which taps may be used, by a loop over the kernel."""
    mask = torch.ones((kernel,) * dims)
    left = ((kernel - 1) * dilation) // 2
    for tap in itertools.product(range(kernel), repeat=dims):
        offset = tuple(i * dilation - left for i in tap)
        origin = (0,) * dims
        if causal == "mask":
            mask[tap] = float(offset[0] <= 0)
        elif causal == "raster":
            mask[tap] = float(offset <= origin)
        elif causal == "raster-A":
            mask[tap] = float(offset < origin)
    return mask


@pytest.mark.parametrize(("dims", "causal", "options"), CASES)
def test_every_output_equals_torch(dims, causal, options):
    layer = demo_layer(f"conv{dims}d", causal=causal, **options)
    x = demo_input(layer.in_channels, LENGTHS[dims])
    kernel, stride, dilation = (
        options.get(k, d) for k, d in (("kernel_size", 3), ("stride", 1), ("dilation", 1))
    )
    mask = case_mask(dims, causal, kernel, dilation)
    pads = case_pads(dims, causal, kernel, stride, dilation)
    mode = options.get("padding_mode", "zeros")
    plain = demo_layer(f"conv{dims}d", **options)
    expected = oracle_conv(
        x, plain.weight * mask, plain.bias, pads, stride, dilation, options.get("groups", 1), mode
    )
    parts = sliding(layer, x)
    steps = {(s.channel, *s.position): s for s in all_steps(parts)}
    assert parts.output.shape == tuple(expected.shape)
    drawn = [
        (c, *p) for c in parts.channels for p in itertools.product(*(range(n) for n in expected.shape[1:]))
    ]
    assert sorted(steps) == drawn
    for place, step in steps.items():
        assert step.value == step.total == expected[place].item()
        for tap in step.taps:
            assert tap.masked == (mask[tap.index] == 0)
            assert tap.padded == any(not 0 <= s < n for s, n in zip(tap.source, x.shape[1:], strict=True))
            assert tap.source == tuple(
                j * stride - left + i * dilation
                for j, (left, _), i in zip(step.position, pads, tap.index, strict=True)
            )


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_padding_modes_of_standard_layers(mode):
    layer = demo_layer("conv2d", padding_mode=mode)
    x = demo_input(1, (5, 6))
    expected = oracle_conv(x, layer.weight, None, [(1, 1), (1, 1)], 1, 1, 1, mode)
    for step in all_steps(sliding(layer, x)):
        assert step.total == expected[(0, *step.position)].item()


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("causal", ["false", "pad"])
def test_transposed_outputs_equal_torch(dims, kernel, causal):
    layer = demo_layer(
        f"conv_transpose{dims}d", kernel_size=kernel, stride=2, in_channels=2, out_channels=2, groups=2,
        bias=True, causal=causal,
    )  # fmt: skip
    x = demo_input(2, LENGTHS[dims])
    whole = TRANSPOSE[dims](x[None], layer.weight, layer.bias, 2, 0, 0, 2)[0]
    lefts = [0 if causal == "pad" and axis == 0 else (kernel - 2) // 2 for axis in range(dims)]
    parts = sliding(layer, x)
    assert parts.output.shape[1:] == tuple(2 * n for n in x.shape[1:])
    for step in all_steps(parts):
        place = tuple(j + left for j, left in zip(step.position, lefts, strict=True))
        inside = all(i < n for i, n in zip(place, whole.shape[1:], strict=True))
        assert step.total == (whole[(step.channel, *place)].item() if inside else step.bias)
        if causal == "pad":
            assert not any(tap.future for tap in step.taps)


def test_real_weights_agree_with_torch_within_rounding():
    torch.manual_seed(0)
    layer = layers.CausalConv2d(2, 3, (3, 5), time_axis=1)
    x = torch.rand(2, 6, 7)
    expected = layer.double()(x.double()[None])[0]
    for step in all_steps(sliding(layer, x, channel=2)):
        # Two orders of 30 float64 additions of numbers below 1.
        assert step.total == pytest.approx(expected[(2, *step.position)].item(), abs=1e-14)
        assert step.channel == 2


@pytest.mark.parametrize(
    ("causal", "time_axis", "later"),
    [
        ("pad", 0, lambda s, now: s[0] > now[0]),
        ("mask", 1, lambda s, now: s[1] > now[1]),
        ("raster", 0, lambda s, now: s > now),
        ("raster-A", 0, lambda s, now: s >= now),
    ],
)
def test_future_is_what_comes_after_now(causal, time_axis, later):
    layer = demo_layer("conv2d", causal=causal, time_axis=time_axis)
    for step in all_steps(sliding(layer, demo_input(1, (4, 5)))):
        for tap in step.taps:
            assert tap.future == later(tap.source, step.position)
            assert not (tap.future and not tap.masked and not tap.padded)


def test_a_block_aligned_layer_may_read_its_block():
    layer = layers.CausalConv1d(1, 1, 4, stride=3, alignment="block", dtype=torch.float64)
    steps = all_steps(sliding(layer, demo_input(1, (12,))))
    assert max(t.source[0] - s.now[0] for s in steps for t in s.taps) == 2
    assert not any(t.future for s in steps for t in s.taps)


def test_a_standard_layer_reads_the_future_of_the_order_given():
    layer = demo_layer("conv2d")
    parts = sliding(layer, demo_input(1, (3, 3)), order=Order(axis=None))
    middle = parts.step(0, (1, 1))
    assert [t.source for t in middle.taps if t.future] == [(1, 2), (2, 0), (2, 1), (2, 2)]
    assert not any(t.future for t in sliding(layer, demo_input(1, (3, 3))).step(0, (1, 1)).taps)


def test_frames_are_evenly_chosen_with_both_ends():
    parts = sliding(demo_layer("conv3d"), demo_input(1, (4, 4, 4)))
    every = parts.outputs()
    assert parts.frames(1000) == every
    chosen = parts.frames(8)
    places = [every.index(c) for c in chosen]
    assert (places[0], places[-1], len(places)) == (0, 63, 8)
    assert max(np.diff(places)) - min(np.diff(places)) <= 1
    with pytest.raises(UsageError, match="at least 1"):
        parts.frames(0)


@pytest.mark.parametrize(("dims", "lengths"), [(1, (100_000,)), (2, (300, 400)), (3, (20, 60, 80))])
def test_large_inputs_are_a_window_with_a_note(dims, lengths):
    layer = demo_layer(f"conv{dims}d", stride=2, causal="pad")
    x = demo_input(1, lengths)
    middle = [n // 4 for n in lengths]
    parts = sliding(layer, x, at=middle)
    expected = layer(x[None])[0]
    assert all(f"of {n}" in note for n, note in zip(lengths, parts.notes, strict=True))
    for axis, positions in enumerate(parts.region):
        assert len(positions) <= 32
        assert parts.shown[axis][0] == middle[axis]
    for step in all_steps(parts):
        assert step.value == step.total == expected[(0, *step.position)].item()
        for tap in step.taps:
            assert all(s in positions for s, positions in zip(tap.source, parts.region, strict=True))


def test_a_kernel_wider_than_the_picture_is_still_summed_whole():
    layer = demo_layer("conv1d", kernel_size=201)
    x = demo_input(1, (1000,))
    expected = F.conv1d(x[None], layer.weight, padding=100)[0]
    parts = sliding(layer, x, at=[500])
    assert "wider than the picture" in parts.notes[0]
    assert len(parts.region[0]) == 28
    for step in all_steps(parts):
        assert len(step.taps) == 201
        assert step.total == expected[(0, *step.position)].item()


def test_of_a_wide_dilation_only_what_is_read_is_drawn():
    layer = demo_layer("conv1d", kernel_size=9, dilation=32, causal="pad")
    parts = sliding(layer, demo_input(1, (1000,)), at=[500])
    read = {t.source[0] for s in all_steps(parts) for t in s.taps}
    assert set(parts.region[0]) == read
    assert len(parts.shown[0]) > 1
    assert "only those that are read" in parts.notes[0]


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (torch.nn.Conv1d(1, 1, 3), (1, 8), "cannot be drawn sliding"),
        (layers.MaxPool1d(2), (1, 8), "cannot be drawn sliding"),
        (layers.Conv1d(2, 1, 3), (1, 8), "expected 2 channels"),
        (layers.Conv2d(1, 1, 3), (1, 8), "2 axes"),
        (layers.Conv1d(1, 1, 9), (1, 4), "longer one"),
    ],
)
def test_what_does_not_slide_is_refused(layer, shape, text):
    with pytest.raises(UsageError, match=text):
        sliding(layer, torch.zeros(shape))


def test_demo_refuses_by_name():
    with pytest.raises(UsageError, match="did you mean 'conv2d'"):
        demo_layer("conv2")
    with pytest.raises(UsageError, match="raster needs"):
        demo_layer("conv1d", causal="raster")
    with pytest.raises(UsageError, match="expected one of false, true, pad"):
        demo_layer("conv1d", causal="yes")


def test_a_layer_that_looks_back_along_both_axes_is_drawn_in_raster_order():
    layer = layers.CausalConvTranspose2d(1, 1, 3, stride=2, time_axis=(0, 1))
    assert "time along the rows and columns" in describe(layer)[0]
    assert order_of(layer) == Order(axis=None, now=True)


@pytest.mark.parametrize(
    ("kind", "kernel", "padding"), [("conv1d", 1, 1), ("conv1d", 3, 5), ("conv2d", 2, 3), ("conv3d", 1, 1)]
)
def test_padding_wider_than_the_kernel_is_drawn(kind, kernel, padding, tmp_path):
    layer = demo_layer(kind, kernel_size=kernel, padding=padding)
    x = demo_input(1, demo_lengths(layer))
    animate(layer, x, frames=8).save(tmp_path / "a.svg")
    shown = sliding(layer, x)
    for channel, position in shown.outputs():
        assert shown.step(channel, position).total == layer(x[None])[(0, channel, *position)].item()


@pytest.mark.parametrize("key", ["in_channels", "out_channels", "groups"])
def test_no_channels_are_not_the_default(key):
    with pytest.raises(UsageError, match=f"{key}: got 0, expected an integer >= 1"):
        demo_layer("conv1d", **{key: 0})
