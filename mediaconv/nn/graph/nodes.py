"""The operations of a captured model one by one: where each comes from, its sizes, what it reads and costs.

For tables such as `mediaconv trace`; nothing is computed with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.composed_maps import IDENTITY, Chain
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.graph_values import STREAMED, Value
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.refusal import CaptureError, Origin
from mediaconv.nn.graph.rule_registry import named_arguments
from mediaconv.nn.graph.steps.program import Program
from mediaconv.nn.graph.symbols import evaluate, expression

aten = torch.ops.aten
_CONVOLUTIONS = (aten.conv1d, aten.conv2d, aten.conv3d)
_TRANSPOSED = (aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d)


@dataclass(frozen=True)
class Node:
    """One operation. Shapes are the model's own there, without the batch where it comes first.

    name: the module's path, with the operation's name where the module has several. maps: an axis, from
    the model's input to its output, None where that is not known; own: from its own input.
    """

    name: str
    operation: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    parameters: int
    multiply_adds: int
    maps: tuple[AxisMap | None, ...]
    own: tuple[AxisMap | None, ...]


def captured_nodes(graph: StreamingGraph, shape: Sequence[int]) -> list[Node]:
    """The operations of a captured model on its stream, in order, for an input (C, ...) of `shape`."""
    captured = next(iter(graph._captured.values()))
    programs = _programs(graph, shape)
    main = programs[graph._axis]
    assert main is not None
    sizes = Sizes(captured.sizes, shape)
    shown = list(streamed_nodes(captured.graph, main))
    names = names_of(shown, captured.names)
    parameters = _owned(graph, captured.names)
    out = []
    for node, name in zip(shown, names, strict=True):
        before, after = sizes.of(_input(node)), sizes.of(node)
        out.append(
            Node(
                name,
                title_of(node),
                before[1:],
                after[1:],
                sum(parameters.pop(n, 0) for n in node.all_input_nodes),
                _multiply_adds(node, before, after),
                tuple(map_of(p, node) for p in programs),
                tuple(_own(p, node) for p in programs),
            )
        )
    return out


def _programs(graph: StreamingGraph, shape: Sequence[int]) -> list[Program | None]:
    """The program of each axis, None where it is not known how the model streams along it."""
    dtype = next(iter(graph._captured))
    programs: list[Program | None] = []
    for axis in range(len(shape) - 1):
        try:
            programs.append(graph.program(axis, (1, *shape), dtype))
        except CaptureError:
            programs.append(None)
    return programs


class Sizes:
    """Sizes of the graph's tensors for an input (C, ...) of a shape, one item of it."""

    def __init__(self, sizes: Sequence[Any], shape: Sequence[int]) -> None:
        self.values = {
            str(size.symbol): size.value(n)
            for size, n in zip(sizes, (1, *shape), strict=True)
            if size.symbol is not None
        }

    def of(self, node: fx.Node) -> tuple[int, ...]:
        value = node.meta["val"]
        value = value if isinstance(value, Tensor) else value[0]
        return tuple(int(evaluate(expression(size), self.values)) for size in value.shape)


def streamed_nodes(graph: fx.Graph, program: Program) -> Iterator[fx.Node]:
    """Operations that make a stream, but those that give what they are given."""
    for node in graph.nodes:
        value = program.values.get(node)
        value = value[0] if isinstance(value, list) and value else value
        if node.op != "call_function" or not isinstance(value, Value) or value.kind != STREAMED:
            continue
        given = [program.values.get(n) for n in node.all_input_nodes]
        if hasattr(node.target, "_schema") and all(
            not isinstance(g, Value) or g.slot != value.slot for g in given
        ):
            yield node


