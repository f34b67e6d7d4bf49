"""The lengths for which a capture holds, and what of a captured module belongs to them alone.

What is padded or cut in front may follow from the input's length: there a graph is for the lengths of one
phase, and others have captures of their own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import sympy
import torch
from torch import Tensor

from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.capture.lengths_run import RunLengths
from mediaconv.nn.graph.lengths.conditions import Conditions
from mediaconv.nn.graph.lengths.length_words import described
from mediaconv.nn.graph.lengths.tried_ways import Ways
from mediaconv.nn.graph.steps.program import Program
from mediaconv.nn.graph.steps.program_values import ProgramValues
from mediaconv.nn.graph.symbols import AxisSize

_SUCH = "give an input of such a length"
_OF_PHASE = ("_captured", "_programs", "_example", "_shape", "_ways")
"""What belongs to the lengths that a graph is for."""


@dataclass(frozen=True)
class Phase:
    """What of a graph belongs to the lengths that it is for."""

    values: tuple[Any, ...]


class CapturedLengths:
    """What a captured module does and says about the length of its input along the captured axis."""

    notes: list[str]
    _axis: int
    _captured: dict[torch.dtype, Captured]
    _example: Tensor
    _length_note: str
    _run_lengths: RunLengths | None
    _shape: tuple[int, ...]
    _kept: ProgramValues
    _ways: Ways | None

    def program(self, axis: int, shape: Sequence[int], dtype: torch.dtype) -> Program:
        """The steps along an axis, for a shape and type."""
        raise NotImplementedError

    def a_capture(self) -> tuple[torch.dtype, Captured]:
        """Any capture of the module, and its type."""
        raise NotImplementedError

    def conditions(self) -> Conditions:
        """Those under which the capture holds, for the example's type."""
        dtype, captured = self.a_capture()
        program = self.program(self._axis, self._shape, dtype)
        own = self._run_lengths.conditions(captured.sizes[self._axis + 2]) if self._run_lengths else []
        known = (*captured.conditions, *program.conditions, *own)
        return _conditions_of(known, tuple(captured.sizes), self._axis + 2, tuple(program.phases.items()))

    def resizes_alone(self, numbers: Collection[int]) -> bool:
        """Whether conditions are all of what it resizes: the module goes one way, whatever its length is."""
        own = self.program(self._axis, self._shape, self.a_capture()[0]).conditions
        every = self.conditions().all
        return all(every[i] in own for i in numbers)

    @property
    def follows_length(self) -> bool:
        """Whether what is padded or cut in front follows from the input's length, which must be known then:
        `for_length`.
        """
        return bool(self.conditions().phases)

    @property
    def needs_length(self) -> bool:
        """Whether it must know the input's length, and was not told: `at_phase`."""
        return self.__dict__["_told"] is None and self.follows_length

    def takes(self, length: int) -> bool:
        """Whether the capture holds for a length along the captured axis."""
        return not self._too_long(length) and self.goes_same_way(length)

    def goes_same_way(self, length: int) -> bool:
        """Whether the capture holds for a length, or would if the module took inputs that long."""
        shape = with_length(self._shape, self._axis + 2, length)
        conditions, ends = self.conditions(), self.ends()
        broken = frozenset(i for i in conditions.broken(shape) if conditions.all[i] not in ends)
        return not broken if self._ways is None else self._ways.take(broken)

    def late_conditions(self, most: int) -> tuple[int, int]:
        """From which length on it repeats whether the capture `takes` one, and after how many steps.

        Raises UnknownRepeatError where the conditions do not tell, or are tried at more than `most` lengths.
        """
        conditions, ways = self.conditions(), self._ways
        harmless = frozenset() if ways is None else frozenset().union(*ways.good) - ways.bad
        ends = self.ends()  # past them the module gives nothing that could differ
        harmless |= {i for i in conditions.along if conditions.all[i] in ends}
        start, period = 0, 1
        for i in conditions.along - harmless:
            first, own = conditions.repeats(i, self._shape)
            start = max(start, first)
            if conditions.fails_late(i, self._shape, most):
                period = math.lcm(period, own)
        return start, period

    def similar_lengths(self, length: int) -> list[int]:
        """Lengths near the example's at which all that depends on the length is as it is at this one."""
        own = self._shape[self._axis + 2]
        if "_period" not in self.__dict__:
            self.__dict__["_period"] = self.conditions().period(self._shape)
        period = self.__dict__["_period"]
        near = [] if period is None else [own + (length - own) % period]
        return [*near, length] if length <= 4 * own else near

    def with_example(self, length: int) -> Self:
        """The same capture analysed for another length of its example."""
        shape = with_length(self._shape, self._axis + 2, length)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(length)).to(self._example)
        return self._made_of(Phase((self._captured, {}, x, tuple(shape), None)))

    def like_length(self, length: int) -> Self:
        """The graph for inputs of a length, unchecked; itself where none is."""
        if self.takes(length):
            return self
        graphs = (self.with_example(n) for n in self.similar_lengths(length))
        return next((graph for graph in graphs if graph.takes(length)), self)

    def phase(self) -> Phase:
        """What belongs to the lengths that this graph is for, to be kept for copies of it."""
        return Phase(tuple(self.__dict__[name] for name in _OF_PHASE))

    def at_phase(self, phase: Phase | None, length: int) -> Self:
        """This graph for inputs of a length, at another phase or its own."""
        graph = self._made_of(phase or self.phase())
        graph.__dict__["_told"] = length
        graph.notes = [note for note in graph.notes if note != self._length_note]
        return graph

    def _made_of(self, phase: Phase) -> Self:
        graph = type(self).__new__(type(self))
        graph.__dict__.update(self.__dict__)
        graph._kept = ProgramValues()
        graph.notes = list(self.notes)
        graph.__dict__.update(zip(_OF_PHASE, phase.values, strict=True))
        return graph

    def keep_conditions(self, ways: Ways, broken: frozenset[int]) -> None:
        """Take only lengths at which the capture was found to hold. broken: conditions to be told of."""
        self._ways = ways
        phases = self.conditions().phase_numbers
        if not broken:
            broken = self._broken_seldom()
        words = described(self.conditions(), broken, self._shape) if broken else ""
        if broken & phases:
            self._length_note = (
                f"lengths {words}: what it pads or cuts in front follows from the input's length, which must "
                "be known when it begins"
            )
        elif self._run_lengths and words == f"up to {self._run_lengths.most}":
            self._length_note = f"it takes {words} steps"
        elif broken:
            self._length_note = f"lengths {words} alone: at others {self._otherwise(broken)}"
        self.notes += [self._length_note] if broken else []

    def _otherwise(self, numbers: Collection[int]) -> str:
        """What is otherwise at lengths that do not meet conditions."""
        if self.resizes_alone(numbers):
            return "what it resizes is by no whole factor"
        return "the module goes another way"

    def keep_run_lengths(self, lengths: RunLengths) -> None:
        """Take only lengths at which the module itself runs, where it refuses some that the capture takes."""
        self._run_lengths = lengths

    def ends(self) -> list[sympy.Basic]:
        """The condition that an input is not too long for the module itself; none where it takes any."""
        lengths = self._run_lengths
        return [] if lengths is None else lengths.ends(self.a_capture()[1].sizes[self._axis + 2])

    def refuse_longer(self, length: int) -> None:
        """Raise ValueError for a length, or a part of one, that is longer than the module itself takes."""
        if self._too_long(length):
            assert self._run_lengths is not None
            raise ValueError(
                f"length {length}: the model takes up to {self._run_lengths.most} steps: give a shorter input"
            )

    def _too_long(self, length: int) -> bool:
        most = None if self._run_lengths is None else self._run_lengths.most
        return most is not None and length > most

    def _broken_seldom(self) -> frozenset[int]:
        """Conditions that no length broke which was tried, though some long ones do."""
        assert self._ways is not None
        conditions, known = self.conditions(), frozenset().union(self._ways.bad, *self._ways.good)
        length = self._shape[self._axis + 2]
        return frozenset(
            i
            for i in conditions.along - known
            if conditions.may_fail_past(i, self._shape, length, unknown=False)
        )

    def check_length(self, length: int, *, tried: bool = False) -> None:
        """Raise ValueError for a length that is too long, or at which the module goes another way.

        tried: a capture of the module at that length, in vain.
        """
        if self._ways is None:
            return
        self.refuse_longer(length)
        conditions = self.conditions()
        shape = with_length(self._shape, self._axis + 2, length)
        broken = conditions.broken(shape)
        if not self._ways.take(broken):
            phases = conditions.phase_numbers
            harmless = frozenset().union(*self._ways.good) - self._ways.bad
            told = broken if broken & phases else (broken - harmless or broken) | self._ways.bad - phases
            words = described(conditions, told, shape if broken & phases else self._shape)
            given = f"give length={length} to stream or to_streaming"
            if broken & phases:
                raise ValueError(
                    f"length {length}: what this model pads or cuts in front follows from the input's "
                    f"length, and this capture is for lengths {words}: {_SUCH if tried else given}"
                )
            if words.endswith("or more"):
                raise ValueError(
                    f"length {length}: as captured, the model takes {words}: give a longer input"
                )
            way = _SUCH if tried else f"if the module takes that length, {given}"
            raise ValueError(
                f"length {length}: this capture holds for lengths {words} alone; at others "
                f"{self._otherwise(broken)}: {way}"
            )


def with_length(shape: Sequence[int], dim: int, length: int) -> list[int]:
    return [length if d == dim else n for d, n in enumerate(shape)]


@lru_cache(maxsize=64)
def _conditions_of(
    known: tuple[object, ...],
    sizes: tuple[AxisSize, ...],
    dim: int,
    phases: tuple[tuple[sympy.Expr, int], ...],
) -> Conditions:
    """Made once for what they are made of: a step's lengths are found by asking at thousands of them."""
    return Conditions(known, sizes, dim, dict(phases))
