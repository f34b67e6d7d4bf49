"""How loud written sounds are: their RMS around their mean, and a note where they are too quiet to hear."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mediaconv.media.samples import SampleFormat

QUIET = 0.05
"""RMS around the mean below which a sound is quiet: 26 dB below full scale."""
BLOCK = 2**16
"""Samples that are looked at at a time: as float64 they stay in a core's second-level cache."""
OFFSET = 0.01
"""A mean as large is a DC offset that a stack has put there; recordings have none to speak of."""


class LevelMeter:
    """The mean and the RMS of each channel so far.

    format: of the samples; names: of the channels, as notes name them.
    """

    def __init__(self, format: SampleFormat, names: Sequence[str]) -> None:
        self._names = list(names)
        self._scale = 1.0 if format.floating else float(format.factor)
        self._block = np.empty(BLOCK)
        self._sum, self._squares = np.zeros((2, len(self._names)))
        self._count = 0

    def add(self, samples: np.ndarray) -> None:
        """Append samples: (C, n), as they are stored."""
        for channel, row in enumerate(samples):
            for begin in range(0, row.size, BLOCK):
                part = row[begin : begin + BLOCK]
                values = self._block[: part.size]
                np.copyto(values, part)
                self._sum[channel] += values.sum()
                self._squares[channel] += np.einsum("n,n->", values, values)
        self._count += samples.shape[1]

    def levels(self) -> list[tuple[float, float]]:
        """Of each channel the RMS around its mean, and the mean; 1.0 is full scale.

        >>> meter = LevelMeter(SampleFormat(16, signed=True), ["low"])
        >>> meter.add(np.array([[0, 16384]], np.int16))
        >>> meter.levels()
        [(0.25, 0.25)]
        """
        if not self._count:
            return []
        mean = self._sum / self._count / self._scale
        rms = np.sqrt(np.maximum(0.0, self._squares / self._count / self._scale**2 - mean**2))
        return [(float(r), float(m)) for r, m in zip(rms, mean, strict=True)]

    def notes(self) -> list[str]:
        """One note on all channels that are quiet around an offset, as without a `gain` in `normalize`."""
        levels = zip(self._names, self.levels(), strict=False)
        quiet = [(name, rms, mean) for name, (rms, mean) in levels if rms < QUIET and abs(mean) >= OFFSET]
        if not quiet:
            return []
        name, rms, mean = min(quiet, key=lambda each: each[1])
        others = f" (and {len(quiet) - 1} more)" if len(quiet) > 1 else ""
        level = f"has an RMS of {20 * math.log10(rms):.0f} dB" if rms > 1e-6 else "holds no sound"
        return [
            f"quiet: {name}{others} {level}, around a DC offset of {mean:.2g}: a larger `gain` in "
            "`normalize` scales, `bias: false` in the layers or `bias` in `normalize` centres; "
            "`mediaconv init` measures both"
        ]