def names_of(nodes: Sequence[fx.Node], parameters: dict[fx.Node, str]) -> list[str]:
    """Paths of the modules; with the operation's name where a module has several, and a number where it is
    called again. parameters: dotted names, which tell the module where a file tells no more.
    """
    paths = [_path(node, parameters) for node in nodes]
    operations = [plain_name(node) for node in nodes]
    several = {p: {o for q, o in zip(paths, operations, strict=True) if p == q} for p in set(paths)}
    seen: dict[str, int] = {}
    out = []
    for path, operation in zip(paths, operations, strict=True):
        name = path if path and len(several[path]) == 1 else f"{path}.{operation}".lstrip(".")
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _path(node: fx.Node, parameters: dict[fx.Node, str]) -> str:
    origin = Origin.of(node)
    path = origin.path
    if origin.of_file and path:
        return path
    if " (" in path:  # the model itself has none
        return path.split(" ")[0]
    owned = [parameters[n] for n in node.all_input_nodes if n in parameters]
    return owned[0].rpartition(".")[0] if owned else ""


def plain_name(node: fx.Node) -> str:
    """An operation's name without what torch adds for its own variants of it."""
    name = str(getattr(node.target, "_opname", node.target)).lstrip("_").removeprefix("native_")
    for ending in ("_legit_no_training", "_with_indices", "_no_update"):
        name = name.removesuffix(ending)
    return name


def _input(node: fx.Node) -> fx.Node:
    """The first of a node's inputs that is a tensor of the input's making, or its first."""
    tensors = [n for n in node.all_input_nodes if isinstance(n.meta.get("val"), Tensor)]
    return next((n for n in tensors if n.op != "placeholder"), tensors[0] if tensors else node)


def _owned(graph: StreamingGraph, names: dict[fx.Node, str]) -> dict[fx.Node, int]:
    """How many parameters each placeholder stands for; shared ones are counted once."""
    counts = dict(graph.named_parameters())
    return {node: counts[name].numel() for node, name in names.items() if name in counts}


def title_of(node: fx.Node) -> str:
    name = plain_name(node)
    weight = named_arguments(node).get("weight")
    if packet_of(node) in (*_CONVOLUTIONS, *_TRANSPOSED, aten.convolution) and isinstance(weight, fx.Node):
        return f"{name} {'×'.join(str(int(k)) for k in weight.meta['val'].shape[2:])}"
    return name


def packet_of(node: fx.Node) -> Any:
    return getattr(node.target, "overloadpacket", None)


def _multiply_adds(node: fx.Node, before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """Those of convolutions, as everywhere in this package's tables."""
    a, packet = named_arguments(node), packet_of(node)
    transposed = packet in _TRANSPOSED or bool(a.get("transposed"))
    if packet not in (*_CONVOLUTIONS, *_TRANSPOSED, aten.convolution):
        return 0
    taps = math.prod(int(n) for n in a["weight"].meta["val"].shape[1:])
    return math.prod(before if transposed else after) * taps


def value_of(program: Program, node: fx.Node) -> Value | None:
    value = program.values.get(node)
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, Value) and value.node is not None else None


def map_of(program: Program | None, node: fx.Node) -> AxisMap | None:
    value = None if program is None else value_of(program, node)
    if value is None or value.node is None:
        return None
    return program.map_of(value.node)  # type: ignore[union-attr]


def _own(program: Program | None, node: fx.Node) -> AxisMap | None:
    """From the node's own inputs: followed back through the steps that it consists of."""
    value = None if program is None else value_of(program, node)
    if value is None or value.node is None:
        return None
    inputs = [value_of(program, n) for n in node.all_input_nodes]  # type: ignore[arg-type]
    ends = {id(v.node) for v in inputs if v is not None}
    maps: list[AxisMap] = []
    now: MapNode = value.node
    while id(now) not in ends and now.sources:
        if now.whole or now.past:
            return GraphMap(MapNode(((MapNode(), IDENTITY),), past=now.past, whole=now.whole))
        now, along = now.sources[0]
        maps.insert(0, along)
    if len(maps) == 1:
        return maps[0]
    return Chain(tuple(maps)) if maps else IDENTITY
