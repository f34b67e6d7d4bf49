"""From a captured graph to the steps that stream it along one axis. What an operation does is in the rules.

A value is a constant, late (known once, as the first frame or a mean over time) or a stream. Rules decide
from the dimensions' factors; what no rule knows is refused, and all refusals are told together.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.axes_pattern import AxesPattern
from mediaconv.nn.graph.alignment import Alignment
from mediaconv.nn.graph.attention_masks import mask_nodes
from mediaconv.nn.graph.axis_factors import (
    BATCH,
    STREAM,
    Dims,
    LayoutError,
    size_factors,
    whole_factors,
)
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.capture.layout_hints import output_hint
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, TABLE, WHOLE, Pairs, Value
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.reads_ahead import reads_ahead
from mediaconv.nn.graph.refusal import CaptureError, FinalRefusalError, Origin, RefusalError, refusals_of
from mediaconv.nn.graph.rule_registry import NEW, RULES, named_arguments, rule_of
from mediaconv.nn.graph.steps.graph_step import Late, Local
from mediaconv.nn.graph.steps.program import Program
from mediaconv.nn.graph.steps.step_order import chained, live_steps
from mediaconv.nn.graph.symbols import depends, evaluate, expression

_MOST_NUMBERS = 2**30
"""Of a constant, for one item of the batch: a few bytes of a file could state any size."""
_RANDOM = "it is random: call .eval() first, where it is dropout"
aten = torch.ops.aten


class Analysis(Alignment):
    """One pass over a captured graph. causal: refuse what needs the whole input.
    hold: compute at the end what no rule streams.

    into_past: every window along the stream is moved until it reads nothing that comes later
    (`rules.into_past`). pattern: of the model's layout, for the words of a refusal.
    """

    def __init__(
        self,
        captured: Captured,
        shape: Sequence[int],
        axis: int,
        *,
        causal: bool = False,
        into_past: bool = False,
        hold: bool = False,
        pattern: AxesPattern | None = None,
    ) -> None:
        super().__init__(captured, shape, axis, causal=causal or into_past)
        self.pattern = pattern
        self.into_past, self.hold = into_past, hold and not self.causal
        self.untrimmed: set[int] = set()
        self.padded: dict[int, Any] = {}
        self.ahead: dict[fx.Node, str] = {}
        self.constants: list[Late] = []
        self.parameters: dict[int, fx.Node] = {}
        self.fixed = {**captured.constants, **captured.buffers}
        self.masks: dict[fx.Node, int] = {}
        self.wholes: dict[fx.Node, Value] = {}
        self.unstreamed: list[str] = []

    # --- the pass ------------------------------------------------------------------------------------------

    def run(self) -> Program:
        reasons: list[str] = []
        masks = mask_nodes(self.captured.graph, self.fixed)
        unknown: set[fx.Node] = set()
        for node in self.captured.graph.nodes:
            if node.op == "output":
                continue
            told = refusals_of(node)
            if told is not None:
                reasons += told
                self._go_on(node, unknown)
                continue
            if any(n in unknown for n in node.all_input_nodes):
                self._go_on(node, unknown)
                continue
            self.current = node
            if node in masks:
                self.values[node] = Value(-1, TABLE, (), node.meta["val"].dtype)
                continue
            try:
                self.values[node] = self._visit(node)
            except (RefusalError, LayoutError, ValueError) as problem:
                if not self._held(node, problem, reasons):
                    self._go_on(node, unknown)
            except Exception:
                if not reasons:
                    raise
                unknown.add(node)  # it met a value that is taken in place of a refused one
        if reasons:
            raise CaptureError(list(dict.fromkeys(reasons)))
        return self._finish()

    def _held(self, node: fx.Node, problem: ValueError, reasons: list[str]) -> bool:
        """Whether what cannot stream is computed at the end on the whole; else why, among the reasons."""
        reason = Origin.of(node).message(str(problem))
        if not reasons and self.hold and not isinstance(problem, FinalRefusalError):
            try:
                self.values[node] = RULES["whole"](self, node, named_arguments(node))
            except (RefusalError, LayoutError, ValueError):
                reasons.append(reason)
                return False
            self.unstreamed.append(reason)
            self.notes.append(f"{reason}: held to the end, and all that follows from it")
            return True
        reasons.append(reason)
        return False

    def _go_on(self, node: fx.Node, unknown: set[fx.Node]) -> None:
        """After a refusal: an input of the same shape stands for the result, to find what else is refused.

        Nothing is made of it. What has no such input stays unknown, and what is made of that alone.
        """
        shape = getattr(node.meta.get("val"), "shape", ())
        for n in node.all_input_nodes:
            v = self.values.get(n)
            if n in unknown or not isinstance(v, Value) or v.kind != STREAMED:
                continue
            if list(map(expression, n.meta["val"].shape)) == list(map(expression, shape)):
                self.values[node] = v
                return
        unknown.add(node)

    def _visit(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op != "call_function":
            raise RefusalError(f"a node of kind {node.op} is not known")
        if self._follows_whole(node):
            return RULES["whole"](self, node, named_arguments(node))
        if any(isinstance(self.values.get(n), Pairs) for n in node.all_input_nodes):
            return RULES["pairs"](self, node, named_arguments(node))
        if node.target is operator.getitem:
            return self._taken(node)
        value = node.meta.get("val")
        if isinstance(value, Tensor | list | tuple) and not hasattr(node.target, "_schema"):
            raise FinalRefusalError("it is no plain operation of torch's: register_converter for its module")
        if not isinstance(value, Tensor | list | tuple):
            return None  # a size, or a check of the export's own: sizes are read from the metadata
        inputs = [v for v in map(self.values.get, node.all_input_nodes) if isinstance(v, Value)]
        nested = [
            v for n in node.all_input_nodes if isinstance(self.values.get(n), list) for v in self.values[n]
        ]
        inputs += [v for v in nested if isinstance(v, Value)]
        if any(v.kind == TABLE for v in inputs) and rule_of(node.target) not in (
            RULES["attention"],
            RULES[aten.baddbmm],
        ):
            raise RefusalError("a table over pairs of positions meets what is none")
        if getattr(node.target, "overloadpacket", None) in NEW:
            return RULES["create"](self, node, named_arguments(node))
        if any(v.dim is not None for v in inputs):
            return self._ruled(node)
        return self._plain(node, inputs)

    def _follows_whole(self, node: fx.Node) -> bool:
        made = [self.values.get(n) for n in node.all_input_nodes]
        whole = any(isinstance(v, Value) and v.kind == WHOLE for v in made)
        return whole and isinstance(node.meta.get("val"), Tensor | list | tuple)

    def _taken(self, node: fx.Node) -> Any:
        """One of several results."""
        results, at = self.values[node.all_input_nodes[0]], node.args[1]
        if not isinstance(results, list):
            return self._late(node)
        if at >= len(results):  # type: ignore[operator]
            raise RefusalError("of its results the first alone is known along the stream axis")
        return results[at]  # type: ignore[index]

    def _ruled(self, node: fx.Node) -> Any:
        target, arguments = node.target, named_arguments(node)
        rule = rule_of(target)
        random = arguments.get("train", arguments.get("training", True))
        seeded = torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())
        if seeded and random and (rule is None or rule is RULES["pointwise"]):
            raise FinalRefusalError(_RANDOM)
        if rule is None:
            raise RefusalError(
                "how it depends on the stream axis is not known: register_converter for its module, or "
                "opaque(module, lookback, lookahead, stride) where its window is known, or hold=True, which "
                "computes it at the end"
            )
        return rule(self, node, arguments)

    def _placeholder(self, node: fx.Node) -> Value | None:
        if node is self.captured.x:
            sizes = [evaluate(s, self.binding) for s in map(expression, node.meta["val"].shape)]
            dims: list[tuple[int | str, ...]] = [size_factors(s) for s in sizes]
            dims[0], dims[self.stream_dim] = () if self.single else (BATCH,), (STREAM,)
            self.x = Value(self.slot(), STREAMED, tuple(dims), node.meta["val"].dtype, MapNode())
            return self.x
        if not isinstance(node.meta.get("val"), Tensor):
            return None
        slot = self.slot()
        self.parameters[slot] = node
        return Value(slot, CONSTANT, self.meta_dims(node), node.meta["val"].dtype)

    def _plain(self, node: fx.Node, inputs: list[Value]) -> Any:
        """An operation on values without a stream axis: constants once, late values when they come."""
        value = node.meta["val"]
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise FinalRefusalError(_RANDOM)
        if isinstance(value, Tensor) and any(depends(expression(s), self.symbol) for s in value.shape):
            return RULES["create"](self, node, named_arguments(node))
        late = [v for v in inputs if v.kind == LATE]
        at_end = any(v.at_end for v in late) or self.arguments_depend(node)
        if not late and not at_end:
            return self._constant(node)
        return self._late(node, late, at_end)

    def _constant(self, node: fx.Node) -> Any:
        if isinstance(node.meta["val"], Tensor):
            count = math.prod(map(whole_factors, self.meta_dims(node)))
            if count > _MOST_NUMBERS:
                raise FinalRefusalError(
                    f"it makes a constant of {count} numbers, expected at most {_MOST_NUMBERS}"
                )
        slot = self.slot()
        self.constants.append(Late(slot, self.function(self.call_code(node)), (), False))
        if not isinstance(node.meta["val"], Tensor):
            return self.items(node, slot, CONSTANT, False)
        return Value(slot, CONSTANT, self.meta_dims(node), node.meta["val"].dtype)

    def items(self, node: fx.Node, slot: int, kind: int, at_end: bool) -> list[Value]:
        out = []
        for i, v in enumerate(node.meta["val"]):
            item = self.slot()
            function = self.function(f"e[{slot}][{i}]")
            if kind == CONSTANT:
                self.constants.append(Late(item, function, (), False))
            else:
                self.steps.append(Late(item, function, (slot,), at_end, self.sized_dims(v.shape)))
            out.append(Value(item, kind, self.sized_dims(v.shape), v.dtype, at_end=at_end))
        return out

    def _late(self, node: fx.Node, late: Sequence[Value] = (), at_end: bool = True) -> Any:
        needs = tuple(v.slot for v in late)
        slot = self.slot()
        if not isinstance(node.meta["val"], Tensor):
            self.steps.append(Late(slot, self.function(self.call_code(node)), needs, True))
            return self.items(node, slot, LATE, True)
        dims = self.meta_dims(node)
        self.steps.append(Late(slot, self.function(self.call_code(node)), needs, at_end, dims))
        return Value(slot, LATE, dims, node.meta["val"].dtype, at_end=at_end)

    # --- what rules use ------------------------------------------------------------------------------------

    def local(
        self, node: fx.Node, dims: Dims, values: dict[fx.Node, Value], code: str | None = None
    ) -> Value:
        """A step at one position, by the node's own operation unless `code` is another expression.

        values: what its tensors are to it; streams among them are in step.
        """
        kind = max(v.kind for v in values.values())
        streams = [v for v in values.values() if v.kind == STREAMED]
        if kind == CONSTANT and code is None and self.arguments_depend(node):
            raise RefusalError("it computes with the input's length: only the end tells it")
        code = code or self.call_code(node, values)
        out = self.slot()
        dtype = node.meta["val"].dtype if isinstance(node.meta["val"], Tensor) else streams[0].dtype
        if kind == STREAMED and streams[0].node is self.counted:
            return self.from_positions(code, dims, dtype, self.counts[streams[0].slot][1], into=out)
        if kind == STREAMED:
            self.steps.append(Local(out, self.function(code), streams[0].slot))
            return Value(out, kind, dims, dtype, streams[0].node)
        late = [v for v in values.values() if v.kind == LATE]
        at_end = any(v.at_end for v in late)
        if kind == CONSTANT:
            self.constants.append(Late(out, self.function(code), (), False))
        else:
            self.steps.append(Late(out, self.function(code), tuple(v.slot for v in late), at_end, dims))
        return Value(out, kind, dims, dtype, at_end=at_end)

    def _hint(self, y: Value) -> str:
        return output_hint(self.captured, y.dims, self.pattern, self.stream_dim - 2)

    # --- the end ------------------------------------------------------------------------------------------

    def _whole_output(self, y: Value) -> Value:
        """An output that is made at the end, as the stream that it is given as."""
        value = self.captured.y.meta["val"]
        along = [d for d, s in enumerate(value.shape) if self.streams(s)]
        if len(along) != 1 or value.ndim <= self.stream_dim:
            raise CaptureError(self.unstreamed)
        dims = tuple((STREAM,) if d in along else self.sized_dims([s])[0] for d, s in enumerate(value.shape))
        try:
            node = self.made_at_end(expression(value.shape[along[0]]))
        except RefusalError:
            raise CaptureError(self.unstreamed) from None
        return Value(y.slot, STREAMED, dims, value.dtype, node)

    def _finish(self) -> Program:
        y = self.value(self.captured.y)
        y = self._whole_output(y) if y.kind == WHOLE else y
        if y.kind != STREAMED:
            raise CaptureError(
                ["its output has no axis that follows the stream: there is nothing to give chunk by chunk"]
            )
        try:
            y = self.sole(y)
        except LayoutError as problem:
            raise CaptureError([f"its output, as the stream: {problem}: {self._hint(y)}"]) from None
        if y.dim != self.stream_dim or y.dims[0] != (() if self.single else (BATCH,)):
            raise CaptureError(
                [
                    f"its output has the stream in dimension {y.dim} of {len(y.dims)}, the input in "
                    f"dimension {self.stream_dim}: {self._hint(y)}"
                ]
            )
        assert y.node is not None
        axis_map = GraphMap(y.node)
        if self.into_past and axis_map.latency:
            still = f"its causal twin would still read {axis_map.latency} steps ahead"
            raise CaptureError(
                [f"{reason} ({still})" for reason in reads_ahead(y, self.values, self.ahead)] or [still]
            )
        steps = live_steps(self.steps, y.slot, self.x.slot)
        return Program(
            steps,
            self.slots,
            self.x.slot,
            y.slot,
            self.parameters,
            self.constants,
            y.dims,
            y.dtype,
            axis_map,
            None if self.batch_symbol is not None else self.batch,
            chained(steps, self.names),
            list(dict.fromkeys(self.notes)),
            self.masks,
            self.values,
            self.phases,
            self.conditions,
            self.unstreamed,
        )
