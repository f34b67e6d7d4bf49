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
from mediaconv.nn.graph.capture.stepwise import Body

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


@dataclass(eq=False)
class Cell(Body):
    """One direction. Its constants: weights, recurrent weights, bias (2 G H), and peepholes (3 H) of an LSTM
    that has them.

    kind: RNN, GRU or LSTM. activations: in ONNX's order. clip: bound of what goes into them.
    coupled: an LSTM's forget gate is one less its input gate. linear: a GRU multiplies before its reset gate.
    """

    kind: str
    activations: Sequence[Activation]
    clip: float | None = None
    coupled: bool = False
    linear: bool = False
    itemwise = True

    def begin(self, constants: Sequence[Tensor]) -> list[Tensor]:
        """Weights and bias of what `given` gives, then those of a step."""
        w, r, b, *peepholes = constants
        of_x, of_h = b.chunk(2)
        if self.kind != "GRU":
            return [w, of_x + of_h, r, *(part for p in peepholes for part in p.chunk(3))]
        units = r.shape[1]
        sizes = [2 * units, units]
        gates = zip(r.split(sizes), of_h.split(sizes), strict=True)
        return [w, of_x, *(part for pair in gates for part in pair)]

    def given(self, xs: list[Tensor], known: list[Tensor]) -> list[Tensor]:
        return [F.linear(xs[0], *known[:2])]

    def once(
        self, xs: list[Tensor], state: list[Tensor], known: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        functions = [_function(activation) for activation in self.activations]
        step: Any = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[self.kind]
        after = step(xs[0], state, functions, *known[2:])
        return [after[0]], after

    def _clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def _rnn(self, x: Tensor, state: list[Tensor], functions: Sequence[Any], r: Tensor) -> list[Tensor]:
        (h,), (f,) = state, functions
        return [f(self._clipped(x + F.linear(h, r)))]

    def _gru(
        self,
        x: Tensor,
        state: list[Tensor],
        functions: Sequence[Any],
        r: Tensor,
        b: Tensor,
        r_new: Tensor,
        b_new: Tensor,
    ) -> list[Tensor]:
        (h,), (f, g) = state, functions
        units = h.shape[-1]
        x_gates, x_new = x.split([2 * units, units], -1)
        z, reset = f(self._clipped(x_gates + F.linear(h, r, b))).chunk(2, -1)
        new = reset * F.linear(h, r_new, b_new) if self.linear else F.linear(reset * h, r_new, b_new)
        return [(1 - z) * g(self._clipped(x_new + new)) + z * h]

    def _lstm(
        self,
        x: Tensor,
        state: list[Tensor],
        functions: Sequence[Any],
        r: Tensor,
        *peepholes: Tensor,
    ) -> list[Tensor]:
        (h, c), (f, g, out) = state, functions
        gates, new = (x + F.linear(h, r)).split([3 * h.shape[-1], h.shape[-1]], -1)
        if not peepholes:
            i, o, forget = f(self._clipped(gates)).chunk(3, -1)
            c = (1 - i if self.coupled else forget) * c + i * g(self._clipped(new))
            return [o * out(c), c]
        i, o, forget = gates.chunk(3, -1)
        of_input, of_output, of_forget = peepholes
        i = f(self._clipped(i + of_input * c))
        forget = 1 - i if self.coupled else f(self._clipped(forget + of_forget * c))
        c = forget * c + i * g(self._clipped(new))
        return [f(self._clipped(o + of_output * c)) * out(c), c]
