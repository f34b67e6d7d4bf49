"""LSTM, GRU and RNN: by torch's own layers where these compute the form, else step by step as ONNX has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules import rnn

from mediaconv.model_files.onnx_operators.node import Node, operator
from mediaconv.model_files.onnx_operators.recurrences.recurrent_cells import (
    DEFAULTS,
    Activation,
    Cell,
    activations,
    names_of,
)
from mediaconv.nn.graph.capture.stepwise import stepwise

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates (input, forget, cell, output; reset, update, new) stand among ONNX's (iofc; zrh)."""
_LENGTHS = {"LSTM": 4, "GRU": 4, "RNN": 4, "ReverseSequence": 1}
"""Which input of an operator has the lengths of the items."""
_UNEVEN = (
    "items of a batch with lengths of their own are not supported: leave the input out, or state the whole"
)


def plain_lengths(nodes: Sequence[Node]) -> None:
    """Let nodes read one length where their lengths of items are one that is repeated."""
    made = {name: node for node in nodes for name in node.outputs}
    for node in nodes:
        at = _LENGTHS.get(node.kind)
        while at is not None and at < len(node.inputs):
            source = made.get(node.inputs[at])
            if source is None or source.kind not in ("Expand", "Tile", "Identity", "Cast"):
                break
            node.inputs[at] = source.inputs[0]


def _check_lengths(node: Node, lengths: np.ndarray | None, length: Any) -> None:
    """Refuse lengths of items that are not the whole."""
    if lengths is None:
        return
    if not all(bool(n == length) for n in lengths.reshape(-1).tolist()):
        raise node.refuse(f"sequence_lens: got {lengths.reshape(-1).tolist()} for {length} steps; {_UNEVEN}")


def _is_torchs(node: Node) -> bool:
    """Whether torch's layer computes a node."""
    names, defaults = names_of(node), [name.lower() for name in DEFAULTS[node.kind]]
    each = [names[i : i + len(defaults)] for i in range(0, len(names), len(defaults))]
    known = [defaults, ["relu"]] if node.kind == "RNN" else [defaults]
    return (
        all(part == each[0] for part in each)
        and each[0] in known
        and not node.get("clip")
        and not node.get("input_forget")
        and (node.kind != "GRU" or bool(node.get("linear_before_reset", 0)))
        and not (len(node.inputs) > 7 and node.inputs[7])
    )


def _reordered(node: Node, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, recurrent weights and biases of a node with torch's order of gates, as new constants."""
    activations(node)  # an error of theirs is told when the file is read
    order, made = _ORDER[node.kind], {}
    node.attributes["torch"] = _is_torchs(node)
    for i in range(1, min(4, len(node.inputs))):
        name = node.inputs[i]
        if not name:
            continue
        if name not in tensors:
            raise node.refuse("its weights are computed from the input")
        if not node.attributes["torch"]:
            continue
        value = tensors[name]
        halves = 2 if i == 3 else 1
        parts = [half.chunk(len(order), 1) for half in value.chunk(halves, 1)]
        node.inputs[i] = f"{name}.torch"
        made[node.inputs[i]] = torch.cat([half[gate] for half in parts for gate in order], 1)
    return made


def _weights(w: Tensor, r: Tensor, b: Tensor | None) -> list[Tensor]:
    flat = []
    for i in range(w.shape[0]):
        flat += [w[i], r[i], *(b[i].chunk(2) if b is not None else ())]
    return flat


@operator("LSTM", "GRU", "RNN", host=(4,), prepare=_reordered)
def recurrent(
    node: Node,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Any = None,
    h: Tensor | None = None,
    c: Tensor | None = None,
    peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    node.only(layout=0)
    _check_lengths(node, lengths, x.shape[0])
    empty = x.new_zeros(w.shape[0], x.shape[1], r.shape[2])
    start = [empty if s is None else s for s in ((h, c) if node.kind == "LSTM" else (h,))]
    run = _by_torch if node.attributes["torch"] else _by_steps
    return run(node, x, w, r, b, start, peepholes)


def _by_torch(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, start: list[Tensor], _: Tensor | None
) -> tuple[Tensor, ...]:
    # through the module of torch's own layers, whose functions a capture replaces to keep them whole
    back = node.get("direction", "forward") == "reverse"
    both = node.get("direction", "forward") == "bidirectional"
    x = x.flip(0) if back else x
    kind = {"LSTM": "lstm", "GRU": "gru", "RNN": f"rnn_{names_of(node)[0]}"}[node.kind]
    first: Any = start if kind == "lstm" else start[0]
    options = (b is not None, 1, 0.0, False, both, False)
    y, *last = getattr(rnn._VF, kind)(x, first, _weights(w, r, b), *options)
    y = y.reshape(y.shape[0], y.shape[1], w.shape[0], -1).transpose(1, 2)
    return (y.flip(0) if back else y, *last)


def _by_steps(
    node: Node,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    start: list[Tensor],
    peepholes: Tensor | None,
) -> tuple[Tensor, ...]:
    cells = node.attributes.get("cells")
    if cells is None:  # kept, so that a capture and what follows know them by one name
        cells = node.attributes["cells"] = [_cell(node, part) for part in activations(node)]
    if b is None:
        b = w.new_zeros(w.shape[0], 2 * w.shape[1])
    outputs, lasts = [], []
    for i, cell in enumerate(cells):
        back = node.get("direction", "forward") == "reverse" or i == 1
        constants = [w[i], r[i], b[i], *([] if peepholes is None else [peepholes[i]])]
        y, *last = stepwise(cell, [x.flip(0) if back else x], [s[i] for s in start], constants)
        outputs.append(y.flip(0) if back else y)
        lasts.append(last)
    return (torch.stack(outputs, 1), *(torch.stack(parts, 0) for parts in zip(*lasts, strict=True)))


def _cell(node: Node, functions: list[Activation]) -> Cell:
    coupled, linear = (bool(node.get(key)) for key in ("input_forget", "linear_before_reset"))
    return Cell(node.kind, functions, node.get("clip") or None, coupled, linear)


@operator("ReverseSequence", host=(1,))
def reverse_sequence(node: Node, x: Tensor, lengths: Any) -> Tensor:
    axis = node.get("time_axis", 0)
    _check_lengths(node, lengths, x.shape[axis])
    return x.flip(axis)
