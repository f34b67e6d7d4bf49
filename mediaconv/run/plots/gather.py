"""What a figure shows of a stream, kept in bounded memory: the first samples, an image shrunk, some frames.

Nothing is drawn here.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

MOST_SAMPLES = 2_000_000
"""Of each channel of a sound: some 45 s at 44.1 kHz."""
LONGEST_SIDE = 900
"""Pixels of an image or a frame, by leaving rows and columns out."""
MOST_FRAMES = 10
"""Frames kept of a film; when there are more, every other one goes."""


class Gathered:
    """Values of a stream, (C, n, ...) at a time, in the file's range.

    axes: how many are convolved. stride: input steps a step of this stream; steps are kept where the input's
    are, so that two streams show the same times.
    """

    def __init__(self, axes: int, lengths: tuple[int | None, ...], stride: Fraction = Fraction(1)) -> None:
        self._axes, self._stride = axes, stride
        self._every = [max(1, -(-(n or 1) // LONGEST_SIDE)) for n in lengths]
        self.steps = 0
        """How many came by."""
        self._period = 1
        self._parts: list[np.ndarray] = []
        self.frames: dict[int, np.ndarray] = {}
        """(C, H, W) by the input's step that each stands for."""
        self.low = self.high = np.empty(0)
        """Least and greatest value of each channel, of all that was seen."""

    def add(self, values: np.ndarray) -> None:
        """The next values, float (C, n, ...)."""
        if not values.size:
            return
        flat = values.reshape(len(values), -1)
        low, high = flat.min(1), flat.max(1)
        self.low = low if not self.low.size else np.minimum(self.low, low)
        self.high = high if not self.high.size else np.maximum(self.high, high)
        if self._axes == 1:
            left = MOST_SAMPLES - self.steps
            if left > 0:
                self._parts.append(values[:, :left].astype(np.float32))
        elif self._axes == 2:
            first = -self.steps % self._every[0]
            self._parts.append(values[:, first :: self._every[0], :: self._every[1]].astype(np.float32))
        else:
            self._add_frames(values)
        self.steps += values.shape[1]

    def _add_frames(self, values: np.ndarray) -> None:
        rows, columns = self._every[1:3]
        for i in range(values.shape[1]):
            time = (self.steps + i) * self._stride
            if time.denominator == 1 and int(time) % self._period == 0:
                self.frames[int(time)] = values[:, i, ::rows, ::columns].astype(np.float32)
                if len(self.frames) > MOST_FRAMES:
                    self._period *= 2
                    self.frames = {t: f for t, f in self.frames.items() if t % self._period == 0}

    @property
    def values(self) -> np.ndarray:
        """(C, n) of a sound, (C, H, W) of an image."""
        return np.concatenate(self._parts, axis=1) if self._parts else np.empty((0, 0), np.float32)
