"""Questions beyond reason to the drawing commands: a picture where there is one, else a sentence why."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.made_layers import demo_input, demo_layer, demo_lengths
from mediaconv.draw.inspect import inspect_config
from mediaconv.draw.sliding.frames import sliding
from mediaconv.draw.subject import subject
from mediaconv.errors import UsageError
from tests.draw.test_inspect import settings


@pytest.mark.parametrize(("kernel", "padding"), [(1, 1), (2, 2), (3, 3), (3, 5), (1, 4)])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_padding_over_the_kernels_extent_is_drawn(dims, kernel, padding):
    layer = demo_layer(f"conv{dims}d", kernel_size=kernel, padding=padding)
    x = demo_input(1, (3,) * dims)
    animation = animate(layer, x, frames=4)
    assert len(animation.scenes()) == 4
    last = sliding(layer, x).step(0, (3 + 2 * padding - kernel,) * dims)
    reference = getattr(torch.nn.functional, f"conv{dims}d")(x[None], layer.weight, padding=padding)
    assert last.value == reference.flatten()[-1]


def test_numbers_beyond_reason_are_refused():
    layer = demo_layer("conv1d", kernel_size=100_001)
    x = demo_input(1, demo_lengths(layer))
    with pytest.raises(UsageError, match="100,001 products; at most"):
        animate(layer, x)
    with pytest.raises(UsageError, match="at most 600"):
        animate(demo_layer("conv1d"), demo_input(1, (4,)), seconds=1e9)
    with pytest.raises(UsageError, match="channels: got 0"):
        demo_layer("conv1d", in_channels=0)


def test_no_channels_are_refused(tmp_path):
    config = settings("audio", [{"conv": {"out_channels": 1, "kernel_size": 3}}], tmp_path)
    with pytest.raises(UsageError, match="channels: got 0, expected an integer >= 1"):
        subject(config, channels=0)


def test_a_stack_too_large_to_be_looked_at_is_refused(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros(100), 8000)
    config = settings("audio", [{"upsample": {"scale_factor": 1000}}] * 3, tmp_path / "s.wav")
    with pytest.raises(UsageError, match="1,000,000,000 values for the smallest part"):
        inspect_config(config, [tmp_path / "s.wav"])
