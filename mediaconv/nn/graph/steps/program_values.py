"""What the steps of a program have from the start: parameters as they are now, and what follows from them."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.steps.parameters import Parameters
from mediaconv.nn.graph.steps.program import Program


class ProgramValues:
    """The first values of a module's programs, computed again only where a parameter changed.

    A copy begins empty: its module may be another.
    """

    def __init__(self) -> None:
        self._parameters: WeakKeyDictionary[Program, Parameters] = WeakKeyDictionary()
        self._values: WeakKeyDictionary[Program, tuple[Any, list[Any]]] = WeakKeyDictionary()

    def __deepcopy__(self, memo: dict) -> ProgramValues:
        return ProgramValues()

    def __reduce__(self) -> tuple:
        return ProgramValues, ()

    def forget(self) -> None:
        """Compute all again: of what was written through `.data` nothing else tells."""
        self._values.clear()

    def of(self, program: Program, captured: Captured, module: nn.Module, x: Tensor) -> list[Any]:
        """A list of all slots of a program for one step on x; those that the steps fill are None."""
        tensors = self._tensors(program, captured, module, x.device)
        traced = torch.is_grad_enabled() and any(t.requires_grad for _, t in tensors)
        batch = x.shape[0]
        versions = (batch, tuple((id(t), t._version) for _, t in tensors))
        known = self._values.get(program)
        if known is not None and known[0] == versions and not traced:
            return list(known[1])
        values: list[Any] = [None] * program.slots
        for slot, t in tensors:
            values[slot] = t
        for one in program.constants:
            values[one.out] = one.function(values, batch, None, x.device)
        if not traced:
            self._values[program] = (versions, list(values))
        return values

    def _tensors(
        self, program: Program, captured: Captured, module: nn.Module, device: torch.device
    ) -> list[tuple[int, Tensor]]:
        parameters = self._parameters.get(program)
        if parameters is None:
            nodes = program.parameters.items()
            named = {slot: captured.names[node] for slot, node in nodes if node in captured.names}
            others = {slot: captured.constants[n] for slot, n in nodes if n not in captured.names}
            parameters = self._parameters[program] = Parameters(module, named, others)
        return parameters.tensors(device)
