"""Steps of RNN, GRU and LSTM as ONNX defines them, for the forms that torch's own layers do not compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node
from mediaconv.nn.graph.capture.stepwise import Body, Once

Activation = tuple[str, float, float]
"""A name in small letters, alpha and beta."""
DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
STATED = math.inf
"""No default: the standard's and those of runtimes differ."""
_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": F.softsign,
    "softplus": F.softplus,
}
_SCALED: dict[str, tuple[Any, ...]] = {
    "affine": (STATED, 0.0, lambda x, a, b: a * x + b),
    "leakyrelu": (0.01, None, lambda x, a, b: F.leaky_relu(x, a)),
    "thresholdedrelu": (STATED, None, lambda x, a, b: F.threshold(x, a, 0.0)),
    "scaledtanh": (STATED, STATED, lambda x, a, b: a * torch.tanh(b * x)),
    "hardsigmoid": (0.2, 0.5, lambda x, a, b: (a * x + b).clamp(0, 1)),
    "elu": (1.0, None, lambda x, a, b: F.elu(x, a)),
}
"""Default alpha and beta (None: it takes none), and the function of both."""


def names_of(node: Node) -> list[str]:
    """The activations of all directions, in small letters."""
    both = node.get("direction", "forward") == "bidirectional"
    given = [str(name) for name in node.get("activations") or []]
    names = given or [*DEFAULTS[node.kind]] * (2 if both else 1)
    return [name.lower() for name in names]


def activations(node: Node) -> list[list[Activation]]:
    """The activations of each direction; one that has alpha or beta takes the next of those stated."""
    names, count = names_of(node), len(DEFAULTS[node.kind])
    directions = 2 if node.get("direction", "forward") == "bidirectional" else 1
    if len(names) != count * directions:
        raise node.refuse(f"activations: got {len(names)}, expected {count * directions}")
    alphas, betas = (list(node.get(f"activation_{key}") or []) for key in ("alpha", "beta"))
    made: list[Activation] = []
    for name in names:
        if name in _PLAIN:
            made.append((name, 0.0, 0.0))
            continue
        if name not in _SCALED:
            known = ", ".join(sorted({*_PLAIN, *_SCALED}))
            raise node.refuse(f"activations: got {name}, expected one of {known}")
        alpha, beta, _ = _SCALED[name]
        alpha = alphas.pop(0) if alpha is not None and alphas else alpha
        beta = betas.pop(0) if beta is not None and betas else beta
        if STATED in (alpha, beta):
            raise node.refuse(f"activations: {name} has no activation_alpha or activation_beta: state them")
        made.append((name, alpha or 0.0, beta or 0.0))
    return [made[i * count : (i + 1) * count] for i in range(directions)]


def _function(activation: Activation) -> Callable[[Tensor], Tensor]:
    name, alpha, beta = activation
    if name in _PLAIN:
        return _PLAIN[name]
    scaled: Any = _SCALED[name][2]
    return lambda x: scaled(x, alpha, beta)


@dataclass
class Cell(Body):
    """One direction. Its constants: weights, recurrent weights, bias (2 G H) and an LSTM's peepholes (3 H).

    kind: RNN, GRU or LSTM. activations: in ONNX's order. clip: bound of what goes into them.
    coupled: an LSTM's forget gate is one less its input gate. linear: a GRU multiplies before its reset gate.
    """

    kind: str
    activations: Sequence[Activation]
    clip: float | None = None
    coupled: bool = False
    linear: bool = False
    itemwise = True

    def begin(self, constants: Sequence[Tensor]) -> Once:
        functions = [_function(activation) for activation in self.activations]
        step: Any = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[self.kind]

        def once(xs: list[Tensor], state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            after = step(xs[0], state, functions, *constants)
            return [after[0]], after

        return once

    def _clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def _rnn(
        self, x: Tensor, state: list[Tensor], functions: Sequence[Any], w: Tensor, r: Tensor, b: Tensor
    ) -> list[Tensor]:
        (h,), (f,) = state, functions
        return [f(self._clipped(F.linear(x, w) + F.linear(h, r) + sum(b.chunk(2))))]

    def _gru(
        self, x: Tensor, state: list[Tensor], functions: Sequence[Any], w: Tensor, r: Tensor, b: Tensor
    ) -> list[Tensor]:
        (h,), (f, g) = state, functions
        of_x, of_h = b.chunk(2)
        xz, xr, xh = F.linear(x, w, of_x).chunk(3, -1)
        rz, rr, rh = r.chunk(3)
        bz, br, bh = of_h.chunk(3)
        z = f(self._clipped(xz + F.linear(h, rz, bz)))
        reset = f(self._clipped(xr + F.linear(h, rr, br)))
        new = reset * F.linear(h, rh, bh) if self.linear else F.linear(reset * h, rh, bh)
        return [(1 - z) * g(self._clipped(xh + new)) + z * h]

    def _lstm(
        self,
        x: Tensor,
        state: list[Tensor],
        functions: Sequence[Any],
        w: Tensor,
        r: Tensor,
        b: Tensor,
        p: Tensor,
    ) -> list[Tensor]:
        (h, c), (f, g, out) = state, functions
        i, o, forget, new = (F.linear(x, w) + F.linear(h, r) + sum(b.chunk(2))).chunk(4, -1)
        pi, po, pf = p.chunk(3)
        i = f(self._clipped(i + pi * c))
        forget = 1 - i if self.coupled else f(self._clipped(forget + pf * c))
        c = forget * c + i * g(self._clipped(new))
        return [f(self._clipped(o + po * c)) * out(c), c]
