"""What the operations of a captured model give for an input, as (1, C, ...) with the stream axis first.

For pictures of a model from inside. Operations that only move values, and those whose output has other axes
than the model's input (heads of attention), are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.nodes import (
    Sizes,
    map_of,
    names_of,
    packet_of,
    plain_name,
    streamed_nodes,
    title_of,
    value_of,
)
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.rule_registry import named_arguments
from mediaconv.nn.graph.symbols import depends, expression
from mediaconv.nn.layers import convolution, transposed

MOST_OPERATIONS = 64
"""Of a model that are told; where it has more, those with weights come first."""
MOVES = frozenset(
    """
    alias as_strided cat chunk clone constant_pad_nd contiguous copy detach expand flatten flip getitem index
    index_select narrow pad permute reflection_pad1d reflection_pad2d reflection_pad3d repeat
    replication_pad1d replication_pad2d replication_pad3d reshape roll select slice split split_with_sizes
    squeeze stack t tile to transpose type_as unbind unflatten unfold unsafe_view unsqueeze view to_copy
    """.split()  # noqa: SIM905  # fifty quoted words would be a page
)
"""Operations that compute no new values."""
_CONVOLUTIONS: dict[Any, type[nn.Module]] = {
    torch.ops.aten.conv1d: convolution.Conv1d,
    torch.ops.aten.conv2d: convolution.Conv2d,
    torch.ops.aten.conv3d: convolution.Conv3d,
    torch.ops.aten.conv_transpose1d: transposed.ConvTranspose1d,
    torch.ops.aten.conv_transpose2d: transposed.ConvTranspose2d,
    torch.ops.aten.conv_transpose3d: transposed.ConvTranspose3d,
}
_ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "hardsigmoid": nn.Hardsigmoid(),
}


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of a captured model.

    name: unique in the model, from the module's path. title: the operation's own. shape: of its output,
    (C, ...). along: what it reads along axis 0 of the model's input. order: the output's dimensions but
    batches of one, in our order. sources: names of the operations that it takes its input from, through
    those that only move values; the model's input is the empty name.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    along: AxisMap
    node: fx.Node
    order: tuple[int, ...]
    sources: tuple[str, ...]


def operations_of(graph: StreamingGraph, shape: Sequence[int]) -> list[Operation]:
    """The operations that are shown for an input (C, ...) of a shape; none where its size does not fit."""
    return _shown_and_left(graph, shape)[0]


def operations_left_out(graph: StreamingGraph, shape: Sequence[int]) -> list[str]:
    """Names of the operations that are not shown, for there are more than MOST_OPERATIONS, in their order."""
    return _shown_and_left(graph, shape)[1]


def _shown_and_left(graph: StreamingGraph, shape: Sequence[int]) -> tuple[list[Operation], list[str]]:
    graph = graph.like_length(shape[1])
    if graph._axis != 0 or graph._into_past:
        return [], []
    dtype, captured = graph.a_capture()
    try:
        program = graph.program(0, (1, *shape), dtype)
        sizes = Sizes(captured.sizes, shape)
    except (CaptureError, ValueError):
        return [], []
    if program.batch not in (None, 1):
        return [], []
    nodes = list(streamed_nodes(captured.graph, program))
    found: list[tuple[fx.Node, str, tuple[int, ...]]] = []
    for node, name in zip(nodes, names_of(nodes, captured.names), strict=True):
        value = value_of(program, node)
        if value is None or plain_name(node) in MOVES or not value.dtype.is_floating_point:
            continue
        order = _order(value.dims, node, captured)
        if order is not None:
            found.append((node, name, order))
    every = [name for _, name, _ in found]
    if len(found) > MOST_OPERATIONS:
        weighed = [f for f in found if any(n in captured.names for n in f[0].all_input_nodes)]
        found = (weighed or found)[:MOST_OPERATIONS]
    names = {node: name for node, name, _ in found}
    operations = []
    for node, name, order in found:
        whole, along = sizes.of(node), map_of(program, node)
        assert along is not None  # it has a value
        shown = tuple(whole[d] for d in order)
        sources = tuple(dict.fromkeys(_sources(node, names, captured.x)))
        operations.append(Operation(name, title_of(node), shown, along, node, order, sources))
    return operations, [name for name in every if name not in set(names.values())]


def _order(dims: Dims, node: fx.Node, captured: Captured) -> tuple[int, ...] | None:
    """The dimensions of an output as (C, stream, ...); None where they are not those of the input."""
    rank = len(captured.sizes) - 2
    stream = [d for d, factors in enumerate(dims) if STREAM in factors]
    if len(stream) != 1 or set(dims[stream[0]]) > {BATCH, STREAM}:
        return None
    others = [d for d, factors in enumerate(dims) if d != stream[0] and factors != (BATCH,)]
    if len(others) == rank + 1:  # a batch of one has no factor
        others = others[1:] if others[0] == 0 and not dims[0] else others
    if len(others) != rank or any(BATCH in dims[d] for d in others):
        return None
    value = node.meta["val"]
    value = value if isinstance(value, Tensor) else value[0]
    across = [size.symbol for size in captured.sizes[3:] if size.symbol is not None]
    if any(depends(expression(value.shape[others[0]]), symbol) for symbol in across):
        return None  # the channels stand last
    return (others[0], stream[0], *others[1:])


def _sources(node: fx.Node, names: dict[fx.Node, str], x: fx.Node) -> Iterator[str]:
    """Names of what a node takes in; behind what has none, of what that takes in."""
    for given in node.all_input_nodes:
        if given is x:
            yield ""
        elif given in names:
            yield names[given]
        elif isinstance(given.meta.get("val"), Tensor | tuple | list):
            yield from _sources(given, names, x)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one operation gives for each input. values: (1, C, ...) each, the stream's axis the first one.

    convolution: of a plain one, the layer that it is, with `given`, what came into it, (1, C, ...) each.
    activation: a module of the same values, where the ends of its range are known.
    """

    operation: Operation
    values: list[Tensor]
    convolution: nn.Module | None = None
    given: list[Tensor] | None = None
    activation: nn.Module | None = None


