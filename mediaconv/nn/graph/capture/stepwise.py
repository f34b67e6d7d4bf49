"""A recurrence of any making as one operation of a captured graph: a body that is run step by step.

`run_stepwise` computes it. While a model is exported it is the operation `mediaconv::stepwise` instead, which
takes any length; the rule that streams it is in `rules.stepwise_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Once = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]]
"""One step: (inputs at a position, state) to (outputs there, state)."""


class Body:
    """What a recurrence does in a step.

    itemwise: each item of the batch, dimension 0 of a step's tensors, is computed by itself.
    """

    itemwise = False

    def begin(self, constants: Sequence[Tensor]) -> Once:
        """The step with its constants; what follows from them alone is computed here."""
        raise NotImplementedError


_BODIES: dict[str, Body] = {}
"""By the name that an exported graph, which holds no objects, has for a body."""
_LIBRARY = torch.library.Library("mediaconv", "FRAGMENT")
_LIBRARY.define("stepwise(str body, Tensor[] xs, Tensor[] state, Tensor[] constants) -> Tensor[]")


def body_named(name: str) -> Body:
    """The body of an operation in an exported graph."""
    return _BODIES[name]


def stepwise(body: Body, xs: list[Tensor], state: list[Tensor], constants: list[Tensor]) -> list[Tensor]:
    """Outputs of all positions and the last state.

    xs: (T, ...) each. state: before the first step. Result: outputs, (T, ...) each, then the state's tensors.
    Raises ValueError for a state that changes its shape.
    """
    if torch.compiler.is_exporting():
        name = f"body {id(body)}"
        _BODIES[name] = body
        return list(torch.ops.mediaconv.stepwise(name, xs, state, constants))
    return run_stepwise(body, xs, state, constants)


def run_stepwise(body: Body, xs: list[Tensor], state: list[Tensor], constants: list[Tensor]) -> list[Tensor]:
    """`stepwise`, computed."""
    length = xs[0].shape[0]
    once, outputs = body.begin(constants), []
    for t in range(length):
        y, after = once([x[t] for x in xs], state)
        _check(state, after)
        outputs.append(y)
        state = after
    if length:
        return [*map(torch.stack, zip(*outputs, strict=True)), *state]
    y, _ = once([x.new_zeros(x.shape[1:]) for x in xs], state)
    return [*(part.new_empty((0, *part.shape)) for part in y), *state]


def _check(before: list[Tensor], after: list[Tensor]) -> None:
    for a, b in zip(before, after, strict=True):
        if (
            a.ndim != b.ndim
            or a.dtype != b.dtype
            or any(m != n for m, n in zip(a.shape, b.shape, strict=True))
        ):
            raise ValueError(
                f"a loop's state changes from {tuple(a.shape)} ({a.dtype}) to {tuple(b.shape)} ({b.dtype})"
            )


def _fake(body: str, xs: list[Tensor], state: list[Tensor], constants: list[Tensor]) -> list[Tensor]:
    once = _BODIES[body].begin(constants)
    y, after = once([x.new_empty(x.shape[1:]) for x in xs], state)
    _check(state, after)
    out: list[Any] = [part.new_empty([xs[0].shape[0], *part.shape]) for part in y]
    return [*out, *(s.new_empty(s.shape) for s in state)]


def _run(body: str, xs: list[Tensor], state: list[Tensor], constants: list[Tensor]) -> list[Tensor]:
    return [t.clone() for t in run_stepwise(_BODIES[body], xs, state, constants)]


_LIBRARY.impl("stepwise", _run, "CompositeExplicitAutograd")
torch.library.register_fake("mediaconv::stepwise", _fake, lib=_LIBRARY)
