"""Tests of the test: layers that are broken on purpose, each of which the contract must refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.streaming.state import State
from mediaconv.testing import ContractError
from tests.nn.contract import verify_contract

SHAPE, PLAN = (2, 2, 12), [1, 1, 0, 3, 1]


class OffByOne(nn.CausalConv1d):
    """Its step pads one input less than the call on the whole."""

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        kept, (w,) = self.windows, self.windows
        self.windows = (replace(w, left=w.left - 1, right=w.right + 1),)
        try:
            return super().step(x, state, axis=axis, last=last)
        finally:
            self.windows = kept


class OneShort(nn.Conv1d):
    """Its step forgets the right padding."""

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        kept, (w,) = self.windows, self.windows
        self.windows = (replace(w, right=0),)
        try:
            return super().step(x, state, axis=axis, last=last)
        finally:
            self.windows = kept


class Reflecting(nn.CausalConv1d):
    """Reflects at the start, so that its first outputs read the future."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(F.pad(x, (2, 0), mode="reflect"), self.weight, self.bias)


class ReflectingBoth(Reflecting):
    """Reflects at the start, in the step too: consistent in chunks, yet not causal."""

    def init_state(self, axis: int) -> State:
        return nn.Conv1d(1, 1, 1).init_state(axis)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        self.padding_mode = "reflect"
        try:
            return super().step(x, state, axis=axis, last=last)
        finally:
            self.padding_mode = "zeros"


class Forgetful(nn.CausalConv1d):
    """Loses its cache on a chunk of one."""

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        buffer = state.tensors.get("buffer")
        if x.shape[2] == 1 and buffer is not None:
            state.tensors["buffer"] = torch.zeros_like(buffer)
        return super().step(x, state, axis=axis, last=last)


class Shared(nn.CausalConv1d):
    """Keeps its cache in the module, so that two streams disturb each other."""

    kept: Tensor | None = None

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if state.counts["received"]:
            state.tensors["buffer"] = self.kept
        y = super().step(x, state, axis=axis, last=last)
        self.kept = state.tensors["buffer"]
        return y


class Borrowing(nn.CausalConv1d):
    """Keeps the end of a chunk where the caller has it."""

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        y = super().step(x, state, axis=axis, last=last)
        if x.shape[2] >= 2:
            state.tensors["buffer"] = x[..., -2:]
        return y


class Boastful(nn.Conv1d):
    """Claims a receptive field that is one too small."""

    def axis_map(self, axis: int) -> Any:
        w = self.windows[axis]
        return replace(w, kernel=w.kernel - 1, right=w.right - 1)


class Leaking(nn.CausalConv1d):
    """Reads one input ahead, consistently on the whole and in chunks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.windows = (replace(self.windows[0], left=1, right=1),)


class BiasTwice(nn.ConvTranspose1d):
    """Adds the bias to the sums that wait, too."""

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        y = super().step(x, state, axis=axis, last=last)
        sums = state.tensors["sums"]
        if sums is not None:
            state.tensors["sums"] = self._add_bias(sums)
        return y


class Greedy(nn.CausalConv1d):
    """Holds everything until the end."""

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        held = state.tensors.get("held")
        state.tensors["held"] = x if held is None else torch.cat([held, x], 2)
        return self(state.tensors["held"]) if last else self.empty_output(x, axis)


class Changing(tn.Module, nn.Streamable):
    """Changes the chunk that it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2

    def axis_map(self, axis: int) -> Any:
        return nn.geometry(tn.Identity())

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return x.mul_(2)


BROKEN = {
    "off by one": (lambda: OffByOne(2, 2, 3), True, "late"),
    "right padding forgotten": (lambda: OneShort(2, 2, 3, padding="same"), False, "chunks: shape"),
    "reflecting whole": (lambda: Reflecting(2, 2, 3), True, "chunks: differs"),
    "cache lost on one frame": (lambda: Forgetful(2, 2, 3), True, "chunks: differs"),
    "cache in the module": (lambda: Shared(2, 2, 3), True, "set back|from a file|copy|interleaved"),
    "cache in the caller's memory": (lambda: Borrowing(2, 2, 3), True, "overwritten"),
    "receptive field too small": (lambda: Boastful(2, 2, 3, padding="same"), False, "measured|outputs"),
    "reads ahead": (lambda: Leaking(2, 2, 3), True, "after its time|by formula"),
    "bias added twice": (lambda: BiasTwice(2, 2, 3, 2), False, "chunks: differs"),
    "waits for the end": (lambda: Greedy(2, 2, 3), True, "late"),
    "changes its input": (lambda: Changing(), False, "in place|differs"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_contract_catches(fault: str) -> None:
    make, causal, message = BROKEN[fault]
    with pytest.raises(ContractError, match=message):
        verify_contract(make(), SHAPE, PLAN, causal=causal)


def test_the_contract_catches_a_reflecting_start_by_gradient_alone() -> None:
    module = ReflectingBoth(2, 2, 3)
    verify_contract(module, SHAPE, [5, 1], measure="no")
    with pytest.raises(ContractError, match="output 0 reads"):
        verify_contract(module, SHAPE, [5, 1], causal=True, measure="no")


def test_the_contract_passes_what_these_are_broken_from() -> None:
    verify_contract(nn.CausalConv1d(2, 2, 3), SHAPE, PLAN, causal=True)
    verify_contract(nn.Conv1d(2, 2, 3, padding="same"), SHAPE, PLAN)
    verify_contract(nn.ConvTranspose1d(2, 2, 3, 2), SHAPE, PLAN)
    verify_contract(nn.MaxPool1d(2, 2, "same", 2), (1, 2, 1), [1], measure="no")  # nothing but padding: -inf
    between = nn.Sequential(nn.CausalConvTranspose2d(2, 2, 1, 2), nn.CausalConv2d(2, 2, 2, 2, dilation=2))
    verify_contract(between, (1, 2, 5, 3), PLAN)  # along columns it reads only what the first left out
