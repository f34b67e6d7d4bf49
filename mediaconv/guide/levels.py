"""A normalizer by measurement: gain and bias with which an output fills the range, or limits to clip at.

Measured once on the first part of a file and then constant, so that a causal stack stays causal.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from mediaconv.config import RunConfig
from mediaconv.draw.subject import subject
from mediaconv.errors import MediaconvError
from mediaconv.layers import walk
from mediaconv.pipeline import find

LOOKED_AT = {1: [480_000], 2: [512, 512], 3: [4, 256, 256]}
"""Steps of each axis that are looked at."""
FILLED = 0.9
"""Where the sigmoid puts the values that 1 of 100 exceed (of sound 1 of 1000)."""


def fitted_normalize(config: RunConfig, path: Path, *, trained: bool = False) -> Any:
    """`normalize` as a configuration spells it, for a stack over a file like this one.

    Named kernels keep their units: `none` where all values lie in the signal's range, else `clip` at the
    next power of two. Other stacks get `sigmoid` with gain and bias. "sigmoid" where nothing can be measured.
    trained: the weights are the user's, and values are kept where they lie about the signal's range, their
        median within it.
    """
    try:
        low, middle, high = _spread(config, path)
    except (MediaconvError, RuntimeError, ValueError):
        return "sigmoid"
    floor, ceiling = find(config.pipeline).signal_range
    around = (ceiling - floor) / 2
    if trained and floor - around <= low and floor <= middle <= ceiling and high <= ceiling + around:
        return "none"
    if _all_named(config):
        if low >= floor - 1e-6 and high <= ceiling + 1e-6:
            return "none"
        limit = 2.0 ** math.ceil(math.log2(max(abs(low), abs(high), 2**-20)))
        return {"clip": {"low": -limit, "high": limit}}
    reach = max(high - middle, middle - low)
    if not reach > 0 or not math.isfinite(reach):
        return "sigmoid"
    gain = _rounded(math.log(FILLED / (1 - FILLED)) / reach)
    bias = round(-gain * middle, 1)
    return {"sigmoid": {"gain": gain, "bias": bias} if bias else {"gain": gain}}


def _spread(config: RunConfig, path: Path) -> tuple[float, float, float]:
    """Low, middle and high value of the output: of sound around 0, of pictures around their median."""
    axes = len(find(config.pipeline).axes)
    made = subject(config, input=path, lengths=LOOKED_AT.get(axes, [16] * axes))
    assert made.x is not None
    x = made.x[(slice(None), *(slice(n) for n in LOOKED_AT.get(axes, [16] * axes)))]
    with torch.no_grad():
        values = made.stack(x[None]).flatten().double()
    values = values[torch.isfinite(values)]
    values = values[:: max(1, len(values) // 1_000_000)]
    tail = 0.001 if axes == 1 else 0.01
    low, high = (float(torch.quantile(values, q)) for q in (tail, 1 - tail))
    if _all_named(config):
        low, high = float(values.min()), float(values.max())
    return low, 0.0 if axes == 1 else float(values.median()), high


def _all_named(config: RunConfig) -> bool:
    """Whether every layer is a well-known kernel, whose values mean something."""
    leaves = [spec for _, spec in walk(config.stack) if not any(True for _ in spec.inner())]
    return all(getattr(spec, "kernel", None) is not None for spec in leaves)


def _rounded(value: float) -> float:
    """Two significant digits.

    >>> _rounded(8.349), _rounded(123.4)
    (8.3, 120.0)
    """
    return float(f"{value:.2g}")
