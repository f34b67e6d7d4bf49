"""What each cell of a step looks like: its role, number and pattern. Where it stands, the panels know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mediaconv.draw.scene.scene import Point, Scene, number, text_width
from mediaconv.draw.sliding.frames import Position, Sliding, Step, Tap

LEGEND = {
    "input": "input",
    "padding": "padding",
    "used": "kernel tap",
    "usedpad": "tap on padding",
    "leak": "tap that reads the future",
    "masked": "masked tap",
    "future": "forbidden future",
    "output": "output",
    "current": "output now",
}
"""Roles of cells, in the legend's order."""

SMALLEST = 12.0
"""Numbers are no smaller, in pixels of a picture: cells grow before their text shrinks."""
_DASHED = frozenset({"padding", "usedpad"})
_PATTERN = {"masked": "cross", "future": "slash"}
_INKS = frozenset({"padding", "used", "usedpad", "leak", "masked", "future", "current"})


@dataclass(frozen=True)
class Look:
    """One cell as it is drawn. `role` is a key of LEGEND, or "empty" for an output to come."""

    role: str
    text: str = ""

    @property
    def ink(self) -> str:
        return f"{self.role}-ink" if self.role in _INKS else "ink"


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame: a step, and which outputs are there already."""

    sliding: Sliding
    step: Step
    index: int
    """Place of the step's output among `sliding.outputs()`."""
    blank_zeros: bool = False
    """Whether cells that hold zero are drawn without a number."""

    @cached_property
    def taps(self) -> dict[tuple[int, Position], Tap]:
        """The step's taps by input channel and position."""
        return {(t.channel, t.source): t for t in self.step.taps}

    def text(self, value: float) -> str:
        """What a cell with this value shows."""
        return "" if self.blank_zeros and value == 0 else number(value)

    def input_look(self, channel: int, source: Position) -> Look:
        """The input or padding cell at a position."""
        text = self.text(self.sliding.value_at(channel, source))
        tap = self.taps.get((channel, source))
        if tap is not None:
            return Look(tap_role(tap), text)
        if self.sliding.is_padding(source):
            return Look("padding", text)
        order = self.sliding.order
        forbidden = self.sliding.layer.causal and order is not None and order.forbids(source, self.step.now)
        return Look("future" if forbidden else "input", text)

    def output_look(self, channel: int, position: Position, order: dict[tuple[int, Position], int]) -> Look:
        """The output cell at a position; `order` tells when each output fills in."""
        rank = order[(channel, position)]
        if rank > self.index:
            return Look("empty")
        value = self.text(float(self.sliding.output[(channel, *position)]))
        return Look("current" if rank == self.index else "output", value)


def tap_role(tap: Tap) -> str:
    """The role of the input cell under a tap."""
    if tap.masked:
        return "masked"
    if tap.padded:
        return "usedpad"
    return "leak" if tap.future else "used"


def draw_cell(scene: Scene, corners: Sequence[Point], look: Look, size: float) -> None:
    """One cell; corners in order around it, the first two along its upper edge."""
    edge = f"{look.role}-edge"
    dashed = look.role in _DASHED
    strong = look.role in {"used", "leak", "current", "usedpad"}
    scene.polygon(corners, fill=look.role, edge=edge, width=1.6 if strong else 1.0, dashed=dashed)
    pattern = _PATTERN.get(look.role)
    x, y = (sum(p[axis] for p in corners) / 4 for axis in (0, 1))
    if pattern is not None:
        a, b, c, d = ((p[0] + (x - p[0]) * 0.1, p[1] + (y - p[1]) * 0.1) for p in corners)
        mark = f"{look.role}-mark"
        scene.line(d, b, ink=mark, width=1.2)
        if pattern == "cross":
            scene.line(a, c, ink=mark, width=1.2)
    if look.text:
        room = corners[1][0] - corners[0][0] - 4.0
        fit = min(size, size * room / max(1e-6, text_width(look.text, size, strong)))
        scene.text(x, y, look.text, round(fit, 2), ink=look.ink, bold=strong)


def widest(values: np.ndarray, size: float) -> float:
    """Width in pixels of the longest number among (up to 4,096 of) the values, in bold."""
    return max(text_width(number(v), size, True) for v in values.ravel()[:4096].tolist())


def fitting(values: np.ndarray, size: float, width: float) -> float:
    """The largest text size, at most `size`, at which every value fits a cell of that width."""
    return min(size, size * (width - 6.0) / widest(values, size))


def cell_width(least: float, most: float, wanted: float, *values: np.ndarray) -> float:
    """Width of a cell between `least` and `most`, and wider where a number of SMALLEST needs it."""
    needed = max(widest(each, SMALLEST) for each in values) + 6.5
    return max(least, min(most, wanted), needed)


_GAP = 0.35


def offsets(positions: Sequence[int]) -> dict[int, float]:
    """Where each position stands, in cells: side by side, with a gap where positions are left out."""
    columns: dict[int, float] = {}
    column, before = 0.0, None
    for position in positions:
        if before is not None:
            column += 1 if position == before + 1 else 1 + _GAP
        columns[position] = column
        before = position
    return columns


def extent(columns: dict[int, float]) -> float:
    """Cells from the first position to the end of the last."""
    return max(columns.values()) + 1


def marked(positions: Sequence[int], room: float, size: float) -> list[int]:
    """Positions whose numbers can be written along an axis with `room` pixels a cell: every n-th."""
    widest_mark = max(text_width(str(p), size, True) for p in (positions[0], positions[-1])) + 5
    every = max(1, math.ceil(widest_mark / room))
    return list(positions[::every])


def box_corners(x: float, y: float, width: float, height: float) -> tuple[Point, Point, Point, Point]:
    """Corners of an upright cell."""
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def draw_key(scene: Scene, x: float, y: float, role: str) -> None:
    """A cell of the legend, 16 by 14 pixels around the middle line y."""
    if role == "now":
        scene.box(x + 1, y - 6, 14, 12, edge="now", width=2.4)
    else:
        draw_cell(scene, box_corners(x, y - 7, 16, 14), Look(role), 8)