@torch.no_grad()
def outputs_of(graph: StreamingGraph, inputs: Sequence[Tensor]) -> Iterator[Outputs]:
    """The outputs of a model's operations for inputs (1, C, ...) of one shape, in the order of its graph.

    Nothing where the graph, run by itself, does not give what the module gives.
    """
    graph = graph.like_length(inputs[0].shape[2])
    _, captured = graph.a_capture()
    operations = {o.node: o for o in operations_of(graph, inputs[0].shape[1:])}
    (y,) = (run[captured.y] for _, (run, *_) in _runs(graph, captured, inputs[:1], keep=captured.y))
    if not torch.allclose(y, graph(inputs[0]), rtol=1e-4, atol=1e-5, equal_nan=True):  # sums in another order
        return
    for node, runs in _runs(graph, captured, inputs):
        operation = operations.get(node)
        if operation is None:
            continue
        results = [run[node] for run in runs]
        values = [_ours(r if isinstance(r, Tensor) else r[0], operation) for r in results]
        layer = _convolution(operation, runs[0])
        source = named_arguments(node).get("input") if layer is not None else None
        given = [run[source] for run in runs] if isinstance(source, fx.Node) else None
        yield Outputs(operation, values, layer, given, _ACTIVATIONS.get(plain_name(node)))


def _runs(
    graph: StreamingGraph, captured: Captured, inputs: Sequence[Tensor], keep: fx.Node | None = None
) -> Iterator[tuple[fx.Node, list[dict[fx.Node, Any]]]]:
    """Run the captured graph over all inputs, node by node: each and the values that are still needed.

    keep: tell of this node alone.
    """
    module = graph.__dict__["_module"]
    state: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    state |= dict(module.named_buffers(remove_duplicate=False))
    runs = [fx.Interpreter(module, graph=captured.graph) for _ in inputs]
    for node in captured.graph.nodes:
        if node.op == "output":
            return
        for run, x in zip(runs, inputs, strict=True):
            if node is captured.x:
                run.env[node] = x
            elif node.op == "placeholder":
                name = captured.names.get(node)
                run.env[node] = captured.constants[node] if name is None else state[name]
            else:
                run.env[node] = run.run_node(node)
        if keep in (None, node):
            yield node, [run.env for run in runs]
        for done in runs[0].user_to_last_uses.get(node, []):
            for run in runs:
                del run.env[done]


def _ours(value: Tensor, operation: Operation) -> Tensor:
    """An output as (1, C, stream, ...): the dimensions left over are batches of one."""
    others = [d for d in range(value.ndim) if d not in operation.order]
    ordered = value.permute(*operation.order, *others)
    return ordered.reshape(1, *ordered.shape[: len(operation.order)])


def _convolution(operation: Operation, run: dict[fx.Node, Any]) -> nn.Module | None:
    """The layer that a convolution is which has a batch, channels and axes in our order."""
    axes = len(operation.shape) - 1
    kind = _CONVOLUTIONS.get(packet_of(operation.node))
    if kind is None or operation.order != tuple(range(1, axes + 2)):
        return None
    a = {k: run[v] if isinstance(v, fx.Node) else v for k, v in named_arguments(operation.node).items()}
    weight, bias = a.pop("weight"), a.pop("bias")
    groups = a.pop("groups")
    options = {key: _each(value, axes) for key, value in a.items() if key != "input"}
    outer, inner = weight.shape[0], weight.shape[1] * groups
    channels = (outer, inner) if "output_padding" in options else (inner, outer)
    kernel = tuple(weight.shape[2:])
    layer = kind(*channels, kernel, groups=groups, bias=bias is not None, device="meta", **options)
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def _each(value: Any, axes: int) -> Any:
    """An argument for every axis; one number stands for all."""
    return value if isinstance(value, str) else tuple(value) * (axes if len(value) == 1 else 1)
