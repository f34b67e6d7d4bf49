"""A captured graph's sizes for one input, and Python source of its operations, as functions of the slots."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy
import torch
from torch import Tensor, fx

from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Along, Dims, size_factors
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.graph_values import Value
from mediaconv.nn.graph.refusal import CaptureError, FinalRefusalError, RefusalError
from mediaconv.nn.graph.symbols import UNKNOWN_SIZE, Size, depends, evaluate, expression, source

_BATCH_PROBE = 1009
"""A batch size that divides no other size, by which the batch is found in a view."""
_PROBED_LENGTHS = 4096
"""Lengths at which padding that follows from the length is computed, to know the most there is."""
_LATER = (0, 48, 9600, 9601, 9602, 9603, 9605, 9607, 9611)
"""Steps more than the example's at which a size is computed to see whether it changes."""
_RUN = 2**12 * 3**3 * 5**2 * 7 * 11 * 13
"""Steps of a run in which windows of any usual stride are whole."""
_GROWS = (
    "it pads or cuts by an amount that grows with the input's length, {}. Where a size is made a number, as "
    "operator.index(math.ceil(x.shape[-1] / hop)) does, the export keeps the example's. Write "
    "-(-x.shape[-1] // hop)"
)
_NO_BATCH = "it mixes the items of a batch"


