"""Animations can be read and say no wrong thing: sizes of numbers, blanks, sums, numbers that differ."""

from __future__ import annotations

import re
import time

import pytest
import torch

from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.distinct_input import distinct_input
from mediaconv.draw.animate.made_layers import (
    KINDS,
    demo_input,
    demo_layer,
    demo_lengths,
    standard_counterpart,
)
from mediaconv.errors import UsageError
from tests.draw.boxes import text_box
from tests.program import run_program


def _stand_apart(scene):
    boxes = [text_box(t) for t in scene.texts()]
    for place, a in enumerate(boxes):
        for b in boxes[place + 1 :]:
            assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])


@pytest.mark.parametrize("causal", ["false", "pad", "mask", "raster"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("real", [False, True])
def test_numbers_have_twelve_pixels_at_1400(kind, causal, real):
    """However long they are: cells grow, fewer of them are drawn, and two panels go below each other."""
    for kernel_size, channels in ((3, 1), (5, 3)):
        try:
            layer = demo_layer(kind, causal=causal, in_channels=channels, kernel_size=kernel_size)
        except UsageError:
            pytest.skip("no such layer")
        x = demo_input(channels, demo_lengths(layer))
        if real:
            generator = torch.Generator().manual_seed(1)
            x = torch.rand(x.shape, generator=generator, dtype=torch.float64) - 0.5
            with torch.no_grad():
                layer.weight.mul_(0.0123)
        beside = None if "transpose" in kind or causal == "false" else standard_counterpart(layer)
        if real and beside is not None:
            beside.load_state_dict(layer.state_dict())
        animation = animate(layer, x, beside=beside)
        texts = [t for i in (0, len(animation) // 2, -1) for t in animation.scene(i).texts()]
        assert min(t.size for t in texts) * min(1.0, 1400 / animation.picture.width) >= 11.99
        _stand_apart(animation.scene(0))
        for part in animation.picture.narrow().parts(0):
            assert min(t.size for t in part.texts()) >= 11.99
            _stand_apart(part)


@pytest.mark.parametrize(
    ("kind", "options", "lengths"),
    [
        ("conv1d", {}, (10,)),
        ("conv1d", {"kernel_size": 5, "in_channels": 2, "out_channels": 2, "dilation": 2}, (14,)),
        ("conv2d", {}, (6, 6)),
        ("conv2d", {"kernel_size": 2, "stride": 2, "bias": True}, (7, 6)),
        ("conv2d", {"groups": 2}, (6, 6)),
        ("conv3d", {}, (4, 4, 4)),
        ("conv3d", {"kernel_size": (3, 1, 5), "in_channels": 2}, (4, 4, 5)),
    ],
)
@pytest.mark.parametrize("causal", ["pad", "mask", "raster"])
@pytest.mark.slow
def test_causal_and_standard_agree_only_where_they_read_the_same(kind, options, lengths, causal):
    """Said by the taps of every output: equal sums have equal taps."""
    if kind == "conv1d" and causal == "raster":
        pytest.skip("no raster in 1D")
    layer = demo_layer(kind, causal=causal, **options)
    x = distinct_input(layer, lengths)
    assert torch.equal(x, distinct_input(demo_layer(kind, **options), lengths))  # so pictures share it
    assert x.min() >= 1
    standard = standard_counterpart(layer)
    slidings = animate(layer, x, beside=standard).picture.slidings
    for channel, position in slidings[0].outputs():
        one, other = (s.step(channel, position) for s in slidings)
        read = [
            sorted((t.channel, t.source, t.weight) for t in step.taps if not (t.masked or t.padded))
            for step in (one, other)
        ]
        assert (one.value == other.value) == (read[0] == read[1])


def test_zeros_are_blank(tmp_path):
    words = ("animate", "--kind", "conv1d", "--kernel", "1 0 2", "--values", "4 0 3", "--step", "1")
    texts = {}
    for option in ((), ("--blank-zeros",)):
        assert run_program(*words, *option, "-o", f"{len(option)}.svg", cwd=tmp_path).returncode == 0
        text = (tmp_path / f"{len(option)}.svg").read_text()
        texts[len(option)] = re.findall(r">([^<>]*)</text>", text)
    # two of padding, one of the input, a weight and the first output; the position 0 stays
    assert texts[0].count("0") - texts[1].count("0") == 5
    assert "y[1] = 4·1 + 0·0 + 3·2 = 10" in texts[0]
    assert "y[1] = 4·1 + 3·2 = 10" in texts[1]


@pytest.mark.parametrize(("kind", "channels"), [("conv1d", 6), ("conv2d", 5), ("conv3d", 3), ("conv3d", 12)])
def test_channels_that_are_not_drawn_are_told_apart(kind, channels):
    layer = demo_layer(kind, in_channels=channels)
    x = demo_input(channels, demo_lengths(layer))
    animation = animate(layer, x)
    sliding = animation.picture.slidings[0]
    line = next(t.text for t in animation.scene(0).texts() if t.text.startswith("y["))
    hidden = [c for c in range(channels) if c not in sliding.inputs]
    assert hidden
    channel, position = sliding.outputs()[0]
    only = torch.zeros_like(x)
    only[hidden] = x[hidden]
    expected = int(layer(only[None])[(0, channel, *position)])
    line = " ".join(t.text for t in animation.scene(0).texts()).replace("−", "-")
    told = [int(n) for n in re.findall(r"\(?(-?\d+)\)? \(inputs? [\d to.]+\)", line)]
    assert sum(told) == expected
    assert len(told) == (len(hidden) if len(hidden) <= 3 else 1)


@pytest.mark.slow
def test_eight_cubed_takes_seconds(tmp_path):
    layer = demo_layer("conv3d", causal="pad")
    began = time.process_time()
    made = animate(layer, distinct_input(layer, (8, 8, 8)), beside=standard_counterpart(layer))
    made.save(tmp_path / "a.gif")
    assert time.process_time() - began < 20  # some seven on a quiet machine
