"""A captured module as a layer of this package: the module's own parameters, called whole or in chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import shape_of
from mediaconv.nn.graph.capture.called import called
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.capture.export_module import capture
from mediaconv.nn.graph.capture.items_alone import items_alone
from mediaconv.nn.graph.capture.lengths_run import RunLengths
from mediaconv.nn.graph.capture.stated_layout import call_hint
from mediaconv.nn.graph.lengths.captured_lengths import CapturedLengths, Phase, with_length
from mediaconv.nn.graph.lengths.conditions import Conditions
from mediaconv.nn.graph.lengths.tried_ways import Ways
from mediaconv.nn.graph.maps import Phased, Sized
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.rule_registry import rule_of
from mediaconv.nn.graph.rules import (
    attention_rules,
    creation_rules,
    interpolation_rules,
    layout_rules,
    local_rules,
    overlap_rules,
    pad_rules,
    product_rules,
    recurrence_rules,
    scatter_rules,
    score_rules,
    selection_rules,
    stepwise_rules,
    time_rules,
    whole_rules,
    window_rules,
)
from mediaconv.nn.graph.steps.graph_step import Run
from mediaconv.nn.graph.steps.program import Program
from mediaconv.nn.graph.steps.program_values import ProgramValues
from mediaconv.nn.graph.symbols import evaluate, expression
from mediaconv.nn.model_layout import ModelLayout
from mediaconv.nn.streaming.protocol import BATCH_NORMS, RANDOM, TotalStride
from mediaconv.nn.streaming.state import State

_aten = torch.ops.aten
_STEPS = (_aten.round, _aten.floor, _aten.ceil, _aten.trunc, _aten.sign, _aten.argmin, _aten.argmax)
RULE_MODULES = (
    local_rules,
    product_rules,
    creation_rules,
    layout_rules,
    window_rules,
    pad_rules,
    interpolation_rules,
    time_rules,
    recurrence_rules,
    scatter_rules,
    selection_rules,
    overlap_rules,
    attention_rules,
    score_rules,
    stepwise_rules,
    whole_rules,
)


class StreamingGraph(CapturedLengths, TotalStride, nn.Module):
    """A module made to stream by capture. Its parameters, buffers and keys are the module's own.

    Called, it is the module, or its causal twin (`into_past`). `notes` tells of what is held to the end, and
    of hooks. Made by `to_streaming`.

    Shape: (N, C, ...) to (N, C', ...), the axes after the channels as the module has them, or as its `layout`
    says of it.
    """

    kind_in_words = "captured"
    captures = True

    def __init__(
        self,
        module: nn.Module,
        example: Tensor,
        axis: int = 0,
        *,
        output: str | int | None = None,
        causal: bool = False,
        into_past: bool = False,
        layout: ModelLayout | None = None,
        hold: bool = False,
    ) -> None:
        super().__init__()
        self._layout = layout
        self.training = module.training
        self._share(module)
        self._output, self._causal, self._into_past, self._hold = output, causal, into_past, hold
        self.dims = example.ndim - 2
        self._shape = tuple(example.shape)
        self._captured: dict[torch.dtype, Captured] = {}
        self._programs: dict[Any, Program] = {}
        self._kept = ProgramValues()
        self._ways: Ways | None = None
        self._phases: dict[int, Phase | None] = {}
        self.__dict__["_told"] = None
        self._length_note = ""
        self._run_lengths: RunLengths | None = None
        self._axis = axis
        self._example = example.detach()
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._own_types = {
            name for name, t in tensors.items() if t.is_floating_point() and t.dtype != example.dtype
        }
        self._captured_with = self._parameter_type()
        program = self.program(axis, self._shape, example.dtype)
        self._refuse_mixed(program)
        self.notes = list(program.notes)
        hooked = [
            name or "the module" for name, m in module.named_modules() if any(map(_is_users, _hooks(m)))
        ]
        assertions = self.a_capture()[1].assertions
        if assertions:
            self.notes.append(f"taken as true and not checked in a stream: {'; '.join(assertions)}")
        if hooked:
            self.notes.append(f"hooks were captured as they are now, on {', '.join(hooked)}")

    def _refuse_mixed(self, program: Program) -> None:
        """Raise CaptureError where what is computed at the end may depend on other items of the batch."""
        if not program.unstreamed or program.batch == 1:
            return
        x = self._example
        alone = x.is_floating_point() and items_alone(lambda items: self(items.to(x)), x.shape[1:], count=2)
        if not alone:
            with torch.no_grad():
                failing = call_hint(self, x)
            if failing is not None:
                raise CaptureError([failing])
            raise CaptureError(
                [*program.unstreamed, f"held to the end it would not be exact: {local_rules.MIXED}"]
            )

    def __deepcopy__(self, memo: dict) -> StreamingGraph:
        duplicate = type(self).__new__(type(self))
        memo[id(self)] = duplicate
        for name, value in self.__dict__.items():
            shared = name in ("_captured", "_programs", "_example", "_phases", "notes")
            duplicate.__dict__[name] = value if shared else copy.deepcopy(value, memo)
        duplicate._share(duplicate.__dict__["_module"])  # the copy of an exported program's has others
        return duplicate

    def _share(self, module: nn.Module) -> None:
        """Have the module's very dictionaries: what is moved, loaded or assigned in one is so in both."""
        for name in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            self.__dict__[name] = module.__dict__[name]
        self.__dict__["_module"] = module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StreamingGraph:
        """As torch's; what the module holds in a type of its own stays so, for it casts to it by itself."""
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        own = {id(tensors[name]) for name in self._own_types if name in tensors}

        def applied(t: Tensor) -> Tensor:
            y = fn(t)
            return y.to(t.dtype) if id(t) in own else y

        super()._apply(applied, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        empty: dict[str, Any] = {name: {} for name in ("_captured", "_programs", "_phases")}
        return {**self.__dict__, **empty}

    def parts(self) -> Any:
        return iter(())

    def _parameter_type(self) -> torch.dtype | None:
        """Of the first parameter of real numbers, by which it is known that a model was moved to another."""
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), None)

    def forward(self, x: Tensor) -> Tensor:
        """The module's own output."""
        module = self.__dict__["_module"]
        if module.training != self.training:
            module.training = self.training
        if self._into_past:
            graph = self.like_length(x.shape[self._axis + 2])
            return graph.step(x, graph.init_state(self._axis), axis=self._axis, last=True)
        return called(module, x, self._output, self._layout)

    def a_capture(self) -> tuple[torch.dtype, Captured]:
        """A capture and its type, made anew after the graph was pickled, which leaves captures out."""
        if not self._captured:
            dtype = next((p.dtype for p in self.parameters() if p.is_floating_point()), self._example.dtype)
            self.program(self._axis, self._shape, dtype)
        return next(iter(self._captured.items()))

    def captured_at(self, length: int) -> StreamingGraph:
        """The module captured anew, with an example of another length."""
        x = self.with_example(length)._example
        options: dict[str, Any] = {"causal": self._causal, "into_past": self._into_past, "hold": self._hold}
        options |= {"output": self._output, "layout": self._layout}
        return type(self)(self.__dict__["_module"], x, self._axis, **options)

    @property
    def unstreamed(self) -> list[str]:
        """Why something in it is computed at the end alone."""
        return self.program(self._axis, self._shape, self.a_capture()[0]).unstreamed

    @property
    def coarsest(self) -> torch.dtype:
        """The least precise type of its values: a norm may compute in float32 whatever it is given."""
        _, captured = self.a_capture()
        values = [n.meta.get("val") for n in captured.graph.nodes]
        floats = {v.dtype for v in values if isinstance(v, Tensor) and v.is_floating_point()}
        return max(floats or {captured.dtype}, key=lambda dtype: torch.finfo(dtype).eps)

    @property
    def rounds(self) -> bool:
        """Whether it has steps of values: sums in another order may fall on another side of one."""
        _, captured = self.a_capture()
        return any(getattr(n.target, "overloadpacket", None) in _STEPS for n in captured.graph.nodes)

    @property
    def stepwise(self) -> bool:
        """Whether it has a recurrence that is computed step by step in Python, which is slow."""
        _, captured = self.a_capture()
        return any(n.target is torch.ops.mediaconv.stepwise.default for n in captured.graph.nodes)

    # --- geometry ------------------------------------------------------------------------------------------

    def axis_map(self, axis: int) -> AxisMap:
        dtype, _ = self.a_capture()
        try:
            program = self.program(axis, self._shape, dtype)
        except CaptureError:
            if axis == self._axis:
                raise
            return self._sized(axis, dtype)
        return Phased(program.map, self._sized(axis, dtype)) if program.phases else program.map

    def exported_length(self, length: int) -> int:
        """The output's length along the captured axis as the export states it."""
        return self._sized(self._axis, self.a_capture()[0]).output_length(length)

    def analysed_length(self, length: int) -> int:
        """The same as the analysis has it."""
        return self.program(self._axis, self._shape, self.a_capture()[0]).map.output_length(length)

    def _sized(self, axis: int, dtype: torch.dtype) -> AxisMap:
        """The map of an axis of which the output's length alone is known."""
        captured = self._captured[dtype]
        dim = axis + 2
        size, after = captured.sizes[dim], expression(captured.y.meta["val"].shape[dim])
        known = {
            str(s.symbol): s.value(self._shape[d]) for d, s in enumerate(captured.sizes) if s.symbol and d
        }
        if captured.sizes[0].symbol:
            known[str(captured.sizes[0].symbol)] = 2

        def length(n: int) -> int:
            if size.symbol is None:
                if n != size.size:
                    raise ValueError(f"axis {axis}: got {n}, captured for {size.size} alone")
                return int(evaluate(after, known))
            return int(evaluate(after, {**known, str(size.symbol): size.value(n)}))

        return Sized(length, Fraction(self._shape[dim], max(1, length(self._shape[dim]))))

    def output_channels(self, channels: int) -> int:
        if channels != self._shape[1]:
            raise ValueError(
                f"got {counted(channels, 'channel')}, this module was captured with {self._shape[1]}"
            )
        factors = self.program(self._axis, self._shape, self.a_capture()[0]).y_dims[1]
        return int(factors[0]) if factors else 1

    def program(self, axis: int, shape: Sequence[int], dtype: torch.dtype) -> Program:
        """The steps along an axis, for a shape and type; made once for each."""
        rest = (*shape[1 : axis + 2], *shape[axis + 3 :])
        key = (axis, rest, dtype)
        program = self._programs.get(key)
        if program is not None and self._masks_changed(program, dtype):
            program = None
        if program is None:
            captured = self._captured.get(dtype)
            if captured is None:
                example = self._example.to(dtype)
                device = next((p.device for p in self.parameters()), example.device)
                module = self.__dict__["_module"]
                known = lambda op: rule_of(op) is not None  # noqa: E731
                captured = capture(module, example.to(device), self._axis, self._output, known, self._layout)
                self._captured[dtype] = captured
            full = list(shape)
            full[axis + 2] = self._shape[axis + 2]
            for d, size in enumerate(captured.sizes):
                if size.symbol is None and d not in (0, axis + 2) and size.size != full[d]:
                    raise ValueError(
                        f"axis {d - 2}: got {full[d]}, the module was captured for {size.size} alone"
                    )
            if not Conditions(captured.conditions, captured.sizes, self._axis + 2).others_hold(full):
                raise ValueError(
                    f"sizes {full[2:]}: the module was captured with {list(self._shape[2:])} and goes "
                    "another way at these: give an example of these sizes"
                )
            options = {"causal": self._causal, "into_past": self._into_past, "hold": self._hold}
            pattern = None if self._layout is None else self._layout.pattern
            program = Analysis(captured, full, axis, **options, pattern=pattern).run()
            self._programs[key] = program
        return program

    def _masks_changed(self, program: Program, dtype: torch.dtype) -> bool:
        """Whether a buffer that a mask of attention was read from is another now; the capture has it then."""
        if not program.masks:
            return False
        captured, module = self._captured[dtype], self.__dict__["_module"]
        now = {n: module.get_buffer(captured.names[n]) for n in captured.buffers}
        changed = any(
            now[n] is not captured.buffers[n] or now[n]._version != v for n, v in program.masks.items()
        )
        captured.buffers.update(now)
        return changed

    # --- streaming -----------------------------------------------------------------------------------------

    def init_state(self, axis: int) -> State:
        for name, layer in self.named_modules():
            random = isinstance(layer, RANDOM) and getattr(layer, "p", 1) > 0
            if layer.training and (random or isinstance(layer, BATCH_NORMS)):
                raise ValueError(
                    f"{name}: {type(layer).__name__} in training mode cannot stream: call .eval() first"
                )
        self._kept.forget()
        now = self._parameter_type()
        moved = now is not None and now != self._captured_with
        program = self.program(axis, self._shape, now if now and moved else self._example.dtype)
        return State((s for s in (step.fresh() for step in program.steps) if s is not None), received=0)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        dim = axis + 2
        program = self._programs.get((axis, (*x.shape[1:dim], *x.shape[dim + 1 :]), x.dtype))
        program = program or self.program(axis, x.shape, x.dtype)
        count, batch = x.shape[dim], x.shape[0]
        if program.batch is not None and batch != program.batch:
            raise ValueError(f"got a batch of {batch}, the module was captured for {program.batch} alone")
        if axis == self._axis:
            self.refuse_longer(state.counts["received"] + count)
        state.counts["received"] += count
        if last and axis == self._axis:
            self.check_length(state.counts["received"])
        elif last and (program.phases or program.conditions):
            whole = with_length(x.shape, dim, state.counts["received"])
            sizes = self._captured[x.dtype].sizes
            if Conditions(program.conditions, sizes, dim, program.phases).broken(whole):
                raise ValueError(
                    f"length {whole[dim]}: what this model pads, cuts or resizes follows from it: capture "
                    f"the model along this axis (axis={axis}) and give length="
                )
        e = self.first_values(program, x)
        e[program.x] = x if count else None
        r = Run(e, batch, last, state.counts["received"] if last else None, x.device, x.dtype)
        states = iter(state.children)
        for one in program.chained:
            one.run(r, next(states) if one.stateful else None)
            for slot in one.frees:
                e[slot] = None
        y = e[program.y]
        if y is None:
            return torch.empty(shape_of(program.y_dims, batch, 0), dtype=program.y_dtype, device=x.device)
        return y.clone() if y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() else y

    def first_values(self, program: Program, x: Tensor) -> list[Any]:
        """The slots of a program before its steps run on `x`: parameters, constants and None."""
        return self._kept.of(program, self._captured[x.dtype], self.__dict__["_module"], x)

    def extra_repr(self) -> str:
        return f"{type(self.__dict__['_module']).__name__}, captured for (N, C, ...) of {self._shape}"


def _hooks(module: nn.Module) -> Iterator[Any]:
    yield from module._forward_pre_hooks.values()
    yield from module._forward_hooks.values()


def _is_users(hook: Any) -> bool:
    """Whether a hook is somebody's: an exported program checks its own input by hooks, and weight_norm and
    its like compute a weight, which is captured.
    """
    return not getattr(hook, "__module__", "").startswith(("torch.export", "torch.nn.utils."))
