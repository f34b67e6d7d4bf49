"""Where something happens in an input: steps at which it changes far more than it did just before.

The change energy of step t is `e(t) = mean |x(t) - x(t-1)|²`; in sound it is taken per hop of 5 ms, and the
event then set to the first sample of the change. The rise is `s(t) = log10(e(t) + ε) - log10(b(t) + ε)` with
`b(t)` the mean of e over the four steps before and `ε` a millionth of the largest e. A step is an event where
the robust z-score `(s - median) / max(1.4826 MAD, 0.1)` is over 5. Of those closer together than a quarter
of a second (sound: 50 ms; without time: 4 steps) only one is kept, the first that has a twentieth of the
energy of the strongest. Nothing here looks at an output.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

HOP_SECONDS = 0.005
THRESHOLD = 5.0
SCALE_FLOOR = 0.1
BACKGROUND = 4
FLOOR = 1e-6
START = 0.05


@dataclass(frozen=True)
class Event:
    """step: first input step of the change. z: its robust z-score. energy: its change energy."""

    step: int
    z: float
    energy: float


class EventFinder:
    """Finds events in a stream of samples; memory is a few numbers a frame, a row or 5 ms of sound.

    rate: steps a second, None where the stream is not time.
    fine: True where one step is too little to change in (sound): energies are then taken per hop.
    """

    def __init__(self, *, rate: Fraction | float | None, fine: bool) -> None:
        self._hop = max(1, round(float(rate) * HOP_SECONDS)) if fine and rate else 64 if fine else 1
        hops = float(rate) / self._hop if rate else None
        self._gap = BACKGROUND if hops is None else max(2, round(hops * (0.05 if fine else 0.25)))
        self._last: np.ndarray | None = None
        self._loose = np.zeros((0, 2))
        self._energy: list[np.ndarray] = []
        self._onset: list[np.ndarray] = []
        self._peak = 0.0

    def add(self, x: np.ndarray) -> None:
        """Append steps, (n, ...), any range."""
        if not len(x):
            return
        now = np.asarray(x, np.float32).reshape(len(x), -1)
        before = now[:1] if self._last is None else self._last
        change = np.empty((len(now), 2))
        step = np.empty_like(now[:1])
        for i in range(len(now)) if now.shape[1] > 64 else ():
            np.subtract(now[i], now[i - 1] if i else before[0], out=step[0])
            change[i] = np.mean(step**2, dtype=np.float64), np.abs(step).max()
        if now.shape[1] <= 64:
            d = np.diff(now.astype(np.float64), axis=0, prepend=before.astype(np.float64))
            change = np.stack([(d**2).mean(1), np.abs(d).max(1)], axis=1)
        self._last = now[-1:].copy()
        self._take(change)

    def _take(self, change: np.ndarray) -> None:
        """Pool (energy, largest change) per step into hops; note the first sample off the old level."""
        rows = np.concatenate([self._loose, change])
        whole = len(rows) // self._hop
        hops = rows[: whole * self._hop].reshape(whole, self._hop, 2)
        self._loose = rows[whole * self._hop :]
        if not whole:
            return
        self._energy.append(hops[..., 0].mean(1))
        peaks = hops[..., 1].max(1)
        quiet = np.concatenate([[self._peak], peaks[:-1]])
        self._peak = float(peaks[-1])
        level = np.minimum(np.maximum(4 * quiet, 0.01 * peaks), peaks)
        self._onset.append((hops[..., 1] >= level[:, None]).argmax(1))

    def result(self, most: int = 8) -> list[Event]:
        """The events, at most `most` of them, those with the most energy, in order of time."""
        if len(self._loose):
            self._take(np.zeros((self._hop - len(self._loose), 2)))
        if not self._energy:
            return []
        energy, onset = np.concatenate(self._energy), np.concatenate(self._onset)
        if self._hop == 1 and len(energy) > 1:
            energy[0] = energy[1]
        z = robust_z(rises(energy))
        z[0] = 0.0
        loud = np.flatnonzero(z > THRESHOLD)
        chosen: list[int] = []
        for hop in loud[np.argsort(-energy[loud], kind="stable")]:
            if len(chosen) < most and all(abs(int(hop) - other) >= self._gap for other in chosen):
                chosen.append(int(hop))
        events = []
        for strongest in sorted(chosen):
            near = loud[(loud <= strongest) & (loud > strongest - self._gap)]
            hop = int(near[energy[near] >= START * energy[strongest]][0])
            if hop - 1 in loud:  # a change that begins at the end of a hop
                hop -= 1
            events.append(Event(hop * self._hop + int(onset[hop]), float(z[hop]), float(energy[strongest])))
        return events


def rises(energy: np.ndarray) -> np.ndarray:
    """Log rise of each step's change energy over the mean of the four before it."""
    if not energy.max(initial=0.0) > 0:
        return np.zeros(len(energy))
    padded = np.concatenate([np.full(BACKGROUND, energy[0]), energy])
    sums = np.lib.stride_tricks.sliding_window_view(padded, BACKGROUND)[:-1].mean(1)
    floor = FLOOR * energy.max()
    return np.log10(energy + floor) - np.log10(sums + floor)


def robust_z(values: np.ndarray) -> np.ndarray:
    """`(v - median) / max(1.4826 MAD, 0.1)`."""
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return (values - middle) / max(float(spread), SCALE_FLOOR)
