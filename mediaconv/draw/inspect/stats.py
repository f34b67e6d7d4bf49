"""The values of a layer in numbers: ranges, histograms, and channels that say nothing.

A channel is *dead* when it is constant over all positions and files (its range is at most a millionth of its
largest value: float rounding). It is *saturated* when more than 99% of its values lie at an end of its
activation's range: exactly there for ReLU, ReLU6, Hardtanh, Hardsigmoid, Threshold and a clip, within 1e-3
for those that only come near it (sigmoid, tanh, softsign, softmax, ELU, a normalizer's sigmoid).
Values that are no numbers are counted apart. A channel
that always lies at an end other than a ReLU's 0 is both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from mediaconv.compute.normalize import Normalizer
from mediaconv.nn import Gate

BINS = 48
SHARE = 0.99
NEAR = 1e-3
ROUNDING = 1e-6


@dataclass(frozen=True)
class End:
    """An end of an activation's range: the value, and how near to it counts."""

    value: float
    near: float = 0.0


@dataclass(frozen=True)
class Flag:
    """A channel that is pointed out. kind: dead, saturated or not finite. text: why, in words."""

    channel: int
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Stats:
    """A layer's values over all files and all positions looked at.

    low, high, mean, deviation, zeros (share of exact zeros): one number a channel, of the finite values.
    edges: of the histogram, common to all channels, (B+1,). counts: (C, B); they add up to the finite values.
    """

    values: int
    not_finite: int
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    zeros: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    ends: tuple[End, ...]
    flags: tuple[Flag, ...]


_ZERO_ONE = (End(0.0, NEAR), End(1.0, NEAR))
_ENDS: dict[type[nn.Module], Callable[[nn.Module], tuple[End, ...]]] = {
    nn.ReLU: lambda m: (End(0.0),),
    nn.ReLU6: lambda m: (End(0.0), End(6.0)),
    nn.Hardtanh: lambda m: (End(float(m.min_val)), End(float(m.max_val))),  # type: ignore[arg-type]
    nn.Hardsigmoid: lambda m: (End(0.0), End(1.0)),
    nn.Threshold: lambda m: (End(float(m.value)),),  # type: ignore[arg-type]
    nn.Sigmoid: lambda m: _ZERO_ONE,
    nn.Softmax: lambda m: _ZERO_ONE,
    nn.Softmax2d: lambda m: _ZERO_ONE,
    nn.Softmin: lambda m: _ZERO_ONE,
    nn.Tanh: lambda m: (End(-1.0, NEAR), End(1.0, NEAR)),
    nn.Softsign: lambda m: (End(-1.0, NEAR), End(1.0, NEAR)),
    Gate: lambda m: (End(-1.0, NEAR), End(1.0, NEAR)),
    nn.ELU: lambda m: (End(-float(m.alpha), NEAR),),  # type: ignore[arg-type]
    nn.CELU: lambda m: (End(-float(m.alpha), NEAR),),  # type: ignore[arg-type]
    nn.SELU: lambda m: (End(-1.7580993408473766, NEAR),),
    nn.Softplus: lambda m: (End(0.0, NEAR),),
    nn.LogSigmoid: lambda m: (End(0.0, NEAR),),
    nn.Hardswish: lambda m: (End(0.0),),
}


def ends_of(module: object) -> tuple[End, ...]:
    """The ends of an activation's or a normalizer's range; none where it has no end."""
    if isinstance(module, Normalizer):
        steps = module.steps()
        low, high = module.signal_range
        if steps.squash is not None:
            return (End(low, NEAR * (high - low)), End(high, NEAR * (high - low)))
        return (End(low), End(high)) if steps.clamp is not None and module.name == "clip" else ()
    return _ENDS[type(module)](module) if type(module) in _ENDS else ()  # type: ignore[index, arg-type]


def measure(tensors: Sequence[Tensor], module: object = None) -> Stats:
    """Statistics of a layer's output, (1, C, ...) float of each file. module: tells the ends of its range."""
    channels = tensors[0].shape[1]
    rows = [t[0].reshape(channels, -1).numpy() for t in tensors]
    finite = [np.concatenate([_finite(r[c]) for r in rows]) for c in range(channels)]
    total = sum(r.size for r in rows)
    some = [f for f in finite if f.size]
    low = min((float(f.min()) for f in some), default=0.0)
    high = max((float(f.max()) for f in some), default=0.0)
    edges = _edges(low, high)
    ends = ends_of(module)
    each = [_channel(f, edges) for f in finite]
    table = np.array([numbers for numbers, _ in each], np.float64).reshape(channels, 5)
    each_total = total // channels
    flags = [flag for c in range(channels) for flag in _flags(c, finite[c], each_total, ends)]
    return Stats(
        values=total,
        not_finite=total - sum(f.size for f in finite),
        low=table[:, 0],
        high=table[:, 1],
        mean=table[:, 2],
        deviation=table[:, 3],
        zeros=table[:, 4],
        edges=edges,
        counts=np.stack([counts for _, counts in each]),
        ends=ends,
        flags=tuple(flags),
    )


def _finite(values: np.ndarray) -> np.ndarray:
    kept = np.isfinite(values)
    return values if kept.all() else values[kept]


def _edges(low: float, high: float) -> np.ndarray:
    """Bin edges from the smallest to the largest value; a single bin of no width where all are equal."""
    if low == high:
        return np.array([low, high])
    return np.linspace(low, high, BINS + 1)


def _channel(values: np.ndarray, edges: np.ndarray) -> tuple[list[float], np.ndarray]:
    if not values.size:
        return [0.0] * 5, np.zeros(len(edges) - 1, np.int64)
    if edges[0] == edges[-1]:
        counts = np.array([values.size])
    else:
        counts = _histogram(values, edges)
    mean = float(values.mean(dtype=np.float64))
    deviation = float(values.std(dtype=np.float64))
    zeros = float(np.count_nonzero(values == 0)) / values.size
    return [float(values.min()), float(values.max()), mean, deviation, zeros], counts


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts between even edges; many times faster than numpy's, which sorts out ties at every edge."""
    bins = len(edges) - 1
    low = values.dtype.type(edges[0])
    scale = values.dtype.type(bins / (edges[-1] - edges[0]))
    bin_of = ((values - low) * scale).astype(np.int32)
    return np.bincount(np.minimum(bin_of, bins - 1), minlength=bins)


def _flags(channel: int, values: np.ndarray, total: int, ends: Sequence[End]) -> list[Flag]:
    """What is wrong with one channel; `values` are the finite ones of `total`."""
    flags = []
    if values.size < total:
        flags.append(Flag(channel, "not finite", f"{total - values.size} of {total} values are no numbers"))
    if values.size < 2:
        return flags
    low, high = float(values.min()), float(values.max())
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        flags.append(Flag(channel, "dead", f"{low:.4g} everywhere"))
        ends = [end for end in ends if end.near or end.value]  # zero everywhere behind a ReLU is told already
    for end in ends:
        share = float(np.count_nonzero(np.abs(values - end.value) <= end.near)) / values.size
        if share > SHARE:
            flags.append(Flag(channel, "saturated", f"{_percent(share)} of the values at {end.value:.4g}"))
    return flags


def _percent(share: float) -> str:
    """A share below one never reads as 100%."""
    text = f"{100 * share:.1f}%"
    return "over 99.9%" if share < 1 and text == "100.0%" else text
