"""The quick way to a map's numbers against its sets of indices, and how long it takes on large ones."""

from __future__ import annotations

import math
import random
import time
from fractions import Fraction

import numpy as np
import pytest

from mediaconv import nn
from mediaconv.nn.composed_maps import Chain, Parallel
from mediaconv.nn.geometry import AxisMap, Interpolated, Transposed, Window


def random_map(rng: random.Random) -> AxisMap:
    k, s, d, left = rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 3), rng.randint(-1, 4)
    kinds = [
        Window(k, s, d, left, 2),
        Transposed(k, s, d if rng.random() < 0.4 else 1, rng.randint(0, 2), 1),
        Interpolated(s, causal=rng.random() < 0.5),
    ]
    return rng.choice(kinds)


def by_sets(m: AxisMap) -> tuple[int, int, int]:
    """Receptive field, latency and look-back from the sets of a whole period, one output at a time."""
    spans = []
    for j in range(m.period):
        read = m.reads(np.array([j]))
        if len(read):
            now = math.floor(j * m.total_stride)
            spans.append((int(read[0]) - now, int(read[-1]) - now))
    spans = spans or [(0, -1)]
    back = max(0, max(-low for low, _ in spans))
    return max(high - low + 1 for low, high in spans), max(0, max(high for _, high in spans)), back


@pytest.mark.parametrize("seed", range(12))
def test_ends_are_those_of_the_sets(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        m: AxisMap = Chain(tuple(random_map(rng) for _ in range(rng.randint(1, 4))))
        if rng.random() < 0.3:
            m = Parallel((m, Chain((m, Window(3, 1, 2, 1, 3)))))
        if m.period > 200:
            continue
        assert (m.receptive_field, m.latency, m.lookback) == by_sets(m), m


def test_phases_without_number_are_bounded() -> None:
    up = Chain((Transposed(1000, 1000),) * 3)
    assert up.period == 10**9
    assert (up.receptive_field, up.latency, up.lookback) == (1, 0, 0)
    assert up.total_stride == Fraction(1, 10**9)
    low, high = Chain((Window(3, 1, 1, 1, 1), Transposed(4, 2, 1, 1, 1))).bounds()
    assert (low, high) == (-2, Fraction(3, 2))  # -1 ... 1/2 of the transposed one, -1 ... 1 of the window


LARGE = {
    "three upsamplings by 64": lambda: nn.Sequential(*[nn.Upsample1d(64) for _ in range(3)]),
    "three linear upsamplings by 64": lambda: nn.Sequential(*[nn.Upsample1d(64, "linear") for _ in range(3)]),
    "three upsamplings by 1000": lambda: nn.Sequential(*[nn.Upsample1d(1000) for _ in range(3)]),
    "30,001 taps": lambda: nn.Sequential(*[nn.CausalConv1d(1, 1, 30001, 2) for _ in range(3)]),
    "a dilation of 10**7": lambda: nn.Sequential(*[nn.CausalConv1d(1, 1, 3, dilation=10**7)] * 3),
    "transposed with gaps": lambda: nn.ConvTranspose1d(1, 1, 3, 10**6),
    "transposed": lambda: nn.Sequential(*[nn.CausalConvTranspose1d(1, 1, 160, 40) for _ in range(3)]),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_stacks_are_quick(name: str) -> None:
    stack = LARGE[name]()
    began = time.perf_counter()
    assert nn.geometry(stack).latency in (0, 1)
    assert nn.geometry(stack).receptive_field >= 1
    assert time.perf_counter() - began < 2  # sets of indices took 40 s and more


def test_a_thousand_layers_are_traced_in_little_time_and_exactly() -> None:
    import mediaconv.nn as mnn
    from mediaconv.nn.summary.trace import trace

    began = time.process_time()
    rows = trace(mnn.Sequential(*(mnn.Conv1d(1, 1, 3) for _ in range(1000))), (1, 5)).rows
    assert (rows[-1].receptive_field, rows[-1].latency) == ((2001,), 2000)
    assert time.process_time() - began < 6  # 1.3 s; 12 s where each row counts from the stack's beginning
    deep = Chain((Window(3, 2, left=1, right=1),) * 200)
    assert (deep.receptive_field, deep.latency) == (2**201 - 1, 2**200 - 1)
