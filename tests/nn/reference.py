"""Slow reference implementations in plain numpy loops: what a layer means, tap by tap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

Read = Callable[[tuple[int, ...]], np.ndarray]


def convolution(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    left: Sequence[int],
    outputs: Sequence[int],
    allowed: Callable[[tuple[int, ...]], bool] = lambda offsets: True,
    groups: int = 1,
) -> np.ndarray:
    """Convolution of (N, C, ...) by its definition: output j sums `w[i] * x[j*stride - left + i*dilation]`.

    allowed: whether a tap at these offsets from the output's own position is used; zeros lie outside.
    """
    n, _, *lengths = x.shape
    out_channels, per_group, *kernel = weight.shape
    y = np.zeros((n, out_channels, *outputs))
    for j in np.ndindex(*outputs):
        for i in np.ndindex(*kernel):
            offsets = tuple(a * d - p for a, d, p in zip(i, dilation, left, strict=True))
            place = tuple(b * s + o for b, s, o in zip(j, stride, offsets, strict=True))
            if not allowed(offsets) or any(not 0 <= p < size for p, size in zip(place, lengths, strict=True)):
                continue
            for o in range(out_channels):
                group = o // (out_channels // groups)
                for c in range(per_group):
                    y[(slice(None), o, *j)] += (
                        weight[(o, c, *i)] * x[(slice(None), group * per_group + c, *place)]
                    )
    return y + bias.reshape(-1, *[1] * len(outputs))


def sample(plane: np.ndarray, place: Sequence[float]) -> float:
    """One plane read between its positions, (multi)linearly; zero outside."""
    total = 0.0
    floors = [math.floor(p) for p in place]
    for corner in itertools.product((0, 1), repeat=len(floors)):
        spot = tuple(f + c for f, c in zip(floors, corner, strict=True))
        if all(0 <= s < size for s, size in zip(spot, plane.shape, strict=True)):
            total += plane[spot] * math.prod(1 - abs(p - s) for p, s in zip(place, spot, strict=True))
    return total


def deformable(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    offsets: np.ndarray,
    gains: np.ndarray,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    left: Sequence[int],
) -> np.ndarray:
    """Deformable convolution of (C, ...). offsets: (groups, taps, dims, ...outputs), gains without dims."""
    out_channels, channels, *kernel = weight.shape
    offset_groups, outputs = offsets.shape[0], offsets.shape[3:]
    y = np.zeros((out_channels, *outputs))
    for j in np.ndindex(*outputs):
        for k, i in enumerate(np.ndindex(*kernel)):
            for c in range(channels):
                group = c // (channels // offset_groups)
                shift = offsets[(group, k, slice(None), *j)]
                place = [
                    b * s - p + a * d + o
                    for a, b, s, d, p, o in zip(i, j, stride, dilation, left, shift, strict=True)
                ]
                value = sample(x[c], place) * gains[(group, k, *j)]
                y[(slice(None), *j)] += weight[(slice(None), c, *i)] * value
    return y + bias.reshape(-1, *[1] * len(outputs))
