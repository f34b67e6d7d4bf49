"""The best shift against known shifts, and envelopes against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from mediaconv.compare.measure.align import ShiftFinder
from mediaconv.compare.measure.envelope import Envelope

RNG = np.random.default_rng(1)


def shifted(x, by):
    y = np.zeros_like(x)
    if by >= 0:
        y[by:] = x[: len(x) - by]
    else:
        y[:by] = x[-by:]
    return y


@pytest.mark.parametrize("by", [0, 1, 4, 37, -3, -37])
@pytest.mark.parametrize("shape", [(3000,), (400, 30), (300, 12, 40)])
@pytest.mark.parametrize("block", [1, 7, 100000])
def test_a_known_shift_is_found(by, shape, block):
    if block == 1 and len(shape) > 1:
        block = 13
    b = RNG.standard_normal(shape)
    a = 0.3 * shifted(b, by) + 0.7
    finder = ShiftFinder(40)
    for start in range(0, len(b), block):
        finder.add(a[start : start + block], b[start : start + block])
    found = finder.result()
    assert found.steps == by
    assert found.correlation > 0.8


def test_the_sums_are_those_of_numpy():
    a, b = RNG.standard_normal((2, 500))
    finder = ShiftFinder(20)
    finder.add(a[:123], b[:123])
    finder.add(a[123:], b[123:])
    found = finder.result()
    da, db = np.diff(a, prepend=a[0]), np.diff(b, prepend=b[0])
    scores = (
        np.correlate(da, db, "full")[len(b) - 1 - 20 : len(b) + 20] / np.linalg.norm(da) / np.linalg.norm(db)
    )
    assert found.steps == int(np.argmax(scores)) - 20
    assert found.correlation == pytest.approx(scores.max(), rel=1e-9)  # FFT against direct sums


def test_what_never_changes_has_no_shift():
    finder = ShiftFinder(8)
    finder.add(np.ones(50), RNG.standard_normal(50))
    assert finder.result() is None
    assert ShiftFinder(8).result() is None


def test_a_still_background_does_not_hide_an_event():
    b = np.full((60, 8, 8), 0.5)
    b[30:] += 0.01
    assert_shift = ShiftFinder(16)
    assert_shift.add(shifted(b, 5) + (np.arange(60) < 5)[:, None, None] * 0.5, b)
    assert assert_shift.result().steps == 5


@pytest.mark.parametrize("length", [1, 5, 16, 17, 1000])
@pytest.mark.parametrize("block", [1, 3, 400])
def test_an_envelope_holds_least_greatest_and_mean(length, block):
    x = RNG.standard_normal((length, 3))
    envelope = Envelope(points=8)
    for start in range(0, length, block):
        envelope.add(x[start : start + block])
    found = envelope.result()
    n = found["steps_per_point"]
    parts = [x[i : i + n] for i in range(0, length, n)]
    assert len(found["mean"]) == len(parts) <= 17
    for key, act in (("low", np.min), ("high", np.max), ("mean", np.mean)):
        assert np.allclose(found[key], [act(p) for p in parts], atol=6e-6)  # rounded to five digits
