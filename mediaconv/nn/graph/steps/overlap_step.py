"""The step of frames that are added where they overlap, as an inverse spectrum and `fold` do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mediaconv.nn.graph.steps.graph_step import Buffered, Run
from mediaconv.nn.streaming.window import pad_by


@dataclass
class OverlapAdd(Buffered):
    """Frames (..., positions, ..., size), `hop` apart, are added; sums that wait for later frames are kept.

    dims: of the output, which has one dimension less than the frames.
    """

    size: int
    hop: int

    def run(self, r: Run, state: Any) -> None:
        x, dim = r.e[self.x], self.along.dim
        waiting = self.load(state, "sums")
        if x is None:
            y, done = waiting, 0
        else:
            count = x.shape[dim]
            shape = list(x.shape[:-1])
            shape[dim] = (count - 1) * self.hop + self.size
            y, done = torch.ops.aten.unfold_backward(x, shape, dim, self.size, self.hop), count * self.hop
            if waiting is not None:
                kept = waiting.shape[dim]
                amounts = [0, 0] * (y.ndim - 1 - dim) + [0, shape[dim] - kept]
                y = y + pad_by(waiting, amounts)
        if y is None:
            return
        done = y.shape[dim] if r.last else done
        self.save(state, "sums", y.narrow(dim, done, y.shape[dim] - done).clone(), r)
        if done:
            r.e[self.out] = y.narrow(dim, 0, done)
