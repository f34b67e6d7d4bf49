"""How far two outputs are from each other: streamed, block by block, with memory that the block bounds.

Every metric takes one channel of both outputs, already in the signal's range ([0, 1] for pictures, [-1, 1]
for sound), and compares `a` with the reference `b`. It opens no files and knows of no stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from mediaconv.errors import UsageError, nearest

FFT_SIZE = 2048
HOP = 512
SHORTEST = 32
"""Samples; fewer lie where the window is so near 0 that even a full-scale sound is below `POWER_FLOOR`."""
POWER_FLOOR = 1e-10
"""Spectral power below which two bins count as equally silent: -100 dB of a full-scale sample."""


class Metric(Protocol):
    """One streamed comparison. `result` is a flat mapping from names to numbers, None where undefined."""

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Append the next block of both; shapes are equal, the stream axis first."""

    def result(self) -> dict[str, float | None]:
        """The numbers over all that was added."""


class Difference:
    """Mean and largest absolute difference, and the sums that PSNR and SNR are made of.

    peak: largest value of the signal, for PSNR: `10 log10(peak² / mse)`; None leaves PSNR out.
    snr: add the signal-to-noise ratio `10 log10(sum b² / sum (a-b)²)`, b being the signal.
    Equal outputs have no PSNR or SNR (they would be infinite): None, with a largest difference of 0.
    """

    def __init__(self, *, peak: float | None = 1.0, snr: bool = False) -> None:
        self._peak, self._snr = peak, snr
        self._count = 0
        self._absolute = self._squared = self._signal = self._largest = 0.0

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        if not a.size:
            return
        d = np.subtract(a, b, dtype=np.float64)
        self._squared += float(np.einsum("i,i->", d.ravel(), d.ravel()))
        np.abs(d, out=d)
        self._absolute += float(d.sum())
        self._largest = max(self._largest, float(d.max()))
        if self._snr:
            signal = np.asarray(b, np.float64).ravel()
            self._signal += float(np.einsum("i,i->", signal, signal))
        self._count += d.size

    def result(self) -> dict[str, float | None]:
        n = self._count
        out: dict[str, float | None] = {
            "mean_difference": self._absolute / n if n else None,
            "max_difference": self._largest if n else None,
        }
        if self._peak is not None:
            out["psnr_db"] = decibels(self._peak**2, self._squared / n if n else 0.0)
        if self._snr:
            out["snr_db"] = decibels(self._signal, self._squared)
        return out


def decibels(signal: float, noise: float) -> float | None:
    """`10 log10(signal / noise)`, None where either is zero.

    >>> decibels(1.0, 0.01)
    20.0
    """
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


class Ssim:
    """Mean structural similarity (scikit-image; uniform window of 7, or less in a smaller picture).

    frames: True where each step of the stream is a picture of its own (film: (n, H, W), the mean over
        frames), False where the steps are the rows of one picture ((n, W)).
    Rows come in blocks of any size; windows reach across their seams.
    """

    def __init__(self, *, frames: bool) -> None:
        self._frames = frames
        self._sum = 0.0
        self._count = 0
        self._rows: list[np.ndarray] | None = None
        self._slid = False

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        if self._frames:
            for one, other in zip(a, b, strict=True):
                self._take(one, other, window_size(one.shape))
            return
        rows = [np.asarray(a, np.float64), np.asarray(b, np.float64)]
        if self._rows is not None:
            rows = [np.concatenate(pair) for pair in zip(self._rows, rows, strict=True)]
        size = window_size((7, rows[0].shape[1]))
        if size and len(rows[0]) > 2 * size:
            self._take(rows[0], rows[1], size)
            rows = [x[len(x) - size + 1 :] for x in rows]
            self._slid = True
        self._rows = rows

    def _take(self, a: np.ndarray, b: np.ndarray, size: int) -> None:
        from skimage.metrics import structural_similarity

        if not size or min(a.shape) < size:
            return
        _, similarity = structural_similarity(
            np.asarray(a, np.float64), np.asarray(b, np.float64), win_size=size, data_range=1.0, full=True
        )
        edge = size // 2
        inner = similarity[edge : a.shape[0] - edge, edge : a.shape[1] - edge]
        self._sum += float(inner.sum())
        self._count += inner.size

    def result(self) -> dict[str, float | None]:
        if self._rows is not None:
            a, b = self._rows
            self._take(a, b, window_size((7, a.shape[1]) if self._slid else a.shape))
            self._rows = None
        return {"ssim": self._sum / self._count if self._count else None}


