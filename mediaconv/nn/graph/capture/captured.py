"""A module as a graph of torch operations with sizes that depend on the input's, by `torch.export`.

Which of them stream is not known here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._export.utils import _get_decomp_for_cia
from torch.export import Dim, ExportedProgram, export
from torch.fx.traceback import preserve_node_meta

from mediaconv.nn.backends.kept_weights import Keeper, KeptWeights
from mediaconv.nn.graph.capture.assertions import assertions_hold
from mediaconv.nn.graph.capture.export_failure import reason
from mediaconv.nn.graph.capture.obstacles import obstacles_removed
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.symbols import AxisSize, expression
from mediaconv.nn.model_layout import ModelLayout

_FIXED = (
    "torch.export: its export holds for {} steps along the stream axis alone: a size is written into the "
    "module, the example is too short, or a Python loop runs over the steps. Such a loop streams as "
    "torch.nn.GRU or LSTM, as cumsum or the like, or as a layer with a step of its own by "
    "register_converter; where it forgets after so many steps, opaque(module, lookback, lookahead) runs it "
    "in overlapping windows"
)


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


class _Selected(nn.Module):
    """A module whose call takes (N, C, ...) and gives the one tensor of its output, laid out so, too."""

    def __init__(self, module: nn.Module, output: str | int | None, layout: ModelLayout | None) -> None:
        super().__init__()
        self.module = module
        self.output, self.layout = output, layout

    def forward(self, x: Tensor) -> Tensor:
        return called(self.module, x, self.output, self.layout)


def called(module: nn.Module, x: Tensor, output: str | int | None, layout: ModelLayout | None) -> Tensor:
    """The tensor of a module's result for an input (N, C, ...), as (N, C', ...)."""
    if layout is None:
        return select(module(x), output)
    return layout.from_model(select(module(layout.to_model(x)), output), x.shape[0])


def select(result: Any, output: str | int | None) -> Tensor:
    """The tensor of a module's result: itself, or one by name or number. Raises CaptureError otherwise."""
    if isinstance(result, Tensor):
        return result
    if output is not None:
        try:
            result = result[output]
        except (KeyError, IndexError, TypeError):
            result = getattr(result, str(output), None)
        if isinstance(result, Tensor):
            return result
        raise CaptureError([f"output {output!r}: the module's result has no such tensor"])
    if not hasattr(result, "__len__") and not hasattr(result, "values"):
        raise CaptureError([f"the module gives a {type(result).__name__}, expected a tensor"])
    values = list(result.values()) if hasattr(result, "values") else list(result)
    tensors = [v for v in values if isinstance(v, Tensor)]
    if len(tensors) == 1:
        return tensors[0]
    names = list(result.keys()) if hasattr(result, "keys") else list(range(len(values)))
    raise CaptureError([f"the module gives {len(tensors)} tensors: choose one with output=, of {names}"])


def capture(
    module: nn.Module,
    example: Tensor,
    axis: int,
    output: str | int | None = None,
    known: Callable[[Any], bool] = lambda operation: True,
    layout: ModelLayout | None = None,
) -> Captured:
    """Export a module in eval mode; every axis but the channels is dynamic where the module allows it.

    known: operations that stay as they are; of the others, those that torch composes of simpler ones are
    taken apart. layout: the module's own, where it is not that of the example.

    Raises CaptureError with torch's reason where it cannot be exported.
    """
    wrapped = _Selected(module, output, layout)
    wrapped = wrapped if module.training else wrapped.train(False)
    wrapped.training = module.training
    stream = axis + 2
    attempts: list[tuple[Tensor, list[int]]] = []
    if example.ndim > 2:
        pair = torch.cat([example, example]) if example.shape[0] == 1 else example
        attempts.append((pair, [0, *range(2, example.ndim)]))
    attempts.append((example, [stream]))
    reasons, fixed = [], False
    for x, dynamic in attempts:
        try:
            with assertions_hold() as assertions:
                program = _export(wrapped, x, dynamic, known)
        except CaptureError:
            raise
        except Exception as error:
            reasons = [reason(error, wrapped)]  # of the last attempt: its sizes are the example's own
            continue
        captured = _captured(program, x.dtype)
        captured.assertions = list(dict.fromkeys(assertions))
        if captured.sizes[stream].symbol is not None:
            return captured
        reasons.append(_FIXED.format(example.shape[stream]))
        fixed = True
    if fixed and layout is None and (hint := _hint(wrapped, example, stream, known)):
        reasons.append(hint)
    raise CaptureError(list(dict.fromkeys(reasons)))


def _hint(module: nn.Module, example: Tensor, stream: int, known: Callable[[Any], bool]) -> str | None:
    """What to write where another axis than the stream's grows; None where none does, or it is not known."""
    from mediaconv.nn.graph.capture.layout_hints import input_hint

    try:
        program = _export(module, example, list(range(1, example.ndim)), known)
        return input_hint(_captured(program, example.dtype), stream)
    except Exception:  # whatever an export says: the reason of the first one is told
        return None


def _export(
    module: nn.Module, x: Tensor, dynamic: list[int], known: Callable[[Any], bool]
) -> ExportedProgram:
    shapes = dict.fromkeys(dynamic, Dim.AUTO)

    def exported() -> ExportedProgram:
        with preserve_node_meta():  # which node of a file an operation comes from
            program = export(module, (x,), dynamic_shapes=(shapes,), strict=False)
        return _taken_apart(program, known)

    try:
        with quiet(), obstacles_removed(module), torch.no_grad():
            return exported()
    except (AttributeError, TypeError):  # torch's own sizes do not compute with fractions
        with quiet(), obstacles_removed(module, fractions=False), torch.no_grad():
            return exported()


def _taken_apart(program: ExportedProgram, known: Callable[[Any], bool]) -> ExportedProgram:
    """The program without writes in place, and without operations that torch composes of others and that are
    not known. Each round traces the program anew, so that the first does both.
    """
    for first in (True, False, False):  # what they are composed of may be composed
        composed = {
            node.target
            for node in program.graph.nodes
            if isinstance(node.target, torch._ops.OpOverload)
            and not known(node.target)
            and node.target._can_decompose()
            and not node.target._schema.is_mutable
        }
        if not composed and not first:
            break
        try:
            program = program.run_decompositions({op: _get_decomp_for_cia(op) for op in composed})
        except Exception:  # what torch cannot take apart stays, and is refused by its name
            if not first:
                break
            program = program.run_decompositions({})
    return program


def _captured(program: ExportedProgram, dtype: torch.dtype) -> Captured:
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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without torch's logs and warnings, and without the graph that it prints where an export fails."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logger.setLevel(level)
