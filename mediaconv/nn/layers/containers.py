"""Layers made of layers: one after the other, residual and parallel branches, streamed in step.

Branches of unequal latency are aligned by queues: what one branch has ready waits for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from mediaconv.nn.composed_maps import Chain, Parallel
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import (
    TotalStride,
    axis_map,
    each_child,
    init_state,
    output_channels,
    step,
)
from mediaconv.nn.streaming.state import State


class Sequential(TotalStride, nn.Sequential):
    """torch.nn.Sequential that streams; the same keys ("0.weight", ...).

    Shape: (N, C, ...) to (N, C', ...'), as its layers give one after the other.
    """

    def _repr_html_(self) -> str | None:
        """The trace of the stack, for notebooks; None, so that they show plain text, where it has none."""
        from mediaconv.errors import UsageError
        from mediaconv.nn.summary.trace import trace, typical_shape  # loaded only where it is shown

        try:
            return trace(self, typical_shape(self))._repr_html_()
        except (UsageError, TypeError):
            return None

    def axis_map(self, axis: int) -> AxisMap:
        return Chain(tuple(axis_map(layer, axis) for layer in self))

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        return iter(each_child(self))

    def output_channels(self, channels: int) -> int:
        for layer in self:
            channels = output_channels(layer, channels)
        return channels

    def init_state(self, axis: int) -> State:
        return State(init_state(layer, axis) for layer in self)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        for layer, part in zip(self, state.children, strict=True):
            x = step(layer, x, part, axis=axis, last=last)
        return x


MERGES: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {
    "add": lambda parts: reduce(torch.add, parts),
    "concat": lambda parts: torch.cat(list(parts), dim=1),
    "mul": lambda parts: reduce(torch.mul, parts),
}


class Branches(TotalStride, nn.Module):
    """Parallel branches over one input, merged by `add`, `concat` (channels) or `mul`.

    branches: modules; each gives the same output length, `add` and `mul` the same channels.
    Keys are "branches.0.…", "branches.1.…".

    Shape: (N, C, ...) to (N, C', ...'); C' is the sum of the branches' channels under `concat`.
    """

    def __init__(self, branches: Iterable[nn.Module], merge: str = "add") -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        if merge not in MERGES:
            raise ValueError(f"merge: got {merge!r}, expected one of {', '.join(MERGES)}")
        if not len(self.branches):
            raise ValueError("branches: got none, expected at least one")
        self.merge = merge

    def paths(self) -> list[nn.Module]:
        """The branches in the order in which they are merged."""
        return list(self.branches)

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        return ((f"branches.{i}", path) for i, path in enumerate(self.branches))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C', ...)."""
        return self._merge([path(x) for path in self.paths()])

    def _merge(self, parts: Sequence[Tensor]) -> Tensor:
        """Parts merged. Raises ValueError where they differ in shape: torch would repeat one of length 1."""
        shapes = [part.shape for part in parts]
        if self.merge == "concat":
            shapes = [shape[:1] + shape[2:] for shape in shapes]
        if shapes.count(shapes[0]) != len(shapes):
            unequal = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ValueError(f"branches give shapes {unequal}, which {self.merge} cannot merge")
        return MERGES[self.merge](parts)

    def axis_map(self, axis: int) -> AxisMap:
        return Parallel(tuple(axis_map(path, axis) for path in self.paths()))

    def output_channels(self, channels: int) -> int:
        each = [output_channels(path, channels) for path in self.paths()]
        if self.merge == "concat":
            return sum(each)
        if len(set(each)) > 1:
            raise ValueError(f"branches give {each} channels; {self.merge} needs the same in each")
        return each[0]

    def init_state(self, axis: int) -> State:
        return State(init_state(path, axis) for path in self.paths())

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        dim = axis + 2
        queues = []
        for i, (path, part) in enumerate(zip(self.paths(), state.children, strict=True)):
            y = step(path, x, part, axis=axis, last=last)
            waiting = state.tensors.get(f"queue{i}")
            queues.append(y if waiting is None else torch.cat([waiting, y], dim))
        ready = min(queue.shape[dim] for queue in queues)
        for i, queue in enumerate(queues):
            rest = queue.shape[dim] - ready
            if rest and last:
                raise ValueError(
                    f"branches give lengths {[q.shape[dim] for q in queues]} at the end and cannot be merged"
                )
            state.tensors[f"queue{i}"] = queue.narrow(dim, ready, rest).clone() if rest else None
        return self._merge([queue.narrow(dim, 0, ready) for queue in queues])


class Residual(Branches):
    """`layers(x) + shortcut(x)`; the shortcut is the identity unless given (He et al. 2016).

    Keys are "layers.…" and "shortcut.…".

    Shape: (N, C, ...) to (N, C', ...'), the same of both.
    """

    def __init__(self, layers: nn.Module, shortcut: nn.Module | None = None) -> None:
        nn.Module.__init__(self)
        self.merge = "add"
        self.layers = layers
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def paths(self) -> list[nn.Module]:
        return [self.layers, self.shortcut]

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        return iter([("layers", self.layers), ("shortcut", self.shortcut)])
