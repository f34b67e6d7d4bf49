"""Steps of windows along the stream, and of this package's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.steps.graph_step import Buffered, Run, read_by
from mediaconv.nn.streaming.protocol import Streamable
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import step_window, window_state


@dataclass
class Sliding(Buffered):
    """Windows along the stream. apply(held, slots) computes all whole windows of `held`.

    right: the right padding where it depends on the input's length, as a function of it; else the window's.
    """

    window: Window
    apply: Callable[[Tensor, list[Any]], Tensor]
    mode: str = "zeros"
    fill: float = 0.0
    right: Callable[..., int] | None = None
    exact: str = ""

    def reads(self) -> Iterable[int]:
        return self.x, *read_by(self.apply, self.right)

    def fresh(self) -> State:
        return window_state()

    def run(self, r: Run, state: Any) -> None:
        x, e, window = r.e[self.x], r.e, self.window
        if x is None:
            if not r.last:
                return
            x = self.empty(r)
        if r.last and self.right is not None:
            window = replace(window, right=int(r.call(self.right)))
        if not self.plain and "buffer" in state.tensors:
            state.tensors["buffer"] = self.load(state, "buffer")
        y = step_window(
            x,
            state,
            window,
            lambda held: self.apply(held, e),
            axis=self.along.dim - 2,
            last=r.last,
            padding_mode=self.mode,
            padding_value=self.fill,
        )
        if not self.plain:
            self.save(state, "buffer", state.tensors["buffer"], r)
        if r.last and self.exact and state.counts["received"] % window.stride:
            raise ValueError(
                f"{self.exact}: {state.counts['received']} positions, expected a multiple of {window.stride}"
            )
        if y is not None and y.shape[self.along.dim]:
            e[self.out] = y


@dataclass
class Layered(Buffered):
    """A layer of this package, whose weights are taken from slots (name to slot) in every step."""

    layer: Streamable
    weights: dict[str, int]

    def reads(self) -> Iterable[int]:
        return self.x, *self.weights.values()

    def fresh(self) -> State:
        return self.layer.init_state(self.along.dim - 2)

    @contextmanager
    def lent(self, e: Sequence[Any]) -> Iterator[None]:
        """The layer with the weights of these slots, for as long as it is traced."""
        self.layer.__dict__.update({name: e[slot] for name, slot in self.weights.items()})
        try:
            yield
        finally:
            for name in self.weights:
                del self.layer.__dict__[name]

    def with_weights(self, e: Sequence[Any]) -> Streamable:
        """A layer of its own with the weights of these slots: other threads and copies share the step."""
        if not self.weights:
            return self.layer
        layer = object.__new__(type(self.layer))
        layer.__dict__.update(self.layer.__dict__, **{name: e[slot] for name, slot in self.weights.items()})
        return layer

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        if x is None:
            if not r.last:
                return
            x = self.empty(r)
        if not self.plain:
            for name in state.tensors:
                state.tensors[name] = self.load(state, name)
        y = self.with_weights(r.e).step(x, state, axis=self.along.dim - 2, last=r.last)
        if not self.plain:
            for name, held in state.tensors.items():
                self.save(state, name, held, r)
        if y.shape[self.along.dim]:
            r.e[self.out] = y
