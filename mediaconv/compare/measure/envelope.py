"""A long signal as a few hundred points for a chart: least, greatest and mean of each stretch, streamed."""

from __future__ import annotations

import numpy as np


class Envelope:
    """At most `points` stretches of equal length, which doubles whenever they would be more."""

    def __init__(self, points: int = 1024) -> None:
        self._most = 2 * points
        self.steps_per_point = 1
        self._rows = np.zeros((0, 4))
        self._loose = np.zeros((0, 4))

    def add(self, x: np.ndarray) -> None:
        """Append steps: (n, ...), the stream axis first; the other axes are pooled."""
        if not x.size:
            return
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        rows = np.stack([flat.min(1), flat.max(1), flat.mean(1), np.ones(len(x))], axis=1)
        loose = np.concatenate([self._loose, rows])
        whole = len(loose) // self.steps_per_point
        used = whole * self.steps_per_point
        self._rows = np.concatenate([self._rows, pooled(loose[:used], self.steps_per_point)])
        self._loose = loose[used:]
        while len(self._rows) > self._most:
            pairs = len(self._rows) // 2
            odd = np.repeat(self._rows[2 * pairs :], self.steps_per_point, axis=0)
            odd[:, 3] = 1
            self._rows = pooled(self._rows[: 2 * pairs], 2)
            self._loose = np.concatenate([odd, self._loose])
            self.steps_per_point *= 2

    def result(self) -> dict[str, list[float] | int]:
        """`low`, `high` and `mean` of each stretch and `steps_per_point`, its length."""
        rows = self._rows
        if len(self._loose):
            rows = np.concatenate([rows, pooled(self._loose, len(self._loose))])
        low, high, mean = (np.round(rows[:, i], 5).tolist() for i in range(3))
        return {"steps_per_point": self.steps_per_point, "low": low, "high": high, "mean": mean}


def pooled(rows: np.ndarray, group: int) -> np.ndarray:
    """Rows (low, high, mean, count) pooled by `group` neighbours."""
    if not len(rows):
        return rows
    parts = rows.reshape(-1, group, 4)
    count = parts[..., 3].sum(1)
    mean = (parts[..., 2] * parts[..., 3]).sum(1) / count
    return np.stack([parts[..., 0].min(1), parts[..., 1].max(1), mean, count], axis=1)
