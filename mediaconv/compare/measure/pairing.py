"""Two outputs that arrive with unequal delays, handed on side by side as far as both have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mediaconv.compare.measure.align import ShiftFinder
from mediaconv.compare.measure.envelope import Envelope
from mediaconv.compare.measure.metrics import make_metrics
from mediaconv.counted import counted

Consumer = Callable[[np.ndarray, np.ndarray], None]


class Pairs:
    """Steps of two outputs, (C, n, ...) each, joined pairwise. What is held is only what one is ahead.

    Outputs whose shapes differ but in n cannot be paired: `mismatch` then says so and nothing is handed on.
    mismatch: a reason that is known before not to pair them.
    """

    def __init__(self, consume: Consumer, *, mismatch: str | None = None) -> None:
        self._consume = consume
        self._held: list[list[np.ndarray]] = [[], []]
        self.lengths = [0, 0]
        self.mismatch = mismatch

    def add(self, side: int, x: np.ndarray) -> None:
        """Append what output 0 or 1 has come to."""
        self.lengths[side] += x.shape[1]
        if x.size and self.mismatch is None:
            self._held[side].append(x)
            if self._held[1 - side]:
                self._pair()

    def _pair(self) -> None:
        a, b = (np.concatenate(held, axis=1) if len(held) > 1 else held[0] for held in self._held)
        if (a.shape[0], *a.shape[2:]) != (b.shape[0], *b.shape[2:]):
            self.mismatch = f"the outputs differ in shape: {_size(a)} and {_size(b)}"
            self._held = [[], []]
            return
        ready = min(a.shape[1], b.shape[1])
        self._consume(a[:, :ready], b[:, :ready])
        self._held = [[x[:, ready:]] if x.shape[1] > ready else [] for x in (a, b)]

    def finish(self) -> None:
        """Note where one output is longer than the other."""
        if self.mismatch is None and self.lengths[0] != self.lengths[1]:
            a, b = self.lengths
            self.mismatch = (
                f"the outputs differ in length: {a:,} and {counted(b, 'step')}; compared as far as both go"
            )


def _size(x: np.ndarray) -> str:
    return " x ".join([counted(x.shape[0], "channel"), *map(str, x.shape[2:])])


class ChannelNumbers:
    """All that is measured of one channel of two outputs: metrics, the best shift, curves for the chart.

    metrics: names of those to measure (`Pipeline.metrics`). reach: shifts are looked for up to so many steps.
    by_columns: time runs along the second axis; then the whole channel is held, which is one image.
    Values are in the signal's range, (n, ...).
    """

    def __init__(self, metrics: Sequence[str], *, reach: int, by_columns: bool = False) -> None:
        self._held: list[tuple[np.ndarray, np.ndarray]] | None = [] if by_columns else None
        self._metrics = make_metrics(metrics)
        self._shift = ShiftFinder(reach)
        self._curves = {name: Envelope() for name in ("a", "b", "difference")}

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Append steps of both."""
        self._metrics.add(a, b)
        if self._held is None:
            self._follow(a, b)
        else:
            self._held.append((a, b))

    def _follow(self, a: np.ndarray, b: np.ndarray) -> None:
        """Take steps in the order of time."""
        self._shift.add(a, b)
        for name, x in (("a", a), ("b", b), ("difference", a - b)):
            self._curves[name].add(x)

    def numbers(self) -> dict[str, float | None]:
        """Metrics, `shift_steps` (positive: the first output comes later) and `shift_correlation`."""
        if self._held:
            a, b = (np.concatenate(parts).swapaxes(0, 1) for parts in zip(*self._held, strict=True))
            self._held = []
            self._follow(a, b)
        shift = self._shift.result()
        return {
            **self._metrics.result(),
            "shift_steps": shift.steps if shift else None,
            "shift_correlation": shift.correlation if shift else None,
        }

    def curves(self) -> dict[str, dict[str, list[float] | int]]:
        """The course of both outputs and of their difference."""
        return {name: curve.result() for name, curve in self._curves.items()}
