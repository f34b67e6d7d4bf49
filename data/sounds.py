"""The sound samples: a melody with one sharp clap, and the rain and thunder of the film.

Makes arrays; writes no file. Filters are Fourier transforms in float64, so that nothing depends on the
processor until the last rounding.
"""

from __future__ import annotations

import numpy as np

RATE = 22050
"""Samples a second of the melody."""
SECONDS = 4.0
CLAP = 2.4
"""When the clap sounds, in seconds. The melody is silent from 2.1 s until then."""
FILM_RATE = 48000
"""Samples a second of the film's sound."""

SCALE = {"a": 220.0, "c": 261.63, "d": 293.66, "e": 329.63, "g": 392.0, "A": 440.0, "C": 523.25, "E": 659.26}
FIRST = ((0.0, "a"), (0.0, "e"), (0.3, "A"), (0.6, "C"), (0.9, "E"), (1.2, "C"), (1.5, "g"), (1.5, "e"))
ANSWER = ((2.8, "c"), (2.8, "g"), (3.1, "E"), (3.3, "C"), (3.5, "A"), (3.5, "a"))


def band(rng: np.random.Generator, count: int, low_hz: float, high_hz: float, rate_hz: int) -> np.ndarray:
    """Noise between two frequencies, (count,), of standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum *= np.exp(-((low_hz / np.maximum(hertz, 1.0)) ** 4) - (hertz / high_hz) ** 4)
    sound = np.fft.irfft(spectrum, count)
    return sound / sound.std()


def bell(pitch_hz: float, seconds: np.ndarray) -> np.ndarray:
    """A struck bar of that pitch, at these times since the stroke: nothing before it."""
    since = np.maximum(seconds, 0.0)
    partials = ((1.0, 1.0, 3.2), (2.0, 0.35, 5.0), (4.0, 0.22, 9.0), (6.8, 0.06, 18.0))
    tone = sum(a * np.sin(2 * np.pi * pitch_hz * f * since) * np.exp(-d * since) for f, a, d in partials)
    return tone * np.clip(since / 0.004, 0, 1)


def clap(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """Two hands: three bursts of noise within 24 ms and a short room, at these times since the first."""
    noise = band(rng, len(seconds), 700, 5200, RATE)
    loud = np.zeros_like(seconds)
    for delay, strength, decay in ((0.0, 1.0, 220.0), (0.011, 0.8, 220.0), (0.023, 0.9, 45.0)):
        since = seconds - delay
        loud += np.where(since >= 0, strength * np.exp(-decay * np.maximum(since, 0)), 0)
    return np.clip(noise * loud * 0.42, -0.98, 0.98)


def melody_clap(seed: int = 11) -> np.ndarray:
    """The melody, (88200, 2) int16: low notes lean left, high ones right, the clap is in the middle."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(int(SECONDS * RATE)) / RATE
    sound = np.zeros((len(seconds), 2))
    for notes, end in ((FIRST, 2.1), (ANSWER, SECONDS)):
        fade = np.clip((end - seconds) / 0.25, 0, 1) ** 2
        for start, name in notes:
            pitch = SCALE[name]
            right = 0.5 + 0.35 * np.clip(np.log2(pitch / 380.0), -1, 1)
            note = 0.2 * bell(pitch, seconds - start) * fade
            sound += note[:, None] * np.sqrt([1 - right, right])
    sound += clap(rng, seconds - CLAP)[:, None]
    return np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def storm(count: int, strike_seconds: float, seed: int = 12) -> np.ndarray:
    """Rain that grows, and thunder soon after the stroke: (count,) float32 at FILM_RATE, quiet."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(count) / FILM_RATE
    since = seconds - strike_seconds
    rain = band(rng, count, 900, 9000, FILM_RATE) * (0.006 + 0.014 * np.clip(since / 0.3, 0, 1))
    after = np.maximum(since - 0.12, 0)
    begun = np.clip((since - 0.12) / 0.01, 0, 1)
    crack = band(rng, count, 300, 3500, FILM_RATE) * np.exp(-14 * after) * 0.10
    rumble = band(rng, count, 40, 180, FILM_RATE) * np.exp(-1.9 * after) * 0.09
    sound = rain + begun * (crack + rumble)
    return np.clip(sound * np.clip((seconds[-1] - seconds) / 0.05, 0, 1), -0.9, 0.9).astype(np.float32)
