"""The steps of a captured graph in fixed shape, one class a kind. Slots and steps are those of `nn.graph`.

A stream's values come late by `Level.first`, a late value (the first frame) is right from some step on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.export.fixed import Clock, Length, Level
from mediaconv.nn.export.fixed_plan import NoStepError, Plan, Timed
from mediaconv.nn.export.fixed_window import FixedWindow
from mediaconv.nn.graph.axis_factors import Along

PROBED, LONGEST_PERIOD = 4096, 1024
"""Lengths at which an amount that follows from the input's length is looked at, and its longest period."""


class FixedNode(nn.Module):
    """One step of the graph. It reads and fills slots, and takes its own tensors from the state in order."""

    def __init__(self, step: Any, plan: Plan) -> None:
        super().__init__()
        self.step, self.batch, self.device = step, plan.batch, plan.device

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        """The first state by name; fills the plan's slot and its time."""
        raise NotImplementedError

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        """One step: the state after it."""
        raise NotImplementedError

    def call(self, e: list[Any]) -> Any:
        return self.step.function(e, self.batch, None, self.device)


class FixedLocal(FixedNode):
    """An operation at one position."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        plan.values[self.step.out] = self.call(plan.values)
        plan.times[self.step.out] = plan.times[self.step.guard]
        return {}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        e[self.step.out] = self.call(e)
        return []


class FixedLate(FixedLocal):
    """An operation on late values: computed in every step, and right once they are."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        ready, ends = plan.late(self.step.needs)
        if re.search(r"\bT\b", self.step.function.code):
            raise NoStepError("it computes with the length of the input")
        plan.values[self.step.out] = self.call(plan.values)
        plan.times[self.step.out] = Timed(None, ready=ready, ends=ends)
        return {}


class FixedSliding(FixedNode):
    """Windows along the stream."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        if step.along.inner != 1 or not step.along.plain:
            raise NoStepError("its windows run over positions that are folded with other axes")
        before, window, dim = plan.level(step.x, step.dims), step.window, step.along.dim
        if before.count % window.stride:
            raise NoStepError("its stride does not divide the chunk")
        right = None if step.right is None else by_length(step.right, plan.batch)
        state: dict[str, Tensor] = {}

        def made(each: int) -> FixedWindow:
            def length(n: Tensor) -> Tensor:
                room = before.length(n) + window.left - window.extent
                room = room + (window.right if right is None else right(plan.input_length(n)))
                count = room.div(window.stride, rounding_mode="floor") + 1
                return torch.where((room >= 0) & (before.length(n) > 0), count, 0) * each

            more: dict[str, Any] = {"mode": step.mode, "fill": step.fill, "each": each, "dim": dim}
            apply = lambda held: step.apply(held, plan.values)  # noqa: E731
            plain = window.ceil and right is None and each == 1
            return FixedWindow(None, window, before, apply, length=None if plain else length, **more)

        y = made(1)._declare(x, state, "")
        windows = before.count // window.stride
        self.window = made(y.shape[dim] // windows)
        plan.stream(step.out, y, self.window.out)
        return state

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        self.window.apply_windows = lambda held: self.step.apply(held, e)
        e[self.step.out], after = self.window(e[self.step.x], state, clock)
        return after


def by_length(function: Callable[..., Any], batch: int) -> Length:
    """A number that follows from the input's length, as a table over its period. Raises NoStepError."""
    values = [int(function((), batch, n, None)) for n in range(PROBED, 2 * PROBED + LONGEST_PERIOD)]
    for period in range(1, LONGEST_PERIOD + 1):
        if all(values[i] == values[i + period] for i in range(PROBED)):
            shift = PROBED % period
            table = torch.tensor([values[(n - shift) % period] for n in range(period)])
            return lambda n: table.to(n.device)[n.remainder(period).reshape(1)].reshape(())
    raise NoStepError("it pads by an amount that does not repeat as the input grows")


class FixedLayered(FixedNode):
    """A layer of this package, whose weights come from slots."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, layer = self.step, self.step.layer
        if step.along.inner != 1 or not step.along.plain:
            raise NoStepError(f"its {type(layer).__name__} runs over positions folded with other axes")
        plan.ready(step.weights.values())
        state: dict[str, Tensor] = {}
        with step.lent(plan.values):
            self.layer = plan.fix(layer, plan.level(step.x, step.dims), "", step.along.dim - 2)
            y = self.layer._declare(plan.values[step.x], state, "")  # type: ignore[operator]
        plan.stream(step.out, y, self.layer.out)
        return state

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        with self.step.lent(e):
            e[self.step.out], after = self.layer(e[self.step.x], state, clock)
        return after


def delayed(queue: Tensor, along: Along, count: int, delay: int, batch: int) -> tuple[Tensor, Tensor]:
    """The first `count` positions of a queue, and the `delay` that wait."""
    return along.narrow(queue, 0, count, batch), along.narrow(queue, count, delay, batch)


class FixedAlign(FixedNode):
    """Streams of several delays, all as late as the latest, and as the values that they wait for."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, state = self.step, {}
        levels = [plan.level(slot, dims) for slot, dims in step.ins]
        count = levels[0].count
        if any(level.count != count for level in levels):
            raise NoStepError("its paths have different strides")
        first = min(min(level.first for level in levels), -plan.ready(step.waits) * count)
        self.count, self.delays = count, [level.first - first for level in levels]
        for i, ((slot, _), delay) in enumerate(zip(step.ins, self.delays, strict=True)):
            x, along = plan.values[slot], step.alongs[i]
            if delay:
                parts = [torch.zeros_like(x)] * -(-delay // count)
                state[f"queue{i}"] = along.narrow(along.join(parts, self.batch), 0, delay, self.batch)
            plan.stream(step.outs[i], x, Level(first, count, levels[i].length))
        return state

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        after = []
        for i, ((slot, _), delay) in enumerate(zip(self.step.ins, self.delays, strict=True)):
            x, along = e[slot], self.step.alongs[i]
            if delay:
                queue = along.join((next(state), x), self.batch)
                x, waiting = delayed(queue, along, self.count, delay, self.batch)
                after.append(waiting)
            e[self.step.outs[i]] = x
        return after
