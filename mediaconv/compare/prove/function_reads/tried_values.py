"""Inputs that are tried: what comes before a change, and what takes the place of what comes after it.

A module may read later inputs only where values are large, tiny, whole numbers, zero or not finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LOUD = 1e7
QUIET = (-322.0, -20.0)
"""Powers of ten of quiet values: the smallest are zero in float32."""
WIDE = (-15.0, 9.0)
"""Powers of ten between which the sizes of wide values lie evenly."""
POWERS = {"wide": WIDE, "quiet": QUIET}
MARKS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.25, 2.0, 3.0, 10.0, 100.0, 127.0, 128.0, 255.0, 1 / 255, 32767.0)
"""Values that media are full of, and that programs compare with."""
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
HOLES = ((5, math.nan), (16, math.inf), (27, -math.inf))
HOLES_APART = 37

FILLS = ("noise", "nan", "loud", "wide", "marks", "quiet", "zero", "inf", "-inf")
"""What takes the place of later inputs."""
QUICK_FILLS = FILLS[:5]
"""Of long inputs."""
BASES = ("noise", "loud", "wide", "marks", "holes", "silence")
"""What comes before the change."""


def base_values(kind: str, shape: Sequence[int]) -> Tensor:
    """Float64 input of a kind of `BASES`, (1, *shape)."""
    return _values(kind, shape, seed=6)


def later_values(kind: str, shape: Sequence[int]) -> Tensor:
    """What later inputs become, of a kind of `FILLS`, (1, *shape)."""
    return _values(kind, shape, seed=7)


def _values(kind: str, shape: Sequence[int], *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    full = (1, *shape)
    if kind in NOT_FINITE:
        return torch.full(full, NOT_FINITE[kind], dtype=torch.float64)
    if kind in ("zero", "silence"):
        return torch.zeros(full, dtype=torch.float64)
    if kind == "marks":
        picked = torch.randint(len(MARKS), full, generator=generator)
        return torch.tensor(MARKS, dtype=torch.float64)[picked]
    noise = torch.randn(full, dtype=torch.float64, generator=generator)
    if kind in POWERS:
        low, high = POWERS[kind]
        power = low + (high - low) * torch.rand(full, dtype=torch.float64, generator=generator)
        return noise.sign() * 10**power
    if kind == "holes":
        flat = noise.view(-1)
        for start, value in HOLES:
            flat[start::HOLES_APART] = value
        return noise
    return noise * {"noise": 1.0, "loud": LOUD}[kind]
