"""The end of the compute step: a stack's output in float32, normalized and rounded to stored samples.

On a CPU one compiled pass over values in the cache does all of it, the same bits wherever in a chunk a value
lies (torch's own sigmoid is not: it ends a block with another loop). On a GPU, and in float64, torch does the
same steps one by one, in place. Nothing is convolved here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.compute.normalize import Normalizer
from mediaconv.errors import ComputeError
from mediaconv.media.samples import SampleFormat

NOT_FINITE = "the stack gave NaN or infinite values: look for weights that are too large or not finite"
SLAB = 1 << 20
"""Values that are rounded at a time in float64."""


class Finisher:
    """Normalizes, rounds and counts what was clipped, over all chunks of one output.

    clipped: values so far that lay outside the signal's range by more than half a quantum.
    """

    def __init__(self, normalizer: Normalizer, sample_format: SampleFormat) -> None:
        self.clipped = 0
        self._normalizer, self._format = normalizer, sample_format
        low, high = normalizer.signal_range
        self._below = low * sample_format.factor - 0.5
        self._above = high * sample_format.factor + 0.5

    def __call__(self, values: Tensor) -> np.ndarray:
        """Stored samples (C, n, ...) of float32 or float64 values (C, n, ...), which may be overwritten.

        Raises ComputeError for NaN and infinity.
        """
        if values.numel() == 0:
            return np.empty(tuple(values.shape), self._format.dtype)
        if values.device.type != "cuda" and values.dtype == torch.float32:
            return self._compiled(values.contiguous().cpu().numpy())
        low, high = torch.aminmax(values)
        if not (math.isfinite(low.item()) and math.isfinite(high.item())):
            raise ComputeError(NOT_FINITE)
        values = self._normalizer(values)
        if self._format.floating:
            return values.contiguous().cpu().numpy().astype(self._format.dtype, copy=False)
        return self._rounded(
            values.contiguous() if values.device.type == "cuda" else values.contiguous().cpu()
        )

    def _compiled(self, values: np.ndarray) -> np.ndarray:
        from mediaconv.compute import native

        out = np.empty(values.shape, self._format.dtype)
        codes, parameters = as_arrays(kernel_functions(self._normalizer))
        finite, clipped = native.finish(
            values.reshape(-1),
            codes,
            parameters,
            kernel_quantum(self._format, self._normalizer),
            out.reshape(-1),
        )
        if not finite:
            raise ComputeError(NOT_FINITE)
        self.clipped += clipped
        return out

    def _rounded(self, values: Tensor) -> np.ndarray:
        """SampleFormat.quantize in torch, a slab at a time; counts what it clips."""
        dtype = torch.from_numpy(np.empty(0, self._format.dtype)).dtype
        flat = values.reshape(-1)
        out = torch.empty(flat.shape, dtype=dtype, device=flat.device)
        for begin in range(0, len(flat), SLAB):
            scaled = flat[begin : begin + SLAB].double().mul_(self._format.factor)
            self.clipped += int(((scaled < self._below) | (scaled > self._above)).sum())
            out[begin : begin + SLAB] = scaled.round_().clamp_(self._format.low, self._format.high).to(dtype)
        return out.reshape(values.shape).cpu().numpy()


def kernel_functions(normalizer: Normalizer) -> list[tuple[int, float, float, float]]:
    """A normalizer's steps as functions of the kernels."""
    from mediaconv.compute import kernel_types as k

    steps = normalizer.steps()
    functions: list[tuple[int, float, float, float]] = []
    if steps.scales:
        functions.append((k.AFFINE, 0.0, steps.gain, steps.bias))
    if steps.squash is not None:
        functions.append(({"sigmoid": k.SIGMOID, "tanh": k.TANH}[steps.squash], 0.0, 0.0, 0.0))
    if steps.clamp_input is not None:
        functions.append((k.CLAMP, *steps.clamp_input, 0.0))
    if steps.maps:
        functions.append((k.AFFINE, steps.centre, steps.factor, steps.offset))
    if steps.clamp is not None:
        functions.append((k.CLAMP, *steps.clamp, 0.0))
    return functions


def as_arrays(functions: list[tuple[int, float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) and parameters (n, 3) of kernel functions."""
    codes = np.array([code for code, *_ in functions], np.int64)
    return codes, np.array([rest for _, *rest in functions], np.float32).reshape(-1, 3)


def kernel_quantum(sample_format: SampleFormat, normalizer: Normalizer) -> Any:
    """A sample format as the kernels round to it."""
    from mediaconv.compute import kernel_types as k

    if sample_format.floating:
        return k.UNROUNDED
    factor, (low, high) = sample_format.factor, normalizer.signal_range
    return k.Quantum(
        factor, float(sample_format.low), float(sample_format.high), low * factor - 0.5, high * factor + 0.5
    )
