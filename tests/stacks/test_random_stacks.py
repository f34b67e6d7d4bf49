"""Random stacks against the interpreter: values, shapes, parameters, and what each output reads."""

from __future__ import annotations

import math
import operator
from random import Random

import pytest
import torch
import yaml

from mediaconv.config import parse_config
from mediaconv.model.build import build_stack
from mediaconv.nn import geometry
from mediaconv.nn.summary.channel_reads import reads_map
from mediaconv.nn.summary.trace import trace
from mediaconv.pipeline import find
from tests.stacks.interpreter import Interpreter
from tests.stacks.random_stacks import StackGenerator
from tests.tally import passed

pytestmark = pytest.mark.slow

STACKS = 200
PIPELINES = {1: "audio", 2: "image", 3: "video"}
LENGTHS = {1: (29,), 2: (13, 11), 3: (9, 8, 7)}
LONG = {1: 240, 2: 64, 3: 32}
CHANNELS_MOVED = ("shuffle", "reshape")
"""Layers after which channels carry phases of an axis: of grouped layers behind them a formula is a bound."""


def draw(seed: int) -> tuple[int, object, int, list]:
    """Axes, causality, channels and layers of one random stack."""
    random = Random(seed)
    dims = random.choice([1, 1, 2, 2, 3])
    causal = random.choice([False, False, True, "pad", "mask"])
    channels = random.randint(1, 4)
    return dims, causal, channels, StackGenerator(random, dims, causal).stack(channels)[0]


def built(dims: int, causal: object, channels: int, layers: list, seed: int) -> torch.nn.Module:
    """The program's stack in float64, with norms that have seen something."""
    text = yaml.safe_dump(
        {"pipeline": PIPELINES[dims], "input": "i", "output": "o", "causal": causal, "stack": layers}
    )
    stack = build_stack(parse_config(text), find(PIPELINES[dims]), channels=channels, rate_hz=48000).double()
    torch.manual_seed(seed)
    for name, value in stack.state_dict().items():
        if value.is_floating_point() and ("running" in name or value.ndim == 1):
            value.copy_(torch.rand_like(value) + 0.5)
    return stack


def check(seed: int) -> None:
    """One random stack: the same values, shapes and numbers by both. Raises AssertionError with the stack."""
    try:
        compare(seed)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {draw(seed)}") from error
    passed["interpreted stacks"] += 1


def compare(seed: int) -> None:
    """The same values, shapes and numbers by the program and the interpreter."""
    dims, causal, channels, layers = draw(seed)
    stack = built(dims, causal, channels, layers, seed)
    x = torch.randn(1, channels, *LENGTHS[dims], dtype=torch.float64)
    shapes: list = []
    with torch.no_grad():
        expected = Interpreter(dims, stack.state_dict(), causal=causal).run(layers, x, shapes=shapes)
        came = stack(x)
    assert came.shape == expected.shape
    # sums in another order; float64 has 2e-16, products of gates and branches grow it
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(came, expected, rtol=0, atol=1e-12 * max(1.0, largest))
    if 0 not in expected.shape:
        told = trace(stack, x.shape[1:])
        assert [row.after for row in told.rows if row.depth == 0] == shapes
        assert told.total.parameters == sum(p.numel() for p in stack.parameters())
    for axis in range(dims):
        check_reads(seed, axis, layers)


def check_reads(seed: int, axis: int, layers: list) -> None:
    """An output in the middle reads, by gradient, as far back and ahead as the formula says."""
    dims, causal, channels, _ = draw(seed)
    stack = built(dims, causal, channels, layers, seed)
    weights = {k: torch.rand_like(v) + 0.5 for k, v in stack.state_dict().items() if v.is_floating_point()}
    lengths = [LONG[dims] if a == axis else 8 for a in range(dims)]
    x = torch.ones(1, channels, *lengths, dtype=torch.float64, requires_grad=True)
    y = Interpreter(dims, weights, causal=causal, opened=True).run(layers, x)
    if 0 in y.shape:
        return
    found = geometry(stack, axis)
    others = [d for d in range(x.ndim) if d != axis + 2]
    behind = ahead = 0
    middle = y.shape[axis + 2] // 2
    for j in range(middle, min(middle + found.period, y.shape[axis + 2])):
        (gradient,) = torch.autograd.grad(y.select(axis + 2, j).sum(), x, retain_graph=True)
        read = gradient.abs().sum(others).nonzero()[:, 0].tolist()
        own = math.floor(j * found.total_stride)
        if read:
            behind, ahead = max(behind, own - read[0]), max(ahead, read[-1] - own)
    tight = not any(word in str(layers) for word in CHANNELS_MOVED)
    by_channel = reads_map(list(stack), axis, channels)
    assert behind <= by_channel.lookback <= found.lookback
    assert ahead <= by_channel.latency <= found.latency
    relation = operator.eq if tight and 2 * (behind + ahead) < LONG[dims] else operator.le
    assert relation(behind, found.lookback)
    assert relation(ahead, found.latency)


@pytest.mark.parametrize("first", range(0, STACKS, 20))
def test_random_stacks_are_what_an_interpreter_makes_of_them(first: int) -> None:
    for seed in range(first, first + 20):
        check(seed)
