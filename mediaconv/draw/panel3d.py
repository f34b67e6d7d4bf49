"""Film: frames as sheets lying one below the other in time, seen from above at a fixed angle; the numbers
being multiplied beside the frames that they come from; the output's sheets as high as their time."""

from __future__ import annotations

import itertools

from mediaconv.draw.cells import Moment, draw_cell, fitting, widest
from mediaconv.draw.frames import Position, Sliding
from mediaconv.draw.products import draw_captions, draw_grids, grids_of, partial_sums, plane_taps
from mediaconv.draw.scene import Point, Scene, text_width

_CELL_WIDTH = (33.0, 42.0)
_ROW = (-9.0, 18.0)
"""How far a row down moves on the picture: the sheet leans to the left."""
_SPACE = 20.0
_LABEL = 62.0
_GAP = 30.0
_TOP = 40.0
_BOTTOM = 36.0


class Panel3d:
    """One 3D layer, one input channel. `width` and `height` in pixels hold for every frame."""

    def __init__(self, sliding: Sliding, span: range) -> None:
        self.sliding = sliding
        self.frames, self.rows, self.columns = (range(*part) for part in sliding.region)
        self.order = {output: i for i, output in enumerate(sliding.outputs())}
        self.grids = grids_of(sliding)
        longest = max(widest(sliding.input, 11.0), widest(sliding.output, 11.0)) + 6
        self.cell = max(_CELL_WIDTH[0], min(_CELL_WIDTH[1], longest))
        self.size = fitting(sliding.input, 13.0, self.cell)
        self.output_size = fitting(sliding.output, 13.0, self.cell)
        out_frames, out_rows, out_columns = sliding.shown
        tallest = max(len(self.rows), len(out_rows)) * _ROW[1]
        self.pitch = max(tallest, self.grids.height if self.grids else 0) + _SPACE
        self.own_floors = not sliding.transposed
        lean = -_ROW[0]
        self.input_x = _LABEL + lean * len(self.rows)
        self.grids_x = self.input_x + len(self.columns) * self.cell + _GAP
        grids_width = self.grids.width if self.grids else 60.0
        self.output_x = self.grids_x + grids_width + _LABEL + lean * len(out_rows)
        self.width = self.output_x + len(out_columns) * self.cell + 8
        floors = len(span) if self.own_floors else max(len(span), len(out_frames))
        self.lift = self.frames[0] - span[0]
        self.height = _TOP + floors * self.pitch + _BOTTOM

    def draw(self, moment: Moment) -> Scene:
        """One frame."""
        scene = Scene(self.width, self.height)
        channel = self.sliding.inputs[0]
        several = len(self.sliding.input) > 1
        self._input(scene, moment, channel, f"input {channel}" if several else "input")
        several = len(self.sliding.output) > 1
        self._output(scene, moment, f"output {moment.step.channel}" if several else "output")
        line = partial_sums(moment)
        x = self.grids_x
        size = min(16.0, 16.0 * (self.width - x - 4) / text_width(line, 16.0, True))
        scene.text(x, self.height - 14, line, size, anchor="start", bold=True)
        return scene

    def _input(self, scene: Scene, moment: Moment, channel: int, name: str) -> None:
        scene.text(self.input_x, 12, name, 14.0, anchor="start", bold=True)
        self._posts(scene, self.input_x, self.lift, len(self.frames), len(self.rows), len(self.columns))
        if self.grids:
            draw_captions(scene, self.grids_x, 12, self.grids)
        for floor, t in enumerate(self.frames, start=self.lift):
            top = self._top(floor, len(self.rows))
            now = t == moment.step.now[0]
            label = "now t = " if now else "t = "
            self._label(scene, self.input_x, top, len(self.rows), f"{label}{t}", now)
            self._slab(scene, self.input_x, top, len(self.rows), len(self.columns))
            for place in itertools.product([t], self.rows, self.columns):
                corners = self._corners(self.input_x, top, place, (self.rows[0], self.columns[0]))
                draw_cell(scene, corners, moment.input_look(channel, place), self.size)
            if now and moment.step.now[1] in self.rows and moment.step.now[2] in self.columns:
                corners = self._corners(self.input_x, top, moment.step.now, (self.rows[0], self.columns[0]))
                scene.polygon(corners, edge="now", width=2.6)
            taps = plane_taps(moment, channel, t)
            if self.grids and taps:
                draw_grids(scene, self.grids_x, self._middle(floor) - self.grids.height / 2, self.grids, taps)

    def _output(self, scene: Scene, moment: Moment, name: str) -> None:
        frames, rows, columns = self.sliding.shown
        scene.text(self.output_x, 12, name, 14.0, anchor="start", bold=True)
        for j in frames:
            floor = (
                self.sliding.axes[0].now(j) - self.frames[0] + self.lift if self.own_floors else j - frames[0]
            )
            top = self._top(floor, len(rows))
            self._label(scene, self.output_x, top, len(rows), f"t = {j}", j == moment.step.position[0])
            self._slab(scene, self.output_x, top, len(rows), len(columns))
            for place in itertools.product([j], rows, columns):
                corners = self._corners(self.output_x, top, place, (rows[0], columns[0]))
                draw_cell(
                    scene,
                    corners,
                    moment.output_look(moment.step.channel, place, self.order),
                    self.output_size,
                )

    def _middle(self, floor: int) -> float:
        return _TOP + (floor + 0.5) * self.pitch - _SPACE / 2

    def _top(self, floor: int, rows: int) -> float:
        return self._middle(floor) - rows * _ROW[1] / 2

    def _label(self, scene: Scene, x: float, top: float, rows: int, text: str, strong: bool) -> None:
        left = x + _ROW[0] * rows / 2 - 10
        ink = "now" if strong else "soft"
        y = top + rows * _ROW[1] / 2
        scene.text(left, y, text.replace("-", "−"), 12.0, ink=ink, anchor="end", bold=strong)

    def _slab(self, scene: Scene, x: float, top: float, rows: int, columns: int) -> None:
        """The sheet's lower edges, which make it lie."""
        left, right = self._point(x, top, rows, 0), self._point(x, top, rows, columns)
        back = self._point(x, top, 0, columns)
        thick = 4.0
        edges = (
            left,
            right,
            back,
            (back[0], back[1] + thick),
            (right[0], right[1] + thick),
            (left[0], left[1] + thick),
        )
        scene.polygon(edges, fill="line", edge="line")

    def _posts(self, scene: Scene, x: float, first: int, floors: int, rows: int, columns: int) -> None:
        """Lines from sheet to sheet through their corners: the depth of the stack."""
        for row, column in ((0, 0), (0, columns), (rows, 0), (rows, columns)):
            start, end = (
                self._point(x, self._top(f, rows), row, column) for f in (first, first + floors - 1)
            )
            scene.line(start, end, ink="line", width=1.0)

    def _point(self, x: float, top: float, row: float, column: float) -> Point:
        return x + column * self.cell + row * _ROW[0], top + row * _ROW[1]

    def _corners(self, x: float, top: float, place: Position, first: tuple[int, int]) -> tuple[Point, ...]:
        row, column = place[1] - first[0], place[2] - first[1]
        return (
            self._point(x, top, row, column),
            self._point(x, top, row, column + 1),
            self._point(x, top, row + 1, column + 1),
            self._point(x, top, row + 1, column),
        )
