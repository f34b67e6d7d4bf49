"""LSTM and GRU: ONNX's order of the gates put into torch's once, when the file is read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules import rnn

from mediaconv.model_files.onnx_operators.node import Node, operator

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
"""Where torch's gates (input, forget, cell, output; reset, update, new) stand among ONNX's (iofc; zrh)."""


def _reordered(node: Node, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, recurrent weights and biases of a node with torch's order of gates, as new constants."""
    order, made = _ORDER[node.kind], {}
    for i in range(1, min(4, len(node.inputs))):
        name = node.inputs[i]
        if not name:
            continue
        if name not in tensors:
            raise node.refuse("its weights are computed from the input")
        value = tensors[name]
        halves = 2 if i == 3 else 1
        parts = [half.chunk(len(order), 1) for half in value.chunk(halves, 1)]
        node.inputs[i] = f"{name}.torch"
        made[node.inputs[i]] = torch.cat([half[gate] for half in parts for gate in order], 1)
    return made


def _check(node: Node, lengths: Tensor | None) -> bool:
    """Whether it runs both ways. Refuses what torch's layers do not compute."""
    if lengths is not None:
        raise node.refuse("sequence_lens: lengths of items are not supported")
    node.only(layout=0)
    if node.get("clip") or node.get("input_forget"):
        raise node.refuse("clip and input_forget are not supported")
    direction = node.get("direction", "forward")
    defaults = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}[node.kind]
    both = direction == "bidirectional"
    if [str(a) for a in node.get("activations") or []] not in ([], defaults, defaults * 2):
        raise node.refuse(f"activations: got {node.get('activations')}, expected {defaults}")
    return both


def _weights(w: Tensor, r: Tensor, b: Tensor | None) -> list[Tensor]:
    flat = []
    for i in range(w.shape[0]):
        flat += [w[i], r[i], *(b[i].chunk(2) if b is not None else ())]
    return flat


def _run(
    node: Node,
    kind: str,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    states: list[Tensor | None],
    both: bool,
) -> tuple[Tensor, ...]:
    # through the module of torch's own layers, whose functions a capture replaces to keep them whole
    back = node.get("direction", "forward") == "reverse"
    x = x.flip(0) if back else x
    empty = x.new_zeros(w.shape[0], x.shape[1], node.attributes["hidden_size"])
    start = [empty if s is None else s for s in states]
    flat = _weights(w, r, b)
    if kind == "LSTM":
        y, *last = rnn._VF.lstm(x, start, flat, b is not None, 1, 0.0, False, both, False)
    else:
        y, *last = rnn._VF.gru(x, start[0], flat, b is not None, 1, 0.0, False, both, False)
    y = y.reshape(y.shape[0], y.shape[1], w.shape[0], -1).transpose(1, 2)
    return (y.flip(0) if back else y, *last)


@operator("LSTM", prepare=_reordered)
def lstm(
    node: Node,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h: Tensor | None = None,
    c: Tensor | None = None,
    peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    if peepholes is not None:
        raise node.refuse("peepholes are not supported")
    return _run(node, "LSTM", x, w, r, b, [h, c], _check(node, lengths))


@operator("GRU", prepare=_reordered)
def gru(
    node: Node,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h: Tensor | None = None,
) -> tuple[Tensor, ...]:
    if not node.get("linear_before_reset", 0):
        raise node.refuse("linear_before_reset: got 0, expected 1, which torch's GRU computes")
    return _run(node, "GRU", x, w, r, b, [h], _check(node, lengths))
