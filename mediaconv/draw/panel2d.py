"""Pictures: the input with its padding on the left, the numbers being multiplied, the output on the right."""

from __future__ import annotations

import itertools

from mediaconv.draw.cells import Moment, box_corners, draw_cell, fitting, widest
from mediaconv.draw.frames import Position, Sliding
from mediaconv.draw.products import draw_captions, draw_grids, grids_of, partial_sums, plane_taps
from mediaconv.draw.scene import Scene, text_width

_SIDE = 300.0
_CELL = (22.0, 42.0)
_MARK = 26.0
_GAP = 34.0
_TOP = 46.0
_TIME = 28.0
_BOTTOM = 34.0


class Panel2d:
    """One 2D layer. `width` and `height` in pixels hold for every frame."""

    def __init__(self, sliding: Sliding, span: range) -> None:
        self.sliding = sliding
        self.rows, self.columns = (range(*part) for part in sliding.region)
        self.inputs = sliding.inputs
        self.order = {output: i for i, output in enumerate(sliding.outputs())}
        planes = max(len(self.inputs), len(sliding.channels))
        most = max(len(self.rows), len(self.columns))
        out = max(len(s) for s in sliding.shown)
        self.cell = max(_CELL[0], min(_CELL[1], _SIDE * (1.15 if planes == 1 else 0.8) / max(most, out)))
        self.grids = grids_of(sliding, zoom=1.3 if planes == 1 else 1.0)
        longest = max(widest(sliding.input, 11.0), widest(sliding.output, 11.0)) + 6
        self.cell = max(self.cell, min(_CELL[1], longest))
        self.size = fitting(sliding.input, min(16.0, self.cell * 0.5), self.cell)
        self.output_size = fitting(sliding.output, min(16.0, self.cell * 0.5), self.cell)
        self.input_x = 58.0
        self.grids_x = self.input_x + len(self.columns) * self.cell + _GAP
        grids_width = self.grids.width if self.grids else 60.0
        self.output_x = self.grids_x + grids_width + _GAP + _MARK
        self.width = self.output_x + len(sliding.shown[1]) * self.cell + 8
        self.plane = max(
            len(self.rows) * self.cell,
            len(sliding.shown[0]) * self.cell,
            (self.grids.height if self.grids else 0) + 30,
        )
        self.pitch = self.plane + 56
        self.top = _TOP + (0 if sliding.order is None else _TIME)
        self.height = self.top + planes * self.pitch - 56 + _BOTTOM

    def draw(self, moment: Moment) -> Scene:
        """One frame."""
        scene = Scene(self.width, self.height)
        self._time(scene)
        for n, channel in enumerate(self.inputs):
            self._input(scene, moment, channel, self.top + n * self.pitch)
        for n, channel in enumerate(self.sliding.channels):
            self._output(scene, moment, channel, self.top + n * self.pitch)
        x = self.grids_x if self.grids else self.input_x
        line = partial_sums(moment)
        size = min(16.0, 16.0 * (self.width - x - 4) / text_width(line, 16.0, True))
        scene.text(x, self.height - 12, line, size, anchor="start", bold=True)
        return scene

    def _time(self, scene: Scene) -> None:
        """The arrow of time, or of reading order."""
        layer, order = self.sliding.layer, self.sliding.order
        if order is None:
            return
        if order.axis is None:
            scene.text(
                self.input_x, 9, "reading order: row by row, left to right", 12.0, ink="now", anchor="start"
            )
        elif order.axis == len(layer.kernel_size) - 1:  # type: ignore[arg-type]
            scene.text(self.input_x, 9, "time along the columns →", 12.0, ink="now", anchor="start")
        else:
            scene.text(self.input_x, 9, "time along the rows ↓", 12.0, ink="now", anchor="start")

    def _input(self, scene: Scene, moment: Moment, channel: int, top: float) -> None:
        top += (self.plane - len(self.rows) * self.cell) / 2
        self._marks(scene, self.input_x, top, self.rows, self.columns)
        name = "input" if len(self.sliding.input) == 1 else f"input {channel}"
        self._name(scene, self.input_x, top, name)
        for place in itertools.product(self.rows, self.columns):
            look = moment.input_look(channel, place)
            draw_cell(
                scene,
                self._corners(self.input_x, top, place, (self.rows[0], self.columns[0])),
                look,
                self.size,
            )
        now = moment.step.now
        if now[0] in self.rows and now[1] in self.columns:
            corners = self._corners(self.input_x, top, now, (self.rows[0], self.columns[0]))
            scene.polygon(corners, edge="now", width=2.6)
        taps = plane_taps(moment, channel, None)
        if self.grids and taps:
            y = top + len(self.rows) * self.cell / 2 - self.grids.height / 2
            draw_captions(scene, self.grids_x, y - 14, self.grids)
            draw_grids(scene, self.grids_x, y, self.grids, taps)

    def _output(self, scene: Scene, moment: Moment, channel: int, top: float) -> None:
        rows, columns = self.sliding.shown
        top += (self.plane - len(rows) * self.cell) / 2
        self._marks(scene, self.output_x, top, rows, columns)
        name = "output" if len(self.sliding.output) == 1 else f"output {channel}"
        self._name(scene, self.output_x, top, name)
        for place in itertools.product(rows, columns):
            look = moment.output_look(channel, place, self.order)
            draw_cell(
                scene, self._corners(self.output_x, top, place, (rows[0], columns[0])), look, self.output_size
            )

    def _name(self, scene: Scene, x: float, top: float, name: str) -> None:
        scene.text(x, top - 28, name, 14.0, anchor="start", bold=True)

    def _marks(self, scene: Scene, x: float, top: float, rows: range, columns: range) -> None:
        for n, row in enumerate(rows):
            y = top + (n + 0.5) * self.cell
            scene.text(x - 8, y, str(row).replace("-", "−"), 11.0, ink="soft", anchor="end")
        for n, column in enumerate(columns):
            scene.text(x + (n + 0.5) * self.cell, top - 10, str(column).replace("-", "−"), 11.0, ink="soft")

    def _corners(self, x: float, top: float, place: Position, first: Position) -> tuple:
        left = x + (place[1] - first[1]) * self.cell
        return box_corners(
            left + 0.75, top + (place[0] - first[0]) * self.cell + 0.75, self.cell - 1.5, self.cell - 1.5
        )