def window_size(shape: tuple[int, ...]) -> int:
    """SSIM's window in a picture of this shape: 7, or the largest odd number that fits; 0 below 3.

    >>> window_size((100, 80)), window_size((6, 80)), window_size((2, 80))
    (7, 5, 0)
    """
    side = min(7, *shape)
    return 0 if side < 3 else side - (side + 1) % 2


class LogSpectral:
    """Log-spectral distance in dB (Gray and Markel 1976): per frame of 2,048 samples, every 512, the root
    mean square over frequencies of `10 log10(Pa / Pb)`; then the mean over frames. The last frame is filled
    up with zeros; power below `POWER_FLOOR` counts as the floor. None below `SHORTEST` samples.
    """

    def __init__(self) -> None:
        self._held = [np.zeros(0), np.zeros(0)]
        self._sum = 0.0
        self._frames = self._samples = 0

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        self._samples += len(a)
        new = (np.asarray(x, np.float64) for x in (a, b))
        self._held = [np.concatenate([x, y]) for x, y in zip(self._held, new, strict=True)]
        count = (len(self._held[0]) - FFT_SIZE) // HOP + 1
        if count > 0:
            used = (count - 1) * HOP + FFT_SIZE
            self._measure(self._held[0][:used], self._held[1][:used])
            self._held = [x[count * HOP :] for x in self._held]

    def _measure(self, a: np.ndarray, b: np.ndarray) -> None:
        distance = log_power(a) - log_power(b)
        self._sum += float(np.sqrt((distance**2).mean(axis=0)).sum())
        self._frames += distance.shape[1]

    def result(self) -> dict[str, float | None]:
        rest = len(self._held[0])
        if rest and (rest > FFT_SIZE - HOP or not self._frames):
            fill = (0, FFT_SIZE - rest)
            self._measure(np.pad(self._held[0], fill), np.pad(self._held[1], fill))
            self._held = [np.zeros(0), np.zeros(0)]
        return {"log_spectral_distance_db": self._sum / self._frames if self._samples >= SHORTEST else None}


def log_power(x: np.ndarray) -> np.ndarray:
    """Power spectra in dB of a full-scale sample, floored. Shape: (T,) to (1025, frames)."""
    import librosa

    scale = FFT_SIZE / 2
    spectrum = librosa.stft(x, n_fft=FFT_SIZE, hop_length=HOP, center=False) / scale
    return 10 * np.log10(np.maximum(np.abs(spectrum) ** 2, POWER_FLOOR))


class Combined:
    """Several metrics over the same blocks."""

    def __init__(self, *parts: Metric) -> None:
        self._parts = parts

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        for part in self._parts:
            part.add(a, b)

    def result(self) -> dict[str, float | None]:
        return {name: number for part in self._parts for name, number in part.result().items()}


OTHERS: dict[str, Callable[[], Metric]] = {
    "ssim": lambda: Ssim(frames=False),
    "ssim_frames": lambda: Ssim(frames=True),
    "log_spectral": LogSpectral,
}
NAMES = ("psnr", "snr", *OTHERS)


def make_metrics(names: Sequence[str]) -> Metric:
    """Mean and largest difference of one channel, and the metrics of these names (`Pipeline.metrics`).

    Raises UsageError for a name that is not known.

    >>> list(make_metrics(["psnr", "ssim_frames"]).result())
    ['mean_difference', 'max_difference', 'psnr_db', 'ssim']
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(
                f"metrics: got {name!r}, expected some of {', '.join(NAMES)}{nearest(name, NAMES)}"
            )
    difference = Difference(peak=1.0 if "psnr" in names else None, snr="snr" in names)
    return Combined(difference, *(OTHERS[name]() for name in names if name in OTHERS))
