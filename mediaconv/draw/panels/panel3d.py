"""Film: frames as sheets lying one below the other in time, seen from above at a fixed angle; the numbers
being multiplied beside the frames that they come from; the output's sheets as high as their time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from mediaconv.draw.panels.cells import Moment, cell_width, draw_cell, extent, fitting, offsets
from mediaconv.draw.panels.products import (
    PAGE,
    PHONE,
    draw_captions,
    draw_grids,
    grids_of,
    partial_sums,
    plane_taps,
)
from mediaconv.draw.scene.scene import Point, Scene, text_width, wrapped
from mediaconv.draw.sliding.frames import Position, Sliding

_CELL_WIDTH = 22.0
_ROW = (-9.0, 18.0)
"""How far a row down moves on the picture: the sheet leans to the left."""
_SPACE = 20.0
_THICK = 4.0
_GAP = 10.0
_TOP = 40.0
_BOTTOM = 36.0
_CAPTION = 26.0
"""Above grids that lie below their frame."""


class _Sheet:
    """A frame lying in the picture: where each row and column stands, in cells."""

    def __init__(self, rows: Sequence[int], columns: Sequence[int], cell: float) -> None:
        self.rows, self.columns = offsets(rows), offsets(columns)
        self.height, self.width, self.cell = extent(self.rows), extent(self.columns), cell

    @property
    def lean(self) -> float:
        """How far its near left corner lies left of the far one, in pixels."""
        return -_ROW[0] * self.height

    @property
    def breadth(self) -> float:
        """Width on the picture in pixels."""
        return self.width * self.cell + self.lean

    @property
    def drop(self) -> float:
        """Height on the picture in pixels."""
        return self.height * _ROW[1]

    def point(self, x: float, top: float, row: float, column: float) -> Point:
        return x + column * self.cell + row * _ROW[0], top + row * _ROW[1]

    def corners(self, x: float, top: float, position: Position) -> tuple[Point, ...]:
        """Corners of the cell at (row, column) of a sheet whose far left corner is at (x, top)."""
        row, column = self.rows[position[0]], self.columns[position[1]]
        ends = ((row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column))
        return tuple(self.point(x, top, *end) for end in ends)

    def slab(self, scene: Scene, x: float, top: float) -> None:
        """The sheet's lower edges, which make it lie."""
        left = self.point(x, top, self.height, 0)
        right = self.point(x, top, self.height, self.width)
        back = self.point(x, top, 0, self.width)
        under = [(px, py + _THICK) for px, py in (back, right, left)]
        scene.polygon((left, right, back, *under), fill="line", edge="line")

    def label(self, scene: Scene, x: float, top: float, text: str, strong: bool) -> None:
        """What the sheet is, where it leans away: left of its far corner."""
        ink = "now" if strong else "soft"
        scene.text(x - 7, top + 4, text.replace("-", "−"), 12.0, ink=ink, anchor="end", bold=strong)

    def posts(self, scene: Scene, x: float, first: float, last: float) -> None:
        """Lines through the corners from the first sheet's top to the last one's: the depth of the stack."""
        for row, column in ((0, 0), (0, self.width), (self.height, 0), (self.height, self.width)):
            ends = (self.point(x, first, row, column), self.point(x, last, row, column))
            scene.line(*ends, ink="line", width=1.0)


def _label_width(words: str, positions: Sequence[int]) -> float:
    return 8 + max(text_width(f"{words}{t}", 12.0, True) for t in (positions[0], positions[-1]))


