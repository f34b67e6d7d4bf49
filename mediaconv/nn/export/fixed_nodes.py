"""The steps of a captured graph in fixed shape, one class a kind. Slots and steps are those of `nn.graph`.

A stream's values come late by `Level.first`, a late value (the first frame) is right from some step on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.export.fixed import Clock, Length, Level, zeros
from mediaconv.nn.export.fixed_plan import NoStepError, Plan, Timed
from mediaconv.nn.export.fixed_window import FixedWindow
from mediaconv.nn.graph import steps as graph_steps
from mediaconv.nn.graph.axis_factors import Along
from mediaconv.nn.graph.obstacles import run_recurrent
from mediaconv.nn.graph.rules.time_rules import Recurrent, RunningSum

_PROBED, _LONGEST_PERIOD = 4096, 1024
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


class FixedLate(FixedNode):
    """An operation on late values: computed in every step, and right once they are."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        if self.step.at_end:
            raise NoStepError("it reads a value that only the end of the input tells")
        ready = plan.ready(self.step.needs)
        plan.values[self.step.out], plan.times[self.step.out] = (
            self.call(plan.values),
            Timed(None, ready=ready),
        )
        return {}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        e[self.step.out] = self.call(e)
        return []


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
    values = [int(function((), batch, n, None)) for n in range(_PROBED, 2 * _PROBED + _LONGEST_PERIOD)]
    for period in range(1, _LONGEST_PERIOD + 1):
        if all(values[i] == values[i + period] for i in range(_PROBED)):
            shift = _PROBED % period
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
        self._lend(plan.values)
        self.layer = plan.fix(layer, plan.level(step.x, step.dims), "", step.along.dim - 2)
        y = self.layer._declare(plan.values[step.x], state, "")  # type: ignore[operator]
        self._take_back()
        plan.stream(step.out, y, self.layer.out)
        return state

    def _lend(self, e: list[Any]) -> None:
        for name, slot in self.step.weights.items():
            self.step.layer.__dict__[name] = e[slot]

    def _take_back(self) -> None:
        for name in self.step.weights:
            del self.step.layer.__dict__[name]

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        self._lend(e)
        e[self.step.out], after = self.layer(e[self.step.x], state, clock)
        self._take_back()
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


class FixedHead(FixedNode):
    """The first positions, kept from when they come."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        self.level, self.dim = plan.level(step.x, step.dims), step.along.dim
        held = zeros(x, step.end, self.dim)
        ready = max(0, (step.end - 1 - self.level.first) // self.level.count)
        plan.values[step.out] = held.narrow(self.dim, step.start, step.end - step.start)
        plan.times[step.out] = Timed(None, ready=ready)
        return {"held": held} if step.end else {}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        step, x = self.step, e[self.step.x]
        if not step.end:
            e[step.out] = zeros(x, 0, self.dim)
            return []
        held, count = next(state), self.level.count
        index = torch.arange(step.end, device=x.device) - (clock.steps * count + self.level.first)
        come = ((index >= 0) & (index < count)).reshape(-1, *[1] * (x.ndim - self.dim - 1))
        held = torch.where(come, x.index_select(self.dim, index.clamp(0, count - 1)), held)
        e[step.out] = held.narrow(self.dim, step.start, step.end - step.start)
        return [held]


class FixedJoined(FixedNode):
    """Values before a stream and after it, as padding that is computed."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        if step.along.inner != 1 or not step.along.plain:
            raise NoStepError("it joins values to a stream that is folded with other axes")
        level, dim = plan.level(step.x, step.dims), step.along.dim
        ready = plan.ready((*step.before, *step.after))
        self.dim, self.level = dim, level
        self.ahead = sum(plan.values[slot].shape[dim] for slot in step.before)
        self.behind = sum(plan.values[slot].shape[dim] for slot in step.after)
        self.first = min(level.first + self.ahead, 0, -ready * level.count)
        self.delay = level.first + self.ahead - self.first
        total, ahead, behind = level.length, self.ahead, self.behind
        plan.stream(step.out, x, Level(self.first, level.count, lambda n: total(n) + ahead + behind))
        return {"waiting": zeros(x, self.delay, dim)} if self.delay else {}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        step, x, dim, count = self.step, e[self.step.x], self.dim, self.level.count
        queue = torch.cat([next(state), x], dim) if self.delay else x
        y = queue.narrow(dim, 0, count)
        position = torch.arange(count, device=x.device) + clock.steps * count + self.first
        length = self.level.length(clock.length)
        for slots, at in ((step.before, position), (step.after, position - self.ahead - length)):
            size = sum(e[slot].shape[dim] for slot in slots)
            if size:
                value = torch.cat([e[slot] for slot in slots], dim)
                inside = ((at >= 0) & (at < size)).reshape(-1, *[1] * (x.ndim - dim - 1))
                y = torch.where(inside, value.index_select(dim, at.clamp(0, size - 1)), y)
        e[step.out] = y
        return [queue.narrow(dim, count, self.delay)] if self.delay else []


