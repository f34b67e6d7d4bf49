"""What the compiled loops take: sizes of a layer, how values are stored, codes of functions, vector widths.

Plain values; Numba is not loaded here.
"""

from __future__ import annotations

import platform
from typing import NamedTuple

from llvmlite import binding  # type: ignore[import-untyped]

__all__ = ["ACCUMULATORS", "LANES", "SUPPORTED", "TILE", "UNROUNDED", "Layer", "Quantum"]

_FEATURES = binding.get_host_cpu_features()
SUPPORTED = bool(_FEATURES.get("fma")) or platform.machine().lower() in ("aarch64", "arm64")
"""Whether this CPU has fused multiply-add; without it each would be a library call."""
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
ACCUMULATORS = 8 if LANES == 8 else 16
"""Vector registers that hold sums: half of what the instruction set has."""
TILE = LANES * ACCUMULATORS
"""Rows are computed up to a multiple of it; scratch rows are that much longer."""

# What happens to a value, as codes: activations after a layer and the function of a normalizer.
AFFINE, CLAMP, LEAKY_RELU, SIGMOID, TANH, SILU, GELU, GELU_TANH = range(8)


class Layer(NamedTuple):
    """Sizes of one layer; t, y, x are frames, rows and columns, extents are effective kernel sizes.

    top, left: rows and columns of zeros before the input (negative: input left out). phase: length of a
    line's part for one remainder of the column by stride_x; a line has stride_x of them.
    """

    channels: int
    height: int
    width: int
    interleaved: bool
    stride_t: int
    stride_y: int
    stride_x: int
    extent_t: int
    extent_y: int
    extent_x: int
    top: int
    left: int
    out_width: int
    phase: int


class Quantum(NamedTuple):
    """How a finished value is stored: round(v * scale) in low ... high; a scale of 0 stores it as it is.

    Scaled values below `below` or above `above` count as clipped.
    """

    scale: float
    low: float
    high: float
    below: float
    above: float


UNROUNDED = Quantum(0.0, 0.0, 0.0, 0.0, 0.0)
