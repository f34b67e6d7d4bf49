"""A captured graph's sums, recurrences and positions in fixed shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.export.fixed import Clock, Level, zeros
from mediaconv.nn.export.fixed_nodes import FixedNode
from mediaconv.nn.export.fixed_plan import NoStepError, Plan
from mediaconv.nn.graph.capture.obstacles import run_recurrent
from mediaconv.nn.graph.steps.recurrent_steps import TOTALS, running_extreme


class FixedRunningTotal(FixedNode):
    """A cumulative sum or its like, with which nothing before the signal is joined."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        self.level, self.dim = plan.level(step.x, step.dims), step.along.dim
        self.within, self.join, self.nothing = TOTALS[step.kind]
        y = self.within(x.to(step.dtype_out), self.dim)
        plan.stream(step.out, y, self.level)
        return {"total": torch.full_like(y.narrow(self.dim, 0, 1), self.nothing)}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        dim, count = self.dim, self.level.count
        x = e[self.step.x].to(self.step.dtype_out)
        position = torch.arange(count, device=x.device) + clock.steps * count + self.level.first
        inside = (position >= 0).reshape(-1, *[1] * (x.ndim - dim - 1))
        within = self.within(torch.where(inside, x, torch.full_like(x, self.nothing)), dim)
        y = e[self.step.out] = self.join(within, next(state))
        return [y.narrow(dim, count - 1, 1)]


class FixedRunningExtreme(FixedNode):
    """The largest or least so far; what lies before the signal is neither."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, x = self.step, plan.values[self.step.x]
        self.level, self.dim = plan.level(step.x, step.dims), step.along.dim
        least, most = -torch.inf, torch.inf
        if not x.is_floating_point():
            least, most = torch.iinfo(x.dtype).min, torch.iinfo(x.dtype).max
        self.nothing = least if step.kind == "cummax" else most
        first = x.narrow(self.dim, 0, 1)
        for slot, value in ((step.out, x), (step.at, x.long())):
            plan.stream(slot, torch.empty_like(value), self.level)
        return {"best": torch.full_like(first, self.nothing), "where": torch.zeros_like(first.long())}

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        step, x, dim, count = self.step, e[self.step.x], self.dim, self.level.count
        begun = clock.steps * count + self.level.first
        inside = (torch.arange(count, device=x.device) + begun >= 0).reshape(-1, *[1] * (x.ndim - dim - 1))
        x = torch.where(inside, x, torch.full_like(x, self.nothing))
        y, at = running_extreme(step.kind, x, dim, begun, next(state), next(state))
        e[step.out], e[step.at] = y, at
        return [y.narrow(dim, count - 1, 1), at.narrow(dim, count - 1, 1)]


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


class FixedStepwise(FixedNode):
    """A recurrence of any making, as `FixedRecurrent`. Its inputs come together."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step = self.step
        timed = [plan.times[slot] for slot in step.xs]
        level = timed[0].level
        if level is None or any(t.level is None or t.level.first != level.first for t in timed):
            raise NoStepError("its inputs come apart")
        late = [slot in plan.times for slot in step.starts]
        ready = plan.ready((*step.starts, *step.uses))
        self.rests = max(-(level.first // level.count), ready)
        self.count, self.delay = level.count, level.first + self.rests * level.count
        xs = [plan.values[slot] for slot in step.xs]
        ys, _ = step.compute(plan.values, xs, [plan.values[slot] for slot in step.starts])
        for slot, y in zip(step.outs, ys, strict=True):
            plan.stream(slot, y, Level(-self.rests * level.count, level.count, level.length))
        state = {f"waiting{i}": zeros(x, self.delay, 0) for i, x in enumerate(xs) if self.delay}
        self.from_zeros = late
        for i, slot in enumerate(step.starts):
            start = plan.values[slot]
            state[f"h{i}"] = torch.zeros_like(start) if late[i] else start.detach().clone()
        return state

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        step, xs, after = self.step, [], []
        for slot in step.xs:
            queue = torch.cat([next(state), e[slot]]) if self.delay else e[slot]
            xs.append(queue.narrow(0, 0, self.count))
            after += [queue.narrow(0, self.count, self.delay)] if self.delay else []
        now = [next(state) for _ in step.starts]
        begins, rests = clock.steps <= self.rests, clock.steps < self.rests
        for i, slot in enumerate(step.starts):
            if self.from_zeros[i]:
                now[i] = torch.where(begins, e[slot], now[i])
        ys, ends = step.compute(e, xs, now)
        for slot, y in zip(step.outs, ys, strict=True):
            e[slot] = y
        return after + [torch.where(rests, start, end) for start, end in zip(now, ends, strict=True)]


class FixedCounted(FixedNode):
    """Values that follow from the numbers of positions; those outside the signal get that of position 0."""

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step = self.step
        if step.guard is None or step.along is None:
            raise NoStepError("it counts the positions of the whole input")
        self.level = plan.level_along(step.guard, step.along)
        reads = {slot for _, function in step.chain for slot in function.slots_read}
        plan.ready(reads - {step.positions, *(slot for slot, _ in step.chain)})
        e = list(plan.values)
        self._fill(e, torch.arange(self.level.count, device=plan.device))
        plan.stream(step.out, e[step.out], self.level)
        return {}

    def _fill(self, e: list[Any], positions: Tensor) -> None:
        step = self.step
        e[step.positions] = positions
        for slot, function in step.chain:
            e[slot] = function(e, self.batch, None, self.device)
        e[step.out] = e[step.source]

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        count = self.level.count
        positions = torch.arange(count, device=self.device) + clock.steps * count + self.level.first
        inside = (positions >= 0) & (positions < self.level.length(clock.length))
        self._fill(e, torch.where(inside, positions, 0))
        return []
