"""A recurrence of any making as one operation of a captured graph: a body that is run step by step.

`run_stepwise` computes it. While a model is exported it is the operation `mediaconv::stepwise` instead, which
takes any length; the rule that streams it is in `rules.stepwise_rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.graph.capture.flat_steps import flat

Tensors = list[Tensor]


class Body:
    """What a recurrence does in a step.

    itemwise: each item of the batch, dimension 0 of a step's tensors, is computed by itself.
    """

    itemwise = False

    def begin(self, constants: Sequence[Tensor]) -> Tensors:
        """What follows from the constants alone, which every step is given."""
        return list(constants)

    def given(self, xs: Tensors, known: Tensors) -> Tensors:
        """What follows from the inputs, (T, ...) each, without the state, for all positions at once."""
        return xs

    def once(self, xs: Tensors, state: Tensors, known: Tensors) -> tuple[Tensors, Tensors]:
        """One step: what is given at a position and the state, to outputs there and the next state."""
        raise NotImplementedError


_BODIES: dict[str, Body] = {}
"""By the name that an exported graph, which holds no objects, has for a body."""
_LIBRARY = torch.library.Library("mediaconv", "FRAGMENT")
_LIBRARY.define("stepwise(str body, Tensor[] xs, Tensor[] state, Tensor[] constants) -> Tensor[]")


def body_named(name: str) -> Body:
    """The body of an operation in an exported graph."""
    return _BODIES[name]


def stepwise(body: Body, xs: Tensors, state: Tensors, constants: Tensors) -> Tensors:
    """Outputs of all positions and the last state.

    xs: (T, ...) each. state: before the first step. Result: outputs, (T, ...) each, then the state's tensors.
    Raises ValueError for a state that changes its shape.
    """
    if torch.compiler.is_exporting():
        name = f"body {id(body)}"
        _BODIES[name] = body
        return list(torch.ops.mediaconv.stepwise(name, xs, state, constants))
    return run_stepwise(body, xs, state, constants)


def run_stepwise(body: Body, xs: Tensors, state: Tensors, constants: Tensors) -> Tensors:
    """`stepwise`, computed."""
    length = xs[0].shape[0]
    known = body.begin(constants)
    if not length:
        y, _ = _first(body, xs, state, known)
        return [*(part.new_empty((0, *part.shape)) for part in y), *state]
    given = body.given(xs, known)
    once = flat(body, body.once, [x[0] for x in given], state, known)
    outputs = []
    for now in zip(*(x.unbind(0) for x in given), strict=True):
        y, after = once(list(now), state, known)
        if state is not after:
            _check(state, after)
        outputs.append(y)
        state = after
    return [*map(torch.stack, zip(*outputs, strict=True)), *state]


def _first(body: Body, xs: Tensors, state: Tensors, known: Tensors) -> tuple[Tensors, Tensors]:
    """A step of any values, for its shapes."""
    given = body.given([x.new_zeros((1, *x.shape[1:])) for x in xs], known)
    return body.once([x[0] for x in given], state, known)


def _check(before: Tensors, after: Tensors) -> None:
    for a, b in zip(before, after, strict=True):
        if (
            a.ndim != b.ndim
            or a.dtype != b.dtype
            or any(m != n for m, n in zip(a.shape, b.shape, strict=True))
        ):
            raise ValueError(
                f"a loop's state changes from {tuple(a.shape)} ({a.dtype}) to {tuple(b.shape)} ({b.dtype})"
            )


def _fake(body: str, xs: Tensors, state: Tensors, constants: Tensors) -> Tensors:
    one = _BODIES[body]
    y, after = _first(one, xs, state, one.begin(constants))
    _check(state, after)
    out: list[Any] = [part.new_empty([xs[0].shape[0], *part.shape]) for part in y]
    return [*out, *(s.new_empty(s.shape) for s in state)]


def _run(body: str, xs: Tensors, state: Tensors, constants: Tensors) -> Tensors:
    return [t.clone() for t in run_stepwise(_BODIES[body], xs, state, constants)]


_LIBRARY.impl("stepwise", _run, "CompositeExplicitAutograd")
torch.library.register_fake("mediaconv::stepwise", _fake, lib=_LIBRARY)
