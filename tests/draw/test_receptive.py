"""The receptive field measured by gradient: right numbers, and an error where a layer's formula lies."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import mediaconv.nn as mnn
from mediaconv.draw.receptive.cone import cone_scene
from mediaconv.draw.scene.figure import Figure
from mediaconv.errors import ComputeError
from mediaconv.nn.summary.receptive_field import receptive
from tests.draw.boxes import text_box


def folded(channels):
    return mnn.Reshape("b c (t k) -> b (c k) t", {"k": 4}, in_channels=channels)


def numbers(reach):
    return reach.receptive_field, reach.latency, reach.lookback


def test_a_wavenet_doubles_its_field_at_every_layer():
    layers = [m for d in (1, 2, 4, 8) for m in (mnn.CausalConv1d(2, 2, 2, dilation=d), torch.nn.Tanh())]
    (cone,) = receptive(mnn.Sequential(*layers), axes=["time"], channels=2)
    assert numbers(cone.measured) == numbers(cone.formula) == (16, 0, 15)
    assert [len(level.measured) for level in cone.levels] == [16, 8, 4, 2, 1]
    assert all(level.measured == level.formula for level in cone.levels)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (mnn.Conv1d(1, 1, 4, padding="same"), (4, 2, 1)),
        (mnn.CausalConv1d(1, 1, 5, mode="mask"), (3, 0, 2)),
        (mnn.MaxPool1d(3, 3, padding="same"), (3, 1, 1)),
        (mnn.Upsample1d(2, "linear"), (2, 1, 1)),
        (mnn.ConvTranspose1d(1, 1, 4, stride=2, padding="same"), (2, 1, 1)),
    ],
)
def test_single_layers(layer, expected):
    (cone,) = receptive(mnn.Sequential(layer), axes=["time"], channels=1)
    assert numbers(cone.measured) == expected


def test_every_axis_has_its_own_cone():
    stack = mnn.Sequential(
        mnn.CausalConv3d(3, 2, (3, 5, 1)), torch.nn.ReLU(), mnn.CausalConv3d(2, 2, 3, mode="raster")
    )
    cones = receptive(stack, axes=["time", "height", "width"], channels=3)
    assert [cone.axis for cone in cones] == ["time", "height", "width"]
    assert [numbers(cone.measured) for cone in cones] == [(4, 0, 3), (7, 3, 3), (3, 1, 1)]


def test_what_reads_everything_is_endless():
    (cone,) = receptive(mnn.Sequential(mnn.InstanceNorm1d(2)), axes=["time"], channels=2)
    assert numbers(cone.measured) == (math.inf,) * 3


def test_a_layer_that_reads_more_than_it_says_is_an_error():
    layer = mnn.CausalConv1d(1, 1, 3)

    class Leaky(mnn.CausalConv1d):
        def axis_map(self, axis):
            return dataclasses.replace(super().axis_map(axis), kernel=2, left=1)

    layer.__class__ = Leaky
    with pytest.raises(ComputeError, match="time: measured \\(3, 0, 2\\), by formula \\(2, 0, 1\\)"):
        receptive(mnn.Sequential(layer), axes=["time"], channels=1)


def test_the_stack_itself_is_left_as_it_is():
    stack = mnn.Sequential(mnn.Conv1d(1, 1, 3), torch.nn.ReLU())
    before = stack[0].weight.clone()
    receptive(stack, axes=["time"], channels=1)
    assert torch.equal(stack[0].weight, before)
    assert isinstance(stack[1], torch.nn.ReLU)


@pytest.mark.parametrize("dilation", [1, 400])
def test_the_picture_can_be_read(dilation, tmp_path):
    stack = mnn.Sequential(mnn.CausalConv1d(1, 1, 3), mnn.Conv1d(1, 1, 3, dilation=dilation, padding="same"))
    figure = Figure(cone_scene(receptive(stack, axes=["time"], channels=1)), label="cone")
    boxes = [text_box(t) for t in figure.scene.texts()]
    for place, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= figure.scene.width
        for b in boxes[place + 1 :]:
            assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])
    assert figure.save(tmp_path / "cone.svg").read_text().startswith("<svg")
    assert figure.save(tmp_path / "cone.png").read_bytes().startswith(b"\x89PNG")


def test_blocks_of_a_reshape_are_measured_whole():
    stack = mnn.Sequential(
        mnn.Reshape("n c (t k) -> n (c k) t", {"k": 3}, in_channels=1), mnn.CausalConv1d(3, 1, 2)
    )
    (cone,) = receptive(stack, axes=["time"], channels=1)
    assert numbers(cone.measured) == numbers(cone.formula) == (6, 2, 3)


@pytest.mark.parametrize(
    ("stack", "channels", "axes"),
    [
        (
            [mnn.Conv1d(1, 4, 3, stride=3), folded(4)],
            1,
            ["time"],
        ),
        ([mnn.Conv2d(2, 2, 3, stride=2, padding="same"), mnn.PixelUnshuffle2d(3)], 2, ["height", "width"]),
        ([mnn.Upsample1d(3), folded(1)], 1, ["time"]),
        ([mnn.PixelUnshuffle1d(3), mnn.InstanceNorm1d(3), folded(3)], 1, ["time"]),
        ([mnn.Conv1d(1, 1, 3), mnn.Reshape("n c (t k) -> n (c k) t", {"k": 7}, in_channels=1)], 1, ["time"]),
    ],
)
def test_blocks_that_a_stride_does_not_divide_are_measured(stack, channels, axes):
    for cone in receptive(mnn.Sequential(*stack), axes=axes, channels=channels):
        assert numbers(cone.measured) == numbers(cone.formula)


def test_a_formula_may_be_an_upper_bound():
    """Of 2 x 2 blocks folded into channels, each filtered by itself, a pixel reads every second pixel."""
    conv = mnn.Conv2d(4, 4, 3, groups=4, padding="same")
    stack = mnn.Sequential(mnn.PixelUnshuffle2d(2), conv, mnn.PixelShuffle2d(2))
    for cone in receptive(stack, axes=["height", "width"], channels=1):
        assert numbers(cone.measured) == (5, 2, 2)
        assert all(m <= f for m, f in zip(numbers(cone.measured), numbers(cone.formula), strict=True))


def test_a_model_that_clips_its_values_is_measured_where_it_does_not():
    class Clipped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(1, 2, 5, padding=2)

        def forward(self, x):
            return self.conv(x).clamp(0, 1).mean(1, keepdim=True).clamp(-1, 0.9)

    graph = mnn.to_streaming(Clipped(), example=torch.zeros(1, 1, 32))
    (cone,) = receptive(mnn.Sequential(graph), axes=["time"], channels=1)
    assert numbers(cone.measured) == numbers(cone.formula) == (5, 2, 2)


def test_a_kernel_too_long_to_be_measured_keeps_its_formula():
    (cone,) = receptive(mnn.Sequential(mnn.CausalConv1d(1, 1, 100_001)), axes=["time"], channels=1)
    assert cone.measured is None
    assert numbers(cone.formula) == (100_001, 0, 100_000)
    assert "not measured" in " ".join(t.text for t in cone_scene([cone]).texts())
