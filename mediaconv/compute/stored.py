"""A normalizer and rounding to stored samples as one torch module, which exports take along.

The same values as `finish`, in operations that every runtime has. Counts and checks nothing.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.compute.normalize import Normalizer
from mediaconv.errors import UsageError
from mediaconv.media.samples import SampleFormat

HELD_IN = {torch.uint16: torch.int32, torch.uint32: torch.int64}
"""Types of samples that torch.onnx does not know, and larger ones."""


def normalizer_facts(normalizer: Normalizer) -> dict[str, Any]:
    """A normalizer's name, and the numbers of what it does to each value where no output is seen before."""
    numbers = {} if normalizer.two_passes else dataclasses.asdict(normalizer.steps())
    return {"name": normalizer.name, **numbers}


class Stored(nn.Module):
    """A stack's output to stored samples. Shape: any, float32; integers of the format's type, or float32.

    stored: what the samples are, as plain values. Types that no exporter knows are held in wider ones.
    Raises UsageError for a normalizer that has to see the whole output first.
    """

    def __init__(self, normalizer: Normalizer, sample_format: SampleFormat) -> None:
        super().__init__()
        if normalizer.two_passes:
            raise UsageError(
                f"normalize: {normalizer.name} needs the whole output before its first value, so it cannot "
                "be exported: choose sigmoid, tanh, clip or none"
            )
        self._normalizer, self._format = normalizer, sample_format
        stored = torch.from_numpy(np.empty(0, sample_format.dtype)).dtype
        self._dtype = HELD_IN.get(stored, stored)
        self.stored = {
            "type": sample_format.dtype.name,
            "held_in": str(self._dtype).removeprefix("torch."),
            "bits": sample_format.bits,
            "factor": 1.0 if sample_format.floating else sample_format.factor,
            "signal_range": list(normalizer.signal_range),
        }

    def normalized(self, x: Tensor) -> Tensor:
        """Values in the signal's range, as the normalizer gives them."""
        return self._normalizer(x.clone())

    def scaled(self, x: Tensor) -> Tensor:
        """Stored samples before they are rounded, in float64."""
        format = self._format
        return (self.normalized(x).double() * format.factor).clamp(format.low, format.high)

    def forward(self, x: Tensor) -> Tensor:
        """Stored samples; rounded to nearest, ties to even."""
        return self.normalized(x) if self._format.floating else self.scaled(x).round().to(self._dtype)

    def difference(self, stored: Tensor, values: Tensor) -> Tensor:
        """How far samples lie from what values of the stack become, beyond rounding, relative to the largest.

        A value that lies on the edge between two samples may become either.
        """
        if self._format.floating:
            expected, room = self.normalized(values).double(), 0.0
        else:
            expected, room = self.scaled(values), 0.5
        if not values.numel():
            return torch.zeros(())
        excess = ((stored.double() - expected).abs() - room).clamp(min=0).max()
        return excess / max(float(expected.abs().max()), 1e-30)
