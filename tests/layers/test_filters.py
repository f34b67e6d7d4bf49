"""Kernels against scipy, numpy and the physics of their names, in every causal mode."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.layers.filters import filter_keys as specs
from mediaconv.layers.filters.fill import (
    KERNELS,
    MODES,
    filter_count,
    kernel_size,
    make_kernel,
    parse_kernel,
)
from mediaconv.nn.layers.masks import causal_mask, raster_mask

REQUIRED = {
    "low_pass": {"cutoff_hz": 1000},
    "high_pass": {"cutoff_hz": 1000},
    "band_pass": {"band": [500, 900]},
}
ALL = [(name, dims) for name, rule in KERNELS.items() for dims in rule.spec.dims]
WITH_MODES = [
    (name, dims, mode) for (name, dims), mode in itertools.product(ALL, MODES) if dims > 1 or mode != "raster"
]


def numbers(name: str, options: dict | None = None, **how) -> np.ndarray:
    return make_kernel(name, {**REQUIRED.get(name, {}), **(options or {})}, rate_hz=8000, **how).numpy()


def unit_impulse(dims: int) -> np.ndarray:
    x = np.zeros((21,) * dims)
    x[(10,) * dims] = 1
    return x


def as_correlation(response: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The kernel whose correlation gave this response to an impulse in the middle."""
    middle = tuple(slice(10 - k // 2, 10 + k // 2 + 1) for k in size)
    return np.flip(response[middle])


def test_the_registry_is_the_configurations():
    assert list(KERNELS) == list(specs.KERNELS)
    assert all(rule.spec is specs.KERNELS[name] for name, rule in KERNELS.items())
    assert KERNELS["low_pass"].spec.model_fields["cutoff_hz"].is_required()
    assert KERNELS["gaussian"].spec.model_fields["sigma"].default == 1.0
    assert KERNELS["gabor"].spec.dims == (2, 3)


@pytest.mark.parametrize(("name", "dims", "mode"), WITH_MODES)
def test_every_kernel_has_its_default_size_and_finite_float64_numbers(name, dims, mode):
    bank = make_kernel(name, REQUIRED.get(name), dims=dims, mode=mode, rate_hz=8000)
    spec = parse_kernel(name, REQUIRED.get(name))
    assert bank.shape == (filter_count(spec), *kernel_size(spec, dims))
    assert bank.dtype == torch.float64
    assert torch.isfinite(bank).all()
    assert bank.abs().sum() > 0


@pytest.mark.parametrize(("name", "dims", "mode"), WITH_MODES)
def test_no_kernel_has_numbers_on_future_taps(name, dims, mode):
    bank = make_kernel(name, REQUIRED.get(name), dims=dims, mode=mode, rate_hz=8000)
    size = bank.shape[1:]
    if mode == "mask":
        assert not bank[:, ~causal_mask(size, [1] * dims, 0)].any()
    if mode == "raster":
        assert not bank[:, ~raster_mask(size, [1] * dims, "B")].any()
        later = make_kernel(
            name, REQUIRED.get(name), dims=dims, mode=mode, raster_type="A", kernel_size=(5,) * dims
        )
        assert not later[:, ~raster_mask((5,) * dims, [1] * dims, "A")].any()


@pytest.mark.parametrize(
    ("name", "dims", "mode"),
    [c for c in WITH_MODES if not KERNELS[c[0]].delays and (c[0], c[2]) != ("gabor", "pad")],
)
def test_a_constant_gets_the_answer_of_the_standard_kernel(name, dims, mode):
    # sums of a few dozen float64 numbers: 1e-12 is their rounding. Under pad a gabor is twice as deep.
    assert numbers(name, dims=dims, mode=mode).sum(axis=tuple(range(1, dims + 1))) == pytest.approx(
        numbers(name, dims=dims).sum(axis=tuple(range(1, dims + 1))), abs=1e-12
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_derivatives_equal_scipys(name, dims):
    oracle = getattr(scipy.ndimage, name)
    for i, axis in enumerate(specs.AXES_OF[dims]):
        expected = as_correlation(oracle(unit_impulse(dims), axis=i), (3,) * dims)
        assert np.array_equal(numbers(name, {"axis": axis}, dims=dims, kernel_size=(3,) * dims)[0], expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_laplacian_and_sharpen_equal_scipys(dims):
    expected = as_correlation(scipy.ndimage.laplace(unit_impulse(dims)), (3,) * dims)
    assert np.array_equal(numbers("laplacian", dims=dims, kernel_size=(3,) * dims)[0], expected)
    identity = numbers("identity", dims=dims)[0]
    sharpen = numbers("sharpen", {"amount": 0.5}, dims=dims, kernel_size=(3,) * dims)[0]
    assert np.array_equal(sharpen, identity - 0.5 * expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_gaussian_equals_scipys(dims, sigma):
    made = numbers("gaussian", {"sigma": sigma}, dims=dims)[0]
    expected = as_correlation(scipy.ndimage.gaussian_filter(unit_impulse(dims), sigma), made.shape)
    # products of exponentials in another order: float64 rounding
    assert made == pytest.approx(expected, abs=1e-15)


def test_box_and_emboss_are_as_written():
    assert np.array_equal(numbers("box", dims=2, kernel_size=(2, 4))[0], np.full((2, 4), 1 / 8))
    assert np.array_equal(numbers("emboss", dims=2)[0], [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    assert np.array_equal(
        numbers("emboss", dims=3, kernel_size=(3, 3, 3))[0, 1], numbers("emboss", dims=2)[0]
    )


def test_gabor_equals_a_plain_loop():
    options = {"orientations": 3, "wavelength": 5, "sigma": 1.5, "gamma": 0.7, "phase": 0.4}
    made = numbers("gabor", options, dims=2, kernel_size=(7, 9))
    for k, row, column in itertools.product(range(3), range(7), range(9)):
        x, y, angle = column - 4, row - 3, math.pi * k / 3
        along = x * math.cos(angle) + y * math.sin(angle)
        across = -x * math.sin(angle) + y * math.cos(angle)
        expected = math.exp(-(along**2 + (0.7 * across) ** 2) / (2 * 1.5**2))
        expected *= math.cos(2 * math.pi * along / 5 + 0.4)
        assert made[k, row, column] == pytest.approx(expected, abs=1e-14)  # libm against numpy: last bits


def test_gabor_answers_to_stripes_of_its_own_orientation_alone():
    bank = make_kernel("gabor", {"orientations": 4, "wavelength": 4, "sigma": 3}, dims=2)
    columns = torch.arange(64, dtype=torch.float64)
    upright = torch.cos(columns * math.pi / 2).expand(64, 64)
    energy = torch.nn.functional.conv2d(upright[None, None], bank[:, None]).square().mean((0, 2, 3))
    assert energy.argmax() == 0
    assert energy[0] > 1000 * energy[2]


# sizes and time


def brightness(values: str, axis: str, dims: int) -> torch.Tensor:
    """A signal that changes along one axis only: `steps` is its index there, `noise` anything at all."""
    names = specs.AXES_OF[dims]
    shape = [1] * dims
    shape[names.index(axis)] = 12
    generator = torch.Generator().manual_seed(0)
    line = torch.arange(12.0) if values == "steps" else torch.rand(12, generator=generator)
    return line.double().reshape(shape).expand((12,) * dims)[None, None]


def layer(
    name: str, dims: int, mode: str, options: dict | None = None, size: tuple | None = None
) -> torch.nn.Module:
    """A layer of ours with the kernel in it, in float64."""
    bank = make_kernel(name, options, dims=dims, mode=mode, kernel_size=size)
    kind = getattr(mnn, f"Conv{dims}d" if mode == "none" else f"CausalConv{dims}d")
    more = {"padding": "same"} if mode == "none" else {"mode": mode}
    conv = kind(1, len(bank), bank.shape[1:], bias=False, **more).double()
    with torch.no_grad():
        conv.weight.copy_(bank[:, None])
    return conv


def inside(y: torch.Tensor) -> torch.Tensor:
    """What padding does not reach."""
    return y[(slice(None), slice(None), *[slice(5, -5)] * (y.ndim - 2))].detach()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["sobel", "prewitt"])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_a_derivative_sees_its_axis_alone_and_the_same_slope_in_every_mode(name, mode, k):
    for dims in (1, 2, 3):
        if (dims == 1 and mode == "raster") or (k == 2 and mode in ("mask", "raster")):
            continue
        for axis in specs.AXES_OF[dims]:
            conv = layer(name, dims, mode, {"axis": axis}, (k,) * dims)
            standard = layer(name, dims, "none", {"axis": axis}, (k,) * dims)
            rising = inside(conv(brightness("steps", axis, dims)))
            assert rising.min() > 0
            # the response to a slope of 1, rounded: sums of up to 125 float64 numbers
            assert rising.numpy() == pytest.approx(
                inside(standard(brightness("steps", axis, dims))).numpy(), rel=1e-12
            )
            for other in set(specs.AXES_OF[dims]) - {axis}:
                assert inside(conv(brightness("noise", other, dims))).abs().max() < 1e-11


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("mode", ["none", "pad", "mask"])
@pytest.mark.parametrize("dims", [1, 3])
def test_motion_is_the_present_minus_the_past(dims, mode, lag):
    x = torch.rand(1, 1, *(9, 4, 5)[:dims], dtype=torch.float64)
    y = layer("motion", dims, mode, {"lag": lag})(x)
    assert torch.equal(y[:, :, lag:], x[:, :, lag:] - x[:, :, :-lag])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 3, 3), (4, 2, 3)])
def test_identity_passes_everything_on(mode, size):
    x = torch.rand(1, 1, 5, 4, 6, dtype=torch.float64)
    assert torch.equal(layer("identity", 3, mode, size=size)(x), x)


@pytest.mark.parametrize("mode", ["pad", "mask"])
def test_a_causal_gaussian_weighs_the_present_most(mode):
    profile = numbers("gaussian", {"sigma": 2}, dims=1, mode=mode)[0]
    used = profile[profile > 0]
    expected = np.exp(-0.5 * (np.arange(1 - len(used), 1) / 2) ** 2)
    assert used == pytest.approx(expected / expected.sum(), rel=1e-12)  # sums in another order
    assert len(used) == (17 if mode == "pad" else 9)


def test_time_axis_1_is_the_transpose_of_time_axis_0():
    for name, mode in itertools.product(("box", "laplacian", "gaussian"), ("pad", "mask")):
        rows = numbers(name, dims=2, mode=mode, kernel_size=(5, 3))
        columns = numbers(name, dims=2, mode=mode, kernel_size=(3, 5), time_axis=1)
        assert np.allclose(columns, rows.transpose(0, 2, 1), rtol=0, atol=1e-15)  # a product in another order


def test_picture_kernels_take_each_frame_of_a_film_by_itself():
    for name in ("sharpen", "laplacian", "sobel", "prewitt", "emboss"):
        film = numbers(name, dims=3)
        assert film.shape == (1, 1, 3, 3)
        assert np.array_equal(film[:, 0], numbers(name, dims=2))


# low, high and band pass


def gain(taps: np.ndarray, hz: float, rate_hz: float) -> float:
    """Amplitude of a tone of amplitude 1 after the filter, by playing it."""
    tone = np.cos(2 * np.pi * hz / rate_hz * np.arange(len(taps) + 4000))
    return np.abs(np.correlate(tone, taps, mode="valid")).max()


CASES = [
    ("low_pass", {"cutoff_hz": 2000}, [100, 1000], [3000, 10000]),
    ("high_pass", {"cutoff_hz": 2000}, [3000, 10000], [100, 1000]),
    ("band_pass", {"band": [2000, 5000]}, [3000, 4000], [500, 1000, 6500, 12000]),
]


@pytest.mark.parametrize("mode", ["none", "pad", "mask"])
@pytest.mark.parametrize(("name", "options", "kept", "killed"), CASES)
def test_a_tone_is_kept_or_killed(name, options, kept, killed, mode):
    taps = make_kernel(name, {**options, "taps": 301}, dims=1, rate_hz=44100, mode=mode)[0].numpy()
    for hz in kept:
        assert gain(taps, hz, 44100) == pytest.approx(1, abs=0.005)  # a Hamming window's ripple is 0.2%
    for hz in killed:
        assert gain(taps, hz, 44100) < 0.005


def test_filters_equal_scipys_and_use_what_a_mode_leaves():
    expected = scipy.signal.firwin(101, 1000, fs=8000)
    assert np.array_equal(numbers("low_pass", dims=1)[0], expected)
    assert np.array_equal(numbers("low_pass", dims=1, mode="pad")[0], expected)
    masked = numbers("low_pass", dims=1, mode="mask")[0]
    assert np.array_equal(masked[:51], scipy.signal.firwin(51, 1000, fs=8000))
    assert not masked[51:].any()


@pytest.mark.parametrize("mode", ["none", "pad", "mask"])
@pytest.mark.parametrize("name", list(REQUIRED))
def test_even_filters_delay_by_whole_samples(name, mode):
    taps = numbers(name, dims=1, kernel_size=(64,), mode=mode)[0]
    used = np.trim_zeros(taps)
    assert len(used) % 2 == 1
    assert used == pytest.approx(used[::-1], abs=1e-12)  # scipy's own symmetry is to the last bits


# errors


@pytest.mark.parametrize(
    ("name", "options", "how", "words"),
    [
        ("gausian", {}, {}, r"kernel: got 'gausian'.*low_pass.*did you mean 'gaussian'"),
        ("gaussian", {"sigm": 1}, {}, r"kernel\.gaussian\.sigm: got an unknown key.*did you mean 'sigma'"),
        ("gaussian", {"sigma": 0}, {}, r"sigma: got 0, expected a number > 0"),
        ("gaussian", {"sigma": 1e9}, {}, r"at most 16777216"),
        ("gaussian", {"sigma": 1e-300}, {"kernel_size": (4,)}, r"sigma.*use an odd"),
        ("gabor", {}, {}, r"gabor.*2D or 3D.*1D"),
        ("motion", {}, {"dims": 2}, r"motion.*1D or 3D"),
        ("low_pass", {"cutoff_hz": 10}, {"dims": 2, "rate_hz": 100}, r"low_pass.*in 1D"),
        ("sobel", {"axis": "x"}, {}, r"axis.*'x', expected t"),
        ("sobel", {"axis": "t"}, {"dims": 2}, r"axis.*'t', expected x or y"),
        ("sobel", {}, {"kernel_size": (1,)}, r"kernel_size along t: got 1"),
        ("sobel", {}, {"kernel_size": (2,), "mode": "mask"}, r"got 2, of which 1 may be used"),
        ("laplacian", {}, {"kernel_size": (1,)}, r"one tap"),
        ("laplacian", {}, {"kernel_size": (2,)}, r"got 2, expected 3 or more"),
        ("emboss", {}, {"dims": 2, "kernel_size": (3, 1)}, r"along x: got 1, expected 3"),
        ("motion", {"lag": 3}, {"kernel_size": (5,)}, r"lag: got 3.*kernel_size of 7"),
        ("box", {}, {"kernel_size": (3, 3)}, r"kernel_size: got \[3, 3\], expected 1 integers"),
        ("box", {}, {"kernel_size": (0,)}, r"kernel_size: got \[0\]"),
        ("box", {}, {"mode": "causal"}, r"mode: got 'causal', expected one of none, pad, mask, raster"),
        ("box", {}, {"dims": 2, "kernel_size": (1, 1), "mode": "raster", "raster_type": "A"}, r"every tap"),
        ("low_pass", {"cutoff_hz": 4000}, {"rate_hz": 8000}, r"cut-off of 4000 Hz.*less than.*4000 Hz"),
        ("band_pass", {"band": [100, 5000]}, {"rate_hz": 8000}, r"5000 Hz"),
        ("low_pass", {"cutoff_hz": 100}, {}, r"needs the rate"),
        ("low_pass", {}, {"rate_hz": 8000}, r"cutoff_hz: is required"),
        ("low_pass", {"cutoff_hz": 9, "taps": 3}, {"rate_hz": 80, "mode": "mask"}, r"got 2 taps that may"),
    ],
)
def test_errors_say_what_came_and_what_is_allowed(name, options, how, words):
    with pytest.raises(UsageError, match=words):
        make_kernel(name, options, **{"dims": 1, **how})