class FixedRunningSum(FixedNode):
    """A cumulative sum, to which nothing before the signal is added."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        self.level, self.dim = plan.level(step.x, step.dims), step.along.dim
        y = x.cumsum(self.dim, dtype=step.dtype_out)
        plan.stream(step.out, y, self.level)
        return {"total": torch.zeros_like(y.narrow(self.dim, 0, 1))}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        x, dim, count = e[self.step.x], self.dim, self.level.count
        position = torch.arange(count, device=x.device) + clock.steps * count + self.level.first
        inside = (position >= 0).reshape(-1, *[1] * (x.ndim - dim - 1))
        y = torch.where(inside, x, torch.zeros_like(x)).cumsum(dim, dtype=self.step.dtype_out) + next(state)
        e[self.step.out] = y
        return [y.narrow(dim, count - 1, 1)]


class FixedRecurrent(FixedNode):
    """A recurrence, delayed so that the signal begins with a step; its state rests until then."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        if step.options[2]:
            raise NoStepError("it runs in both directions, so it reads the whole input")
        level, self.dim = plan.level(step.x, step.dims), step.along.dim
        late = [slot in plan.times for slot in step.starts]
        ready = plan.ready((*step.starts, *step.uses))
        self.rests = max(-(level.first // level.count), ready)
        self.count, self.delay = level.count, level.first + self.rests * level.count
        y, *_ = self._run(plan.values, x, [plan.values[slot] for slot in step.starts])
        plan.stream(step.out, y, Level(-self.rests * level.count, level.count, level.length))
        state = {"waiting": zeros(x, self.delay, self.dim)} if self.delay else {}
        self.from_zeros = late
        for i, slot in enumerate(step.starts):
            start = plan.values[slot]
            state[f"h{i}"] = torch.zeros_like(start) if late[i] else start.detach().clone()
        return state

    def _run(self, e: list[Any], x: Tensor, start: list[Tensor]) -> list[Tensor]:
        step = self.step
        weights = [e[slot] for slot in step.uses]
        return run_recurrent(step.kind, x, [s.contiguous() for s in start], weights, *step.options)

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        x, after = e[self.step.x], []
        if self.delay:
            queue = torch.cat([next(state), x], self.dim)
            x = queue.narrow(self.dim, 0, self.count)
            after.append(queue.narrow(self.dim, self.count, self.delay))
        now = [next(state) for _ in self.step.starts]
        begins = clock.steps <= self.rests
        for i, slot in enumerate(self.step.starts):
            if self.from_zeros[i]:
                now[i] = torch.where(begins, e[slot], now[i])
        e[self.step.out], *ends = self._run(e, x, now)
        rests = clock.steps < self.rests
        return after + [torch.where(rests, start, end) for start, end in zip(now, ends, strict=True)]


NODES: dict[type, type[FixedNode]] = {
    graph_steps.Local: FixedLocal,
    graph_steps.Late: FixedLate,
    graph_steps.Sliding: FixedSliding,
    graph_steps.Layered: FixedLayered,
    graph_steps.Align: FixedAlign,
    graph_steps.Head: FixedHead,
    graph_steps.Joined: FixedJoined,
    RunningSum: FixedRunningSum,
    Recurrent: FixedRecurrent,
}
"""Steps that need the end of the input (`Held`, `Tail`) have none."""
