"""Normalizers against formulas written out in numpy, at the ends and middles of both signal ranges."""

import numpy as np
import pytest
import torch

from mediaconv.compute.normalize import NORMALIZERS, MinMax, make_normalizer
from mediaconv.errors import ConfigError

PICTURE, SOUND = (0.0, 1.0), (-1.0, 1.0)
X = np.array([-100.0, -3.0, -1.0, -0.25, 0.0, 0.25, 1.0, 3.0, 100.0])


def normalized(name, options, signal_range):
    return make_normalizer(name, options, signal_range)(torch.tensor(X, dtype=torch.float32)).numpy()


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("name", "options", "signal_range", "expected"),
    [
        ("sigmoid", {}, PICTURE, logistic(X)),
        ("sigmoid", {"gain": 4, "bias": -0.5}, PICTURE, logistic(4 * X - 0.5)),
        ("sigmoid", {}, SOUND, 2 * logistic(X) - 1),
        ("tanh", {}, SOUND, np.tanh(X)),
        ("tanh", {"gain": 0.5}, PICTURE, np.tanh(X / 2) / 2 + 0.5),
        ("clip", {}, PICTURE, np.clip(X, 0, 1)),
        ("clip", {}, SOUND, np.clip(X, -1, 1)),
        ("clip", {"low": -3, "high": 1}, PICTURE, (np.clip(X, -3, 1) + 3) / 4),
        ("clip", {"low": -2.0, "high": None}, SOUND, (np.clip(X, -2, 1) + 2) / 3 * 2 - 1),
        ("none", {}, SOUND, X),
    ],
)
def test_values_follow_the_formula(name, options, signal_range, expected):
    # float32 of the formula in float64: two roundings of values of at most 1
    np.testing.assert_allclose(normalized(name, options, signal_range), expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "clip", "none"])
def test_silence_stays_exactly_silent(name):
    assert make_normalizer(name, {}, SOUND)(torch.zeros(5)).tolist() == [0.0] * 5


def test_quiet_sound_keeps_its_digits():
    quiet = np.array([1e-3, -1e-5, 1e-7])
    found = make_normalizer("sigmoid", {"gain": 4}, SOUND)(torch.tensor(quiet, dtype=torch.float32)).numpy()
    # three roundings of float32, whose relative size does not depend on how quiet it is
    np.testing.assert_allclose(found, np.tanh(2 * quiet), rtol=2e-7)


def test_default_clip_changes_nothing_inside_the_range():
    quiet = torch.tensor([1e-9, -1e-9, 0.5])
    assert torch.equal(make_normalizer("clip", {}, SOUND)(quiet.clone()), quiet)


def test_normalizing_works_in_place():
    x = torch.randn(10)
    assert make_normalizer("sigmoid", {"gain": 2}, SOUND)(x) is x


@pytest.mark.parametrize(("signal_range", "middle"), [(PICTURE, 0.5), (SOUND, 0.0)])
def test_minmax_maps_the_ends_over_all_chunks_and_channels(signal_range, middle):
    n = make_normalizer("minmax", {}, signal_range)
    n.observe(torch.tensor([[3.0, 4.0], [5.0, 5.0]]))
    n.observe(np.empty((2, 0), np.float32))
    n.observe(np.array([[7.0], [5.0]], np.float32))
    assert n(torch.tensor([3.0, 5.0, 7.0])).tolist() == [signal_range[0], middle, signal_range[1]]


def test_minmax_of_a_constant_is_the_middle():
    n = make_normalizer("minmax", {}, PICTURE)
    n.observe(torch.full((3,), 7.0))
    assert n(torch.full((3,), 7.0)).tolist() == [0.5] * 3


def test_minmax_keeps_detail_on_a_large_offset():
    n = make_normalizer("minmax", {}, PICTURE)
    x = torch.tensor([4096.0, 4096.5, 4097.0])
    n.observe(x)
    assert n(x.clone()).tolist() == [0.0, 0.5, 1.0]


def test_minmax_forgets_between_inputs():
    n = MinMax(PICTURE)
    n.observe(torch.tensor([-9.0, 9.0]))
    n.reset()
    n.observe(torch.tensor([0.0, 2.0]))
    assert n(torch.tensor([1.0])).tolist() == [0.5]
    n.reset()
    with pytest.raises(RuntimeError, match="observe"):
        n.steps()


def test_only_minmax_takes_two_passes():
    assert [name for name, kind in NORMALIZERS.items() if kind.two_passes] == ["minmax"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sigmiod", {}, "did you mean 'sigmoid'"),
        ("sigmoid", {"gian": 1}, r"normalize\.sigmoid\.gian: .*gain, bias.*did you mean 'gain'"),
        ("minmax", {"low": 0.0}, "no options"),
        ("tanh", {"gain": float("nan")}, "finite number"),
        ("tanh", {"gain": True}, "finite number"),
        ("clip", {"low": 2.0}, "expected low < high"),
    ],
)
def test_what_is_not_allowed_is_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_normalizer(name, options, PICTURE)
