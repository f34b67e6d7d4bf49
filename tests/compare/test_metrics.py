"""Metrics against scikit-image, librosa and closed forms, however the stream is cut."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mediaconv.compare.measure.metrics import FFT_SIZE, HOP, Difference, make_metrics
from mediaconv.pipeline import find

RNG = np.random.default_rng(0)
CUTS = [(1, 1, 1), (3, 50), (1000,), (0, 17, 0, 2)]


def feed(metric, a, b, cuts):
    """Blocks of the given sizes, over and over."""
    at, i = 0, 0
    while at < len(a):
        size = cuts[i % len(cuts)]
        metric.add(a[at : at + size], b[at : at + size])
        at, i = at + size, i + 1
    return metric.result()


@pytest.mark.parametrize("cuts", CUTS)
def test_film_is_the_mean_over_frames_of_scikit_image(cuts):
    a, b = RNG.random((2, 9, 21, 16))
    found = feed(make_metrics(["psnr", "ssim_frames"]), a, b, cuts)
    ssim = [structural_similarity(x, y, data_range=1.0) for x, y in zip(a, b, strict=True)]
    # scikit-image's running sums differ in their last bits
    assert found["ssim"] == pytest.approx(np.mean(ssim), abs=1e-12)
    assert found["psnr_db"] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1.0), rel=1e-12)
    assert found["mean_difference"] == pytest.approx(np.abs(a - b).mean(), rel=1e-12)
    assert found["max_difference"] == np.abs(a - b).max()


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("shape", [(60, 23), (7, 7), (5, 40), (3, 3), (200, 5)])
def test_image_in_bands_is_the_whole_image(shape, cuts):
    a, b = RNG.random((2, *shape))
    found = feed(make_metrics(["psnr", "ssim"]), a, b, cuts)
    side = min(7, *shape)
    whole = structural_similarity(a, b, data_range=1.0, win_size=side - (side + 1) % 2)
    assert found["ssim"] == pytest.approx(whole, abs=1e-12)  # as above


def test_pictures_too_small_for_ssim_have_none():
    a, b = RNG.random((2, 4, 2, 9))
    assert feed(make_metrics(["psnr", "ssim_frames"]), a, b, (4,))["ssim"] is None


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("length", [40, 300, FFT_SIZE, FFT_SIZE + 1, 9000])
def test_log_spectral_distance_is_that_of_librosas_whole_spectra(length, cuts):
    a, b = RNG.uniform(-1, 1, (2, length))
    if cuts[0] == 1:
        cuts = (997,)
    found = feed(make_metrics(["snr", "log_spectral"]), a, b, cuts)
    frames = max(1, -(-(length - FFT_SIZE) // HOP) + 1)
    power = []
    for x in (a, b):
        padded = np.zeros((frames - 1) * HOP + FFT_SIZE)
        padded[:length] = x
        spectrum = librosa.stft(padded, n_fft=FFT_SIZE, hop_length=HOP, center=False)
        power.append(np.maximum(np.abs(spectrum / (FFT_SIZE / 2)) ** 2, 1e-10))
    decibels = 10 * np.log10(power[0] / power[1])
    assert found["log_spectral_distance_db"] == pytest.approx(np.sqrt((decibels**2).mean(0)).mean(), rel=1e-9)
    assert found["snr_db"] == pytest.approx(10 * np.log10((b**2).sum() / ((a - b) ** 2).sum()), rel=1e-12)


def test_a_factor_of_two_is_six_decibels():
    b = np.sin(np.arange(20000) * 0.3)
    found = feed(make_metrics(["snr", "log_spectral"]), b / 2, b, (4096,))
    assert found["snr_db"] == pytest.approx(20 * np.log10(2), rel=1e-12)
    # the floor of -100 dB is reached between the partials of a pure tone
    assert 0 < found["log_spectral_distance_db"] <= 20 * np.log10(2) + 1e-9


@pytest.mark.parametrize("kind", ["audio", "image", "video", "volume"])
def test_equal_outputs_differ_by_nothing_and_have_no_infinite_number(kind):
    x = (
        RNG.random((10, 9, 9))
        if kind in ("video", "volume")
        else RNG.random((300, 9) if kind == "image" else 5000)
    )
    found = feed(make_metrics([] if kind == "volume" else find(kind).metrics), x, x, (100,))
    assert found["mean_difference"] == found["max_difference"] == 0
    assert found.get("psnr_db") is None
    assert found.get("snr_db") is None
    assert found.get("ssim", 1.0) == 1.0
    assert found.get("log_spectral_distance_db", 0.0) == 0.0


def test_nothing_added_gives_no_numbers():
    assert Difference().result() == {"mean_difference": None, "max_difference": None, "psnr_db": None}
    assert set(make_metrics(["snr", "log_spectral"]).result().values()) == {None}


@pytest.mark.parametrize("length", [1, 2, 31, 32])
def test_the_spectrum_of_a_few_samples_is_no_number(length):
    found = feed(make_metrics(["log_spectral"]), np.ones(length), np.zeros(length), (1,))
    assert found["max_difference"] == 1.0
    distance = found["log_spectral_distance_db"]
    assert distance is None if length < 32 else distance > 0


def test_pictures_have_no_numbers_before_any_is_added():
    assert make_metrics(["psnr", "ssim"]).result()["ssim"] is None
