"""What a stream remembers: a tree of states, one a layer, that can be copied, split by items and saved.

Every tensor in a state has the batch as its first axis; nothing here knows what the tensors mean.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class State:
    """What one layer remembers between two chunks: tensors, counters, and its parts' states.

    tensors: buffers, each (N, C, ...) with the stream axis in its place; None before the first chunk.
    counts: numbers of steps received, emitted and so on.
    children: states of the layer's parts, in order.
    """

    __slots__ = ("children", "counts", "tensors")

    def __init__(self, children: Iterable[State] = (), **counts: int) -> None:
        self.tensors: dict[str, Tensor | None] = {}
        self.counts: dict[str, int] = dict(counts)
        self.children: list[State] = list(children)

    def copy(self) -> State:
        """An independent copy; tensors are cloned and keep their graph."""
        taken = State((child.copy() for child in self.children), **self.counts)
        taken.tensors = {k: None if v is None else v.clone() for k, v in self.tensors.items()}
        return taken

    def detach(self) -> None:
        """Cut the graph behind every tensor, in place."""
        self.tensors = {k: None if v is None else v.detach() for k, v in self.tensors.items()}
        for child in self.children:
            child.detach()

    def select(self, items: Tensor) -> State:
        """The state of some items of the batch. items: int64 indices."""
        taken = State((child.select(items) for child in self.children), **self.counts)
        taken.tensors = {k: None if v is None else v.index_select(0, items) for k, v in self.tensors.items()}
        return taken

    def flat(self, prefix: str = "") -> dict[str, Tensor]:
        """One dictionary of tensors (counters as int64), for torch.save or safetensors; no graph."""
        flat = {f"{prefix}{k}.count": torch.tensor(v) for k, v in self.counts.items()}
        flat |= {f"{prefix}{k}": v.detach().clone() for k, v in self.tensors.items() if v is not None}
        for i, child in enumerate(self.children):
            flat |= child.flat(f"{prefix}{i}.")
        return flat

    def fill(self, flat: dict[str, Tensor], prefix: str = "") -> set[str]:
        """Take everything under `prefix` out of a flat dictionary; the keys that were used.

        Raises KeyError for a counter that is missing. The tree must be that of a fresh state.
        """
        used = set()
        for name in self.counts:
            key = f"{prefix}{name}.count"
            self.counts[name] = int(flat[key])
            used.add(key)
        for key, value in flat.items():
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and "." not in name:
                self.tensors[name] = value.clone()
                used.add(key)
        for i, child in enumerate(self.children):
            used |= child.fill(flat, f"{prefix}{i}.")
        return used

    def __repr__(self) -> str:
        shapes = {k: None if v is None else tuple(v.shape) for k, v in self.tensors.items()}
        return f"State({self.counts}, tensors={shapes}, children={len(self.children)})"
