"""A captured graph's attention in fixed shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.export.fixed import Clock, Level, zeros
from mediaconv.nn.export.fixed_nodes import FixedNode
from mediaconv.nn.export.fixed_plan import NoStepError, Plan
from mediaconv.nn.graph.rules.attention_rules import mask_bias


class FixedAttention(FixedNode):
    """Attention in a window: keys and values for later queries are kept, and queries that look ahead."""

    bias: Tensor

    def declare(self, plan: Plan) -> dict[str, Tensor]:
        step, mask = self.step, self.step.mask
        if mask.lookback is None:
            raise NoStepError("it keeps the keys and values of all the past, for which no state has room")
        if mask.phases > 1:
            raise NoStepError("its mask of attention is another from position to position")
        values = [plan.values[slot] for slot, _, _ in step.ins]
        self.axes = [x.ndim + axis for x, (_, _, axis) in zip(values, step.ins, strict=True)]
        level = plan.level(*step.ins[0][:2])
        self.count, self.first, self.length = level.count, level.first - mask.lookahead, level.length
        self.kept = mask.lookback + mask.lookahead
        self._lay_out(plan, values[0])
        held = [zeros(x, self.kept, axis) for x, axis in zip(values, self.axes, strict=True)]
        k, v = (torch.cat([h, x], a) for h, x, a in zip(held[1:], values[1:], self.axes[1:], strict=True))
        inside = torch.ones(self.kept + self.count, dtype=torch.bool, device=plan.device)
        y = self._attend(list(plan.values), values[0], k, v, inside)
        plan.stream(step.out, y, Level(self.first, self.count, level.length))
        state = {"q": zeros(values[0], mask.lookahead, self.axes[0])} if mask.lookahead else {}
        return {**state, "k": held[1], "v": held[2]} if self.kept else state

    def _lay_out(self, plan: Plan, q: Tensor) -> None:
        """What the mask adds to a chunk's scores, which is the same in every step."""
        mask = self.step.mask
        bias = mask_bias(mask, mask.lookback, mask.lookback + self.count, 0, self.kept + self.count, q)
        self.register_buffer("bias", bias)

    def forward(self, e: list[Any], state: Iterator[Tensor], clock: Clock) -> list[Tensor]:
        mask, after = self.step.mask, []
        q, k, v = (e[slot] for slot, _, _ in self.step.ins)
        if mask.lookahead:
            queue = torch.cat([next(state), q], self.axes[0])
            q, waiting = queue.split([self.count, mask.lookahead], self.axes[0])
            after.append(waiting)
        if self.kept:
            k, v = (torch.cat([next(state), t], a) for t, a in zip((k, v), self.axes[1:], strict=True))
            after += [t.narrow(a, self.count, self.kept) for t, a in zip((k, v), self.axes[1:], strict=True)]
        position = torch.arange(self.kept + self.count, device=q.device) - mask.lookback
        position = position + clock.steps * self.count + self.first
        inside = (position >= 0) & (position < self.length(clock.length))
        k, v = (
            torch.where(inside.reshape([-1, *[1] * (t.ndim - a - 1)]), t, torch.zeros_like(t))
            for t, a in zip((k, v), self.axes[1:], strict=True)
        )
        e[self.step.out] = self._attend(e, q, k, v, inside)
        return after

    def _opened(self, inside: Tensor) -> Tensor:
        """Pairs of query and key of which a query may read the key, as far as the signal goes.

        A query outside of the signal reads all, so that its outputs, which nobody sees, are numbers.
        """
        outside = ~inside.narrow(0, self.step.mask.lookback, self.count)
        return inside[None] | outside[:, None]

    def _attend(self, e: list[Any], q: Tensor, k: Tensor, v: Tensor, inside: Tensor) -> Tensor:
        if self.step.grouped:
            times = q.shape[-3] // k.shape[-3]
            k, v = k.repeat_interleave(times, -3), v.repeat_interleave(times, -3)
        scale = q.shape[-1] ** -0.5 if self.step.scale is None else self.step.scale
        bias = torch.where(self._opened(inside), self.bias, torch.full_like(self.bias, -torch.inf))
        return torch.softmax(q @ k.transpose(-2, -1) * scale + bias, -1) @ v


class FixedWrittenAttention(FixedAttention):
    """Attention by the model's own operations. A key outside of the signal is as one too far back."""

    def _lay_out(self, plan: Plan, q: Tensor) -> None:
        step, lookback = self.step, self.step.mask.lookback
        own = {*step.own, *step.tables, *(slot for slot, _ in step.chain)}
        plan.ready(
            slot for slot in step.reads() if slot not in own and slot not in {s for s, _, _ in step.ins}
        )
        for slot, table in step.tables.items():
            if table.values.shape[0] > 1:
                raise NoStepError("its mask of attention is another from position to position")
            block = table.block(lookback, lookback + self.count, 0, self.kept + self.count)
            self.register_buffer(f"table{slot}", block.to(plan.device))
            self.register_buffer(f"closed{slot}", table.values[0][..., :1, None].to(plan.device))

    def _attend(self, e: list[Any], q: Tensor, k: Tensor, v: Tensor, inside: Tensor) -> Tensor:
        step, e, opened = self.step, list(e), self._opened(inside)
        for slot in step.tables:
            table, closed = getattr(self, f"table{slot}"), getattr(self, f"closed{slot}")
            if table.dtype == torch.bool:  # onnxruntime has no Where of truth values
                e[slot] = (opened & table) | (~opened & closed)
            else:
                e[slot] = torch.where(opened, table, closed)
        for slot, x in zip(step.own[:2], (q, k), strict=True):
            e[slot] = x
        for slot, function in step.chain:
            e[slot] = function(e, self.batch, None, self.device)
        e[step.own[2]] = v
        return step.result(e, self.batch, None, self.device)
