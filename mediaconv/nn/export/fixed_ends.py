"""The first and the last positions of a captured graph's streams, taken apart and joined, in fixed shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.export.fixed import Clock, Level, zeros
from mediaconv.nn.export.fixed_nodes import LONGEST_PERIOD, PROBED, FixedNode
from mediaconv.nn.export.fixed_plan import NoStepError, Plan, Timed


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


class FixedTail(FixedNode):
    """Some of the last positions that have come; the last of all once the end is known."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        if step.along.inner != 1 or not step.along.plain:
            raise NoStepError("it takes positions apart from a stream that is folded with other axes")
        self.level, self.dim = plan.level(step.x, step.dims), step.along.dim
        held = zeros(x, step.count, self.dim)
        plan.values[step.out] = held.narrow(self.dim, 0, step.take)
        plan.times[step.out] = Timed(None, ends=(self.level,))
        return {"held": held}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        step, x, count = self.step, e[self.step.x], self.level.count
        start = clock.steps * count + self.level.first
        come = (self.level.length(clock.length) - start).clamp(0, count)
        index = torch.arange(step.count, device=x.device) + come
        held = torch.cat([next(state), x], self.dim).index_select(self.dim, index)
        e[step.out] = held.narrow(self.dim, 0, step.take)
        return [held]


def shortest(long: Level, short: Level) -> int:
    """By how much one signal is longer than another, at least."""
    lengths = (torch.tensor(n) for n in range(PROBED, PROBED + LONGEST_PERIOD))
    return min(int(long.length(n)) - int(short.length(n)) for n in lengths)


class FixedJoined(FixedNode):
    """Values before a stream and after it, as padding that is computed."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        if step.along.inner != 1 or not step.along.plain:
            raise NoStepError("it joins values to a stream that is folded with other axes")
        level, dim = plan.level(step.x, step.dims), step.along.dim
        ready = max(plan.ready(step.before), plan.late(step.after)[0])
        self.dim, self.level = dim, level
        self.ahead = sum(plan.values[slot].shape[dim] for slot in step.before)
        self.behind = sum(plan.values[slot].shape[dim] for slot in step.after)
        self.first = min(level.first + self.ahead, 0, -ready * level.count)
        for end in plan.late(step.after)[1]:  # the last positions come before what is made of them
            if end.count != level.count:
                raise NoStepError("it takes positions apart from a stream of another rate")
            self.first = min(self.first, end.first + self.ahead + 1 + shortest(level, end))
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
