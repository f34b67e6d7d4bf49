"""Layers of a user's own as exported steps: right, or refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn import AxisMap, State, Streamable, export_step, geometry, opaque, register_pointwise
from mediaconv.nn.export.exported_step import run_step


class Double(tn.Module):
    """Reads one position."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.relu()


class Scaled(nn.Conv1d):
    """A subclass that keeps what its class declares."""

    def apply_windows(self, x: Tensor, span: object) -> Tensor:
        return 3 * super().apply_windows(x, span)  # type: ignore[arg-type]


class Other(nn.Conv1d):
    """A subclass whose call is another one than its windows."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).cumsum(2)


class Sum(Streamable, tn.Module):
    """A running sum, whose state the first step makes: nothing of it is declared."""

    dims = 1

    def __init__(self, declares: nn.Conv1d | tn.Module) -> None:
        super().__init__()
        self.__dict__["like"] = declares

    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(2)

    def axis_map(self, axis: int) -> AxisMap:
        return geometry(self.__dict__["like"])

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        total = state.tensors.get("total")
        y = x.cumsum(2) + (0 if total is None else total)
        state.tensors["total"] = y[..., -1:]
        return y


def assert_step_is_the_call(module: tn.Module) -> None:
    x = torch.randn(1, 2, 21)
    step = export_step(module.eval(), torch.zeros(1, 2, 4))
    with torch.no_grad():
        y, whole = run_step(step, step.info, step.start(), x), module(x)
    # float32 sums in another order
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-6)


def test_layers_that_are_what_they_declare_are_exported() -> None:
    torch.manual_seed(0)
    register_pointwise(Double)
    assert_step_is_the_call(nn.Sequential(Double(), nn.Conv1d(2, 2, 5, padding="same"), Double()))
    assert_step_is_the_call(nn.Sequential(Scaled(2, 2, 3, padding="same"), Scaled(2, 2, 4, padding="same")))


def test_a_state_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1: Sum streams by a step of its own, which has no fixed shape"):
        export_step(nn.Sequential(tn.Tanh(), Sum(nn.CausalConv1d(2, 2, 9))), torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match="a layer keeps a state that it does not declare"):
        export_step(nn.Sequential(tn.Tanh(), Sum(tn.Tanh())), torch.zeros(1, 2, 4))


def test_a_subclass_that_computes_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="computes something else than the class that it is made of"):
        export_step(nn.Sequential(Other(2, 2, 3, padding="same")), torch.zeros(1, 2, 4))


def test_an_opaque_module_is_refused_by_name() -> None:
    module = opaque(tn.Conv1d(2, 2, 3, padding=1), example=torch.randn(1, 2, 40))
    with pytest.raises(ValueError, match=r"0: Opaque streams by a step of its own.*capture it: to_streaming"):
        export_step(nn.Sequential(module, tn.ReLU()), torch.zeros(1, 2, 4))
