"""What an output of a graph reads along an axis: maps of nodes, followed back through every path at once.

A trunk that many paths share is asked once, so that the cost grows with the nodes, not with the paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property

import numpy as np

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap

MOST_STARTS = 64
"""Outputs at the beginning of which each is looked at, for what mirrored padding and first positions are."""


class MapNode:
    """A value along the stream: what it reads of other values.

    sources: the values read and how. past: it also reads everything before; whole: everything.
    heads: values of which every position reads the first ones, and how many.
    following: positions that are certain to come after those that have come, at the end.
    length: its length from the graph's input length and the sources' lengths; by default the first map's.
    stride: of a value that is made at the end, in the input's steps; others have that of their sources.
    """

    __slots__ = ("following", "heads", "length", "past", "sources", "stride", "whole")

    def __init__(
        self,
        sources: tuple[tuple[MapNode, AxisMap], ...] = (),
        *,
        past: bool = False,
        whole: bool = False,
        heads: tuple[tuple[MapNode, int], ...] = (),
        following: int = 0,
        length: Callable[[int, list[int]], int] | None = None,
        stride: Fraction = Fraction(1),
    ) -> None:
        strides = {source.stride * m.total_stride for source, m in sources} or {stride}
        if len(strides) > 1:
            raise ValueError(f"paths with strides {', '.join(map(str, sorted(strides)))} meet here")
        self.sources, self.past, self.whole, self.heads, self.length = sources, past, whole, heads, length
        self.following = following
        self.stride: Fraction = strides.pop()


class GraphMap(AxisMap):
    """The map from a graph's input to one of its values."""

    def __init__(self, output: MapNode) -> None:
        self.output = output
        self.order: list[MapNode] = []
        seen: set[int] = set()
        stack = [(output, False)]
        while stack:
            node, done = stack.pop()
            if done:
                self.order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack += ((source, False) for source, _ in (*node.sources, *node.heads))

    @property
    def total_stride(self) -> Fraction:
        return self.output.stride

    @property
    def input_period(self) -> int:
        period = 1
        for node in self.order:
            for source, m in node.sources:
                period = math.lcm(period, (m.input_period * source.stride).numerator)
        return math.lcm(period, self.total_stride.numerator)

    @property
    def period(self) -> int:
        return max(1, int(self.input_period / self.total_stride))

    def output_length(self, length: int) -> int:
        lengths: dict[int, int] = {}
        for node in self.order:
            if not node.sources and node.length is None:
                lengths[id(node)] = length
                continue
            each = [m.output_length(lengths[id(source)]) for source, m in node.sources]
            if node.length is not None:
                lengths[id(node)] = max(0, node.length(length, each))
            elif len(set(each)) > 1:
                raise ValueError(f"paths give lengths {each} for an input of {length}: they cannot be joined")
            else:
                lengths[id(node)] = each[0]
        return lengths[id(self.output)]

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        return self._followed(outputs, first=False)

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        return self._followed(outputs, first=True)

    def _followed(self, outputs: np.ndarray, *, first: bool) -> np.ndarray:
        wanted: dict[int, list[np.ndarray]] = {id(self.output): [outputs]}
        positions = np.array([], dtype=np.int64)
        for node in reversed(self.order):
            sets = wanted.pop(id(node), None)
            if not sets:
                continue
            union = sets[0] if len(sets) == 1 else np.unique(np.concatenate(sets))
            if not node.sources and node.length is None:
                positions = np.union1d(positions, union)
            if not len(union):
                continue
            for source, m in node.sources:
                read = union if m is IDENTITY else m.first_reads(union) if first else m.reads(union)
                wanted.setdefault(id(source), []).append(read)
            if first:
                for source, count in node.heads:
                    wanted.setdefault(id(source), []).append(np.arange(count))
        return positions

    @property
    def reflects(self) -> bool:
        return any(node.heads or any(m.reflects for _, m in node.sources) for node in self.order)

    @cached_property
    def _ahead(self) -> int:
        first = self.first_reads(np.arange(1))
        reach = int(first[-1]) + 1 if len(first) else 0
        reach = max(reach, int(self.window_lookback))
        ahead = 0
        for j in range(min(MOST_STARTS, math.ceil(reach / self.total_stride))):
            read = self.first_reads(np.array([j]))
            ahead = max(ahead, int(read[-1]) - math.floor(j * self.total_stride)) if len(read) else ahead
        return ahead

    def _ahead_at_start(self) -> int:
        return self._ahead

    @property
    def whole(self) -> bool:
        return any(node.whole for node in self.order)

    @property
    def past(self) -> bool:
        return any(node.past for node in self.order)


class Phased(GraphMap):
    """A map that holds for some lengths alone; how long outputs are is known for all. sized: tells it."""

    def __init__(self, reads: GraphMap, sized: AxisMap) -> None:
        super().__init__(reads.output)
        self._sized = sized

    def output_length(self, length: int) -> int:
        return self._sized.output_length(length)


class Sized(AxisMap):
    """The map of an axis of which only the output's length is known. length: from the input's."""

    def __init__(self, length: Callable[[int], int], stride: Fraction) -> None:
        self._length, self._stride = length, stride

    @property
    def total_stride(self) -> Fraction:
        return self._stride

    def output_length(self, length: int) -> int:
        return self._length(length)

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        raise ValueError("what an output reads along this axis is not known")

    @property
    def whole(self) -> bool:
        return True