class GraphSource:
    """What an analysis knows of sizes, and the source that it generates.

    In generated source `e` are the slots, N the batch size, T the input's length and D the device; `names`
    has what else it names. binding: symbols of sizes to their values at the probed input.
    phases: sizes that follow from the input's length, as padding in front does, and what they are for it: the
    analysis holds for lengths at which they are the same. conditions: on sizes, under which it holds too.
    single: captured for a batch of one item alone, which no dimension has then.
    """

    def __init__(self, captured: Captured, shape: Sequence[int], axis: int) -> None:
        self.captured, self.stream_dim, self.shape = captured, axis + 2, shape
        sizes = captured.sizes
        symbol = sizes[self.stream_dim].symbol
        if symbol is None:
            raise CaptureError(
                [f"axis {axis}: captured for {sizes[self.stream_dim].size} steps along it alone"]
            )
        self.symbol: sympy.Symbol = symbol
        self.values: dict[fx.Node, Any] = {}
        self.binding: dict[str, int] = {}
        self.batch_symbol = sizes[0].symbol
        for dim, size in enumerate(sizes):
            if size.symbol is not None:
                length = _BATCH_PROBE if dim == 0 else shape[dim]
                self.binding[str(size.symbol)] = size.value(length)
        if self.batch_symbol is None:
            self.batch = int(sizes[0].size)  # type: ignore[arg-type]
        else:
            self.batch = _BATCH_PROBE
        self.single = self.batch_symbol is None and self.batch == 1
        self.phases: dict[Any, int] = {}
        self.conditions: list[Any] = []
        # "inf" and "nan" are how Python writes such numbers
        self.names: dict[str, Any] = {"torch": torch, "math": math, "inf": math.inf, "nan": math.nan}

    # --- sizes ---------------------------------------------------------------------------------------------

    def size(self, size: Any) -> int:
        """A size at the probed input."""
        return int(evaluate(expression(size), self.binding))

    def streams(self, size: Any) -> bool:
        """Whether a size depends on the stream's length: one such as `s // (s // 2)` is the same at all."""
        expr = expression(size)
        if not depends(expr, self.symbol):
            return False
        now = self.binding[str(self.symbol)]
        return len({evaluate(expr, {**self.binding, str(self.symbol): now + n}) for n in _LATER}) > 1

    def sized_dims(self, sizes: Sequence[Any]) -> Dims:
        """Dimensions of these sizes, none of them the stream's."""
        dims: list[tuple[int | str, ...]] = []
        for size in sizes:
            number = self.size(size)
            if self.batch_symbol is not None and depends(expression(size), self.batch_symbol):
                if number % self.batch:
                    raise RefusalError(_NO_BATCH)
                rest = number // self.batch
                dims.append((BATCH, rest) if rest > 1 else (BATCH,))
            else:
                dims.append(size_factors(number))
        return tuple(dims)

    def meta_dims(self, node: fx.Node) -> Dims:
        """Dimensions of a value without a stream axis."""
        return self.sized_dims(node.meta["val"].shape)

    def arguments_depend(self, node: fx.Node) -> bool:
        """Whether a size among the arguments depends on the stream's length."""
        depends = []

        def look(n: fx.Node) -> None:
            value = n.meta.get("val")
            if not isinstance(value, Tensor | list | tuple) and value is not None:
                depends.append(self.streams(value))

        fx.map_arg((node.args, node.kwargs), look)
        return any(depends)

    def amount(self, value: Any) -> tuple[int, int, Any]:
        """The least and the most that a size is at any length, and its function. Refuses one that grows."""
        function = self.function(self.size_code(value))
        size = self.captured.sizes[self.stream_dim]
        first = size.value(self.shape[self.stream_dim]) * size.factor + size.offset
        lengths = range(first, first + _PROBED_LENGTHS * size.factor, size.factor)
        amounts = [int(function((), self.batch, length, None)) for length in lengths]
        if max(amounts) - min(amounts) > _PROBED_LENGTHS // 2:
            raise RefusalError(_GROWS.format(self.in_words(value)))
        return min(amounts), max(amounts), function

    def in_words(self, value: Any) -> str:
        """A size as an expression of the input's length T."""
        return str(self._of_length(expression(value))).replace(str(self.symbol), "T")

    def stride_of(self, value: Any) -> Fraction:
        """Steps of the input for one more of a size. Refuses one that does not grow with the input."""
        function, size = self.function(self.size_code(value)), self.captured.sizes[self.stream_dim]
        first = size.value(self.shape[self.stream_dim]) * size.factor + size.offset
        run = _RUN * size.factor
        grown = int(function((), self.batch, first + run, None)) - int(function((), self.batch, first, None))
        if grown <= 0:
            raise RefusalError("its size along the stream axis does not grow with the input")
        return Fraction(run, grown)

    def phase(self, value: Any) -> int:
        """A size that repeats with the input's length, as it is at the probed one; noted in `phases`.

        Refuses one that grows.
        """
        self.amount(value)
        now = self.size(value)
        self.phases[self._of_length(expression(value))] = now
        return now

    # --- source --------------------------------------------------------------------------------------------

    def positions_code(self, v: Value) -> str:
        """Source of the number of positions in a chunk of a value."""
        along = Along.of(v.dims)
        batch = "*N" if along.batched else ""
        return f"(e[{v.slot}].shape[{along.dim}]//({along.outer * along.inner}{batch}))"

    def shape_code(self, dims: Dims, positions: str) -> str:
        """Source of a list of sizes."""
        names = {BATCH: "N", STREAM: positions}
        sizes = ("*".join(names[f] if isinstance(f, str) else str(f) for f in d) or "1" for d in dims)
        return f"[{', '.join(sizes)}]"

    def code(self, argument: Any, values: dict[fx.Node, Value]) -> str:
        """Source of an argument."""
        if isinstance(argument, fx.Node):
            if argument in values:
                return f"e[{values[argument].slot}]"
            value = self.values.get(argument)
            if isinstance(value, Value):
                return f"e[{value.slot}]"
            return self.size_code(argument.meta["val"])
        if isinstance(argument, list | tuple):
            return f"[{', '.join(self.code(a, values) for a in argument)}]"
        if argument is None or isinstance(argument, bool | int | str):
            return repr(argument)
        if isinstance(argument, torch.device):
            return "D"
        return self.name(argument)

    def size_code(self, value: Any) -> str:
        """Source of a size, with N the batch and T the input's length."""
        expr = self._of_length(expression(value))
        if not isinstance(expr, sympy.Basic):
            return repr(expr)
        if expr.free_symbols - {self.symbol, self.batch_symbol}:
            raise FinalRefusalError(UNKNOWN_SIZE)
        text = f"({source(expr)})"
        for symbol, name, size in (
            (self.batch_symbol, "N", self.captured.sizes[0]),
            (self.symbol, "T", self.captured.sizes[self.stream_dim]),
        ):
            if symbol is not None and depends(expr, symbol):
                text = text.replace(str(symbol), f"(({name} - {size.offset})//{size.factor})")
        return text

    def other_size_code(self, value: Any) -> str:
        """Source of a size that is none of the stream's: the batch's, or a number, as `4 * (T // T)` is."""
        if self.batch_symbol is not None and depends(expression(value), self.batch_symbol):
            return self.size_code(value)
        return repr(self.size(value))

    def _of_length(self, expr: Size) -> Size:
        """An expression with the other axes' sizes as they are."""
        if not isinstance(expr, sympy.Basic):
            return expr
        fixed = {
            s: sympy.Integer(self.binding[str(s)])
            for s in expr.free_symbols
            if s not in (self.symbol, self.batch_symbol) and str(s) in self.binding
        }
        return expr.xreplace(fixed) if fixed else expr

    def name(self, thing: Any) -> str:
        """A name in generated source for an object."""
        name = f"k{len(self.names)}"
        self.names[name] = thing
        return name

    def call_code(self, node: fx.Node, values: dict[fx.Node, Value] | None = None, **changes: str) -> str:
        """Source of the node's own call. changes: source of arguments by name."""
        values = values or {}
        parts, schema = [], node.target._schema.arguments  # type: ignore[union-attr]
        for a, argument in zip(node.args, schema, strict=False):
            text = changes.pop(argument.name, None) or self.code(a, values)
            parts.append(f"{argument.name}={text}" if argument.kwarg_only else text)
        keywords = {**{k: self.code(v, values) for k, v in node.kwargs.items()}, **changes}
        parts += (f"{k}={v}" for k, v in keywords.items())
        return f"{self.name(node.target)}({', '.join(parts)})"

    def function(self, code: str, arguments: str = "e, N, T, D") -> Any:
        """Generated source as a function of the slots, the batch size, the length and the device."""
        made = eval(f"lambda {arguments}: {code}", self.names)
        made.code = code
        made.slots_read = [int(slot) for slot in re.findall(r"\be\[(\d+)\]", code)]
        return made
