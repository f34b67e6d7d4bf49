"""What one stored sample is: an integer of some bits or a float, and the range of values it stands for.

Quantizing rounds to nearest, ties to even (IEEE 754, as numpy and torch do).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SampleFormat:
    """How a file stores a sample.

    bits: of a stored integer, or of a float: 32 or 64.
    signed: sound: a value v in [-1, 1] is stored as round(v * 2**(bits-1)), at most 2**(bits-1) - 1;
        otherwise pictures: v in [0, 1] is stored as round(v * (2**bits - 1)).
    floating: values are stored as float32 or float64, unrounded and unclipped.

    >>> SampleFormat(8).quantize(np.array([0.0, 0.5, 1.0], np.float32))
    array([  0, 128, 255], dtype=uint8)
    """

    bits: int
    signed: bool = False
    floating: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Numpy type that holds a stored sample: the smallest of 8, 16, 32 bits."""
        if self.floating:
            return np.dtype(f"float{self.bits}")
        width = 8 if self.bits <= 8 else 16 if self.bits <= 16 else 32
        return np.dtype(f"{'int' if self.signed else 'uint'}{width}")

    @property
    def factor(self) -> float:
        """Stored units per 1.0."""
        return float(2 ** (self.bits - 1) if self.signed else 2**self.bits - 1)

    @property
    def low(self) -> int:
        """Smallest stored integer."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest stored integer."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Values in the signal's range to stored samples; what lies outside is clipped."""
        if self.floating:
            return np.asarray(values, self.dtype)
        scaled = np.rint(np.asarray(values, np.float64) * self.factor)
        return np.clip(scaled, self.low, self.high).astype(self.dtype)


def full_scale(dtype: np.dtype) -> float:
    """The stored value that stands for 1.0 in pictures: the largest of an integer type, 1 of floats.

    >>> full_scale(np.dtype(np.uint8)), full_scale(np.dtype(np.float64))
    (255.0, 1.0)
    """
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def to_sixteen(samples: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned samples of 1 to 16 bits to uint16, stretched so that the largest is 65535.

    >>> to_sixteen(np.array([0, 512, 1023], np.uint16), 10)
    array([    0, 32800, 65535], dtype=uint16)
    """
    if bits == 16:
        return samples
    steps = np.arange(1 << bits, dtype=np.float64)
    table = np.rint(steps * 65535 / steps[-1]).astype(np.uint16)
    return table[np.minimum(samples, (1 << bits) - 1)]
