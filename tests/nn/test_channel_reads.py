"""Receptive fields where channels carry phases, against gradients of the layers themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mediaconv.nn as mnn
from mediaconv.compare.prove.module_proof.search import prove
from mediaconv.nn.summary.channel_reads import reads_map
from mediaconv.nn.summary.receptive_field import receptive
from mediaconv.nn.summary.trace import trace


def conv(channels, kernel, groups, **options):
    return mnn.Conv1d(channels, channels, kernel, groups=groups, padding="same", **options)


STACKS = {
    "depthwise of one tap": ([conv(2, 1, 2)], (1, 0, 0)),
    "depthwise of three taps": ([conv(2, 3, 2)], (5, 2, 2)),
    "nothing between": ([nn.ReLU()], (1, 0, 0)),
    "all channels mixed": ([conv(2, 1, 1)], (2, 1, 1)),
    "channels changed over": ([mnn.ChannelShuffle(2), nn.Tanh(), mnn.ChannelShuffle(2)], None),
    "a skip": ([mnn.Residual(mnn.Sequential(conv(2, 3, 2), nn.ELU(), conv(2, 3, 2)))], None),
    "a pool": ([mnn.AvgPool1d(3, stride=1)], None),
    "grouped, then mixed": ([conv(2, 3, 2, dilation=2), conv(2, 1, 1)], None),
    "joined": ([mnn.Branches([conv(2, 3, 2), conv(2, 1, 2)], merge="concat"), conv(4, 1, 2)], None),
}


def by_gradient(stack, channels=1):
    x = torch.ones(1, channels, 64, dtype=torch.float64, requires_grad=True)
    for parameter in stack.parameters():
        parameter.data = torch.rand_like(parameter) + 0.5
    y, fields = x, []
    for layer in stack:
        y = layer(y) if not isinstance(layer, nn.Tanh | nn.ELU | nn.ReLU) else y
    for j in range(y.shape[2] // 2, y.shape[2] // 2 + 4):
        (gradient,) = torch.autograd.grad(y[:, :, j].sum(), x, retain_graph=True)
        read, now = gradient[0].abs().sum(0).nonzero()[:, 0], j  # of a stride of 1
        fields.append((int(read[-1] - read[0]) + 1, int(read[-1]) - now, now - int(read[0])))
    return tuple(max(0, *each) for each in zip(*fields, strict=True))


@pytest.mark.parametrize("name", STACKS)
def test_phases_in_channels_are_followed(name):
    between, numbers = STACKS[name]
    last = 4 if name == "joined" else 2
    stack = mnn.Sequential(mnn.PixelUnshuffle1d(2), *between, mnn.PixelShuffle1d(2)).double().eval()
    assert stack.output_channels(1) == last // 2
    found = reads_map(list(stack), 0, 1)
    reach = (found.receptive_field, found.latency, found.lookback)
    assert reach == by_gradient(stack)
    assert numbers is None or reach == numbers
    assert trace(stack, (1, 64)).total.receptive_field == (reach[0],)


def test_both_axes_of_an_image_and_the_verdict_know_it():
    stack = mnn.Sequential(
        mnn.PixelUnshuffle2d(2), mnn.Conv2d(4, 4, 3, groups=4, padding="same"), mnn.PixelShuffle2d(2)
    )
    for cone in receptive(stack, axes=("height", "width"), channels=1):
        assert cone.formula == cone.measured
        assert (cone.formula.receptive_field, cone.formula.latency, cone.formula.lookback) == (5, 2, 2)
    sound = mnn.Sequential(mnn.PixelUnshuffle1d(2), conv(2, 1, 2), mnn.PixelShuffle1d(2))
    found = prove(sound, channels=1, dims=1)
    assert (found.causal, found.formula, found.structure, found.agrees) == (True, 0, True, True)
