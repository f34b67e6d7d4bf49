"""A module as a graph of torch operations with sizes that depend on the input's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from mediaconv.nn.backends.kept_weights import Keeper, KeptWeights
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.symbols import AxisSize, expression


@dataclass
class Captured:
    """An exported graph. names: placeholder to dotted name of a parameter or buffer of the module.

    buffers: placeholder to a buffer as it was. constants: placeholder to a tensor that is neither.
    x: the placeholder of the input. y: the output's node.
    sizes: of the input's dimensions. dtype: that it was captured in. conditions: on sizes, under which it
    holds. assertions: where the module asserts what its stream does not check. keepers: of weights in another
    order, by what they are put in order for and their nodes.
    """

    graph: fx.Graph
    names: dict[fx.Node, str]
    constants: dict[fx.Node, Tensor]
    x: fx.Node
    y: fx.Node
    sizes: list[AxisSize] = field(default_factory=list)
    dtype: torch.dtype = torch.float32
    conditions: list[Any] = field(default_factory=list)
    buffers: dict[fx.Node, Tensor] = field(default_factory=dict)
    assertions: list[str] = field(default_factory=list)
    keepers: dict[Any, Keeper] = field(default_factory=dict)

    def keeper(self, kind: Callable[..., KeptWeights], weights: Sequence[fx.Node], **options: bool) -> Keeper:
        """The one that all programs of this capture have for these weights."""
        key = (kind, *weights, *options.items())
        return self.keepers.setdefault(key, Keeper(partial(kind, **options)))


def of_program(program: ExportedProgram, dtype: torch.dtype) -> Captured:
    """The graph of an exported program. Raises CaptureError where it writes what is not its own."""
    signature = program.graph_signature
    if signature.buffers_to_mutate:
        names = ", ".join(n.removeprefix("module.") for n in signature.buffers_to_mutate.values())
        raise CaptureError([f"the module writes into its own buffers ({names}): call .eval() first"])
    if signature.user_inputs_to_mutate:
        raise CaptureError(
            ["the module writes into its own input (an operation in place): let it begin with x = x.clone()"]
        )
    nodes = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    targets: dict[fx.Node, str] = {}
    constants: dict[fx.Node, Tensor] = {}
    buffers: dict[fx.Node, Tensor] = {}
    x: fx.Node | None = None
    state = {**dict(program.named_parameters()), **dict(program.named_buffers())}
    for spec in signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind == torch.export.graph_signature.InputKind.USER_INPUT:
            x = node
        elif spec.target in program.constants and spec.target not in state:
            constants[node] = program.constants[spec.target]
        else:
            targets[node] = str(spec.target).removeprefix("module.")
            if spec.kind == torch.export.graph_signature.InputKind.BUFFER:
                buffers[node] = state[str(spec.target)]
    (result,) = (n for n in program.graph.nodes if n.op == "output")
    if x is None:
        raise CaptureError(["the module's export does not use its input"])
    sizes = [AxisSize(expression(size)) for size in x.meta["val"].shape]
    y, conditions = result.args[0][0], _conditions(x.meta["val"])
    return Captured(program.graph, targets, constants, x, y, sizes, dtype, conditions, buffers)


def _conditions(x: Tensor) -> list[Any]:
    """What the export found true of the sizes and relied on."""
    expressions: list[Any] = []
    for size in x.shape:
        if isinstance(size, torch.SymInt):
            expressions += (guard.expr for guard in size.node.shape_env.guards)
    return list(dict.fromkeys(expressions))
