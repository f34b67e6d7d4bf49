"""The shift along the stream that aligns two outputs best, by cross-correlation in blocks.

What is correlated are changes from step to step, so that neither an offset nor a still background counts.
Memory is bounded by the block and the largest shift that is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEATURES = 16
"""Pictures are averaged down to at most so many rows and columns before they are correlated."""
TIE = 1e-9


@dataclass(frozen=True)
class Shift:
    """How `a` lies to `b`: `a[t]` is most like `b[t - steps]`; positive where `a` comes later.

    correlation: normalized cross-correlation there: 1 for equal changes.
    """

    steps: int
    correlation: float


class ShiftFinder:
    """Cross-correlation over shifts from -reach to reach.

    `sum over t of da[t] . db[t - shift] / sqrt(sum |da|² sum |db|²)`, d the change from one step to the next.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._a: np.ndarray | None = None
        self._b: np.ndarray | None = None
        self._sums = np.zeros(2 * reach + 1)
        self._energy = [0.0, 0.0]

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Append steps of both: (n, ...), shapes equal but for n, which is the same too."""
        if not len(a):
            return
        fa, fb = features(a), features(b)
        if self._last is None:
            self._last = fa[:1], fb[:1]
            self._b = np.zeros((self._reach, fb.shape[1]))
            self._a = fa[:0]
        da = np.diff(fa, axis=0, prepend=self._last[0])
        db = np.diff(fb, axis=0, prepend=self._last[1])
        self._last = fa[-1:], fb[-1:]
        self._energy[0] += float((da**2).sum())
        self._energy[1] += float((db**2).sum())
        self._a = np.concatenate([self._a, da])  # type: ignore[list-item]
        self._b = np.concatenate([self._b, db])  # type: ignore[list-item]
        if len(self._a) > 4 * self._reach:
            self._correlate()

    def _correlate(self) -> None:
        """Use up every step of `a` whose neighbours within reach are all there."""
        a, b, reach = self._a, self._b, self._reach
        if a is None or b is None:
            return
        count = len(b) - 2 * reach
        if count <= 0:
            return
        window = b[: count + 2 * reach]
        size = 1 << (len(window) - 1).bit_length()
        spectrum = np.conj(np.fft.rfft(a[:count], size, axis=0)) * np.fft.rfft(window, size, axis=0)
        self._sums += np.fft.irfft(spectrum.sum(axis=1), size)[: 2 * reach + 1]
        self._a, self._b = a[count:], b[count:]

    def result(self) -> Shift | None:
        """The best shift, the smallest of equal ones; None where an output never changes."""
        if self._b is not None:
            self._b = np.concatenate([self._b, np.zeros((self._reach, self._b.shape[1]))])
            self._correlate()
            self._b = None
        scale = float(np.sqrt(self._energy[0]) * np.sqrt(self._energy[1]))
        if scale <= 0:
            return None
        scores = self._sums / scale
        near = np.flatnonzero(scores >= scores.max() - TIE)
        best = int(near[np.argmin(np.abs(near - self._reach))])
        return Shift(self._reach - best, float(scores[best]))


def features(x: np.ndarray) -> np.ndarray:
    """What is correlated of each step: (n, ...) to (n, F), pictures averaged down to a few pixels."""
    if x.ndim < 3:
        return _narrow(np.asarray(x, np.float64).reshape(len(x), -1))
    import cv2

    height, width = x.shape[1:3]
    size = (min(width, FEATURES), min(height, FEATURES))
    return np.stack(
        [cv2.resize(np.asarray(f, np.float64), size, interpolation=cv2.INTER_AREA).ravel() for f in x]
    )


def _narrow(rows: np.ndarray) -> np.ndarray:
    """Rows averaged down to at most FEATURES² columns."""
    width, most = rows.shape[1], FEATURES**2
    if width <= most:
        return rows
    edges = np.linspace(0, width, most + 1).astype(int)[:-1]
    return np.add.reduceat(rows, edges, axis=1) / np.diff(np.append(edges, width))