class Panel3d:
    """One 3D layer, one input channel. `width` and `height` in pixels hold for every frame.

    positions: frames that have a floor, those of a layer beside it included.
    narrow: for a phone, the numbers being multiplied below the frame that they come from.
    """

    def __init__(self, sliding: Sliding, positions: Sequence[int], *, narrow: bool = False) -> None:
        self.sliding = sliding
        self.narrow = narrow
        self.frames = sliding.region[0]
        self.order = {output: i for i, output in enumerate(sliding.outputs())}
        cell, output_cell = (
            cell_width(_CELL_WIDTH, 0.0, 0.0, each) for each in (sliding.input, sliding.output)
        )
        self.before = _Sheet(sliding.region[1], sliding.region[2], cell)
        self.after = _Sheet(sliding.shown[1], sliding.shown[2], output_cell)
        room = PHONE - 8 if narrow else PAGE - self.before.breadth - self.after.breadth - 120
        self.grids = grids_of(sliding, room)
        self.size = fitting(sliding.input, 13.0, cell)
        self.output_size = fitting(sliding.output, 13.0, output_cell)
        grids_height = self.grids.height if self.grids else 0.0
        self.drop = max(self.before.drop, self.after.drop, 0.0 if narrow else grids_height)
        self.pitch = self.drop + _SPACE + (grids_height + _CAPTION if narrow and self.grids else 0.0)
        self.floors = {t: n for n, t in enumerate(positions)}
        out_frames = sliding.shown[0]
        if sliding.transposed:
            # More outputs than inputs: both stacks begin at the top.
            self.out_floors = {j: n for n, j in enumerate(out_frames)}
        else:
            self.out_floors = {j: self.floors[sliding.axes[0].now(j)] for j in out_frames}
        self.input_x = max(self.before.lean, _label_width("now t = ", positions)) + 2
        right = self.input_x + self.before.width * cell + _GAP
        grids_width = self.grids.width if self.grids else 60.0
        self.grids_x = 4.0 if narrow else right
        lean = max(self.after.lean, _label_width("t = ", out_frames))
        self.output_x = (right if narrow else right + grids_width) + lean
        self.width = max(self.output_x + self.after.width * output_cell + 2, self.grids_x + grids_width)
        floors = max(len(self.floors), max(self.out_floors.values()) + 1)
        self.lines = 1
        if narrow:
            self.width = max(PHONE, self.width)
            moments = (Moment(sliding, sliding.step(*f), 0) for f in sliding.frames(24))
            self.lines = max(len(self._sums(moment)) for moment in moments)
        self.height = _TOP + floors * self.pitch + _BOTTOM + 20 * (self.lines - 1)

    def _sums(self, moment: Moment) -> list[str]:
        """The sum as it is written below, in as many lines as a narrow panel needs."""
        line = partial_sums(moment)
        return wrapped(line, 16.0, PHONE - self.grids_x - 8, bold=True) if self.narrow else [line]

    def draw(self, moment: Moment) -> Scene:
        """One frame."""
        scene = Scene(self.width, self.height)
        channel = self.sliding.inputs[0]
        several = len(self.sliding.input) > 1
        self._input(scene, moment, channel, f"input {channel}" if several else "input")
        several = len(self.sliding.output) > 1
        self._output(scene, moment, f"output {moment.step.channel}" if several else "output")
        x = self.grids_x
        for n, line in enumerate(self._sums(moment)):
            y = self.height - 14 - 20 * (self.lines - 1 - n)
            size = min(16.0, 16.0 * (self.width - x - 4) / text_width(line, 16.0, True))
            scene.text(x, y, line, size, anchor="start", bold=True)
        return scene

    def _input(self, scene: Scene, moment: Moment, channel: int, name: str) -> None:
        x, sheet, now = self.input_x, self.before, moment.step.now
        scene.text(x, 12, name, 14.0, anchor="start", bold=True)
        ends = (self._top(self.floors[t], sheet) for t in (self.frames[0], self.frames[-1]))
        sheet.posts(scene, x, *ends)
        if self.grids and not self.narrow:
            draw_captions(scene, self.grids_x, 12, self.grids)
        for t in self.frames:
            floor = self.floors[t]
            top = self._top(floor, sheet)
            sheet.label(scene, x, top, f"now t = {t}" if t == now[0] else f"t = {t}", t == now[0])
            sheet.slab(scene, x, top)
            for position in itertools.product(sheet.rows, sheet.columns):
                look = moment.input_look(channel, (t, *position))
                draw_cell(scene, sheet.corners(x, top, position), look, self.size)
            if t == now[0] and now[1] in sheet.rows and now[2] in sheet.columns:
                scene.polygon(sheet.corners(x, top, now[1:]), edge="now", width=2.6)
            taps = plane_taps(moment, channel, t)
            if self.grids and taps:
                y = self._middle(floor) - self.grids.height / 2
                if self.narrow:
                    y = self._middle(floor) + self.drop / 2 + _CAPTION
                    draw_captions(scene, self.grids_x, y - 9, self.grids)
                draw_grids(scene, moment, self.grids_x, y, self.grids, taps)

    def _output(self, scene: Scene, moment: Moment, name: str) -> None:
        x, sheet = self.output_x, self.after
        scene.text(x, 12, name, 14.0, anchor="start", bold=True)
        for j, floor in self.out_floors.items():
            top = self._top(floor, sheet)
            sheet.label(scene, x, top, f"t = {j}", j == moment.step.position[0])
            sheet.slab(scene, x, top)
            for position in itertools.product(sheet.rows, sheet.columns):
                look = moment.output_look(moment.step.channel, (j, *position), self.order)
                draw_cell(scene, sheet.corners(x, top, position), look, self.output_size)

    def _middle(self, floor: int) -> float:
        return _TOP + floor * self.pitch + self.drop / 2

    def _top(self, floor: int, sheet: _Sheet) -> float:
        return self._middle(floor) - sheet.drop / 2
