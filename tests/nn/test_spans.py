"""First and last input of outputs through chains with gaps, against the sets of indices themselves."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import numpy as np
import pytest

from mediaconv.nn.composed_maps import Chain, Parallel
from mediaconv.nn.geometry import Interpolated, Transposed, Window
from mediaconv.nn.layers.reshape import BlockMap


def drawn(rng: random.Random, depth: int = 0):
    kind = rng.choice(["window", "window", "transposed", "transposed", "linear", "block", "parallel"])
    number = rng.randint
    if kind == "window":
        return Window(number(1, 5), number(1, 3), number(1, 4), number(0, 5), number(0, 5))
    if kind == "transposed":
        return Transposed(number(1, 4), number(1, 5), number(1, 3), number(0, 2), number(0, 2))
    if kind == "linear":
        return Interpolated(number(1, 3), causal=rng.random() < 0.5)
    if kind == "block":
        inputs, outputs, each = number(1, 3), number(1, 3), number(1, 2)
        sources = tuple(tuple(number(0, inputs - 1) for _ in range(each)) for _ in range(outputs))
        return BlockMap(inputs, sources)
    stride = number(1, 3)
    return Parallel(
        (
            Window(number(1, 4), stride, number(1, 3), number(0, 4)),
            Chain((Transposed(number(1, 3), 2), Window(number(1, 2), 2 * stride, 1, number(0, 3)))),
        )
    )


@pytest.mark.parametrize("seed", range(40))
def test_spans_are_the_ends_of_the_sets(seed):
    rng = random.Random(seed)
    chain = Chain(tuple(drawn(rng) for _ in range(rng.randint(1, 4))))
    behind, ahead, field = [0], [0], [0]
    for j in range(chain.period):
        read = chain.reads(np.array([j + 3 * chain.period]))
        now = int((j + 3 * chain.period) * chain.total_stride // 1)
        if len(read):
            behind.append(now - read[0])
            ahead.append(read[-1] - now)
            field.append(read[-1] - read[0] + 1)
    assert (chain.lookback, chain.latency, chain.receptive_field) == (max(behind), max(ahead), max(field))


def test_many_phases_with_gaps_take_a_moment():
    began = time.process_time()
    chain = Chain((Transposed(32, 64), Window(3, left=1, right=1), Transposed(32, 64), Transposed(32, 64)))
    assert (chain.receptive_field, chain.latency, chain.total_stride) == (1, 1, Fraction(1, 64**3))
    assert time.process_time() - began < 2  # it was a minute and more, output by output
