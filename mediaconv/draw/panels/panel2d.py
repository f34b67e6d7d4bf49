"""Pictures: the input with its padding on the left, the numbers being multiplied, the output on the right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from mediaconv.draw.panels.cells import (
    Moment,
    box_corners,
    cell_width,
    draw_cell,
    extent,
    fitting,
    marked,
    offsets,
)
from mediaconv.draw.panels.products import (
    PAGE,
    PHONE,
    draw_captions,
    draw_grids,
    grids_of,
    partial_sums,
    plane_taps,
)
from mediaconv.draw.scene.scene import Scene, text_width, wrapped
from mediaconv.draw.sliding.frames import Position, Sliding

_SIDE = 300.0
_CELL = (24.0, 42.0)
_GAP = 26.0
_TOP = 46.0
_TIME = 28.0
_BOTTOM = 34.0


class _Board:
    """A grid of cells: where each row and column stands, in cells."""

    def __init__(self, rows: Sequence[int], columns: Sequence[int]) -> None:
        self.rows, self.columns = offsets(rows), offsets(columns)
        self.height, self.width = extent(self.rows), extent(self.columns)

    def __contains__(self, position: Position) -> bool:
        return position[0] in self.rows and position[1] in self.columns

    def positions(self) -> Iterator[Position]:
        return itertools.product(self.rows, self.columns)

    def corners(self, x: float, y: float, cell: float, position: Position) -> tuple:
        """Corners of a cell of the board that lies at (x, y)."""
        left, top = x + self.columns[position[1]] * cell, y + self.rows[position[0]] * cell
        return box_corners(left + 0.75, top + 0.75, cell - 1.5, cell - 1.5)

    def marks(self, scene: Scene, x: float, y: float, cell: float) -> None:
        """The numbers of rows and columns."""
        for row, offset in self.rows.items():
            text = str(row).replace("-", "−")
            scene.text(x - 8, y + (offset + 0.5) * cell, text, 12.0, ink="soft", anchor="end")
        for column in marked(list(self.columns), cell, 12.0):
            text = str(column).replace("-", "−")
            scene.text(x + (self.columns[column] + 0.5) * cell, y - 10, text, 12.0, ink="soft")


class Panel2d:
    """One 2D layer. `width` and `height` in pixels hold for every frame.

    narrow: for a phone, the input, the numbers being multiplied and the output one below the other.
    """

    def __init__(self, sliding: Sliding, positions: Sequence[int], *, narrow: bool = False) -> None:
        self.sliding = sliding
        self.narrow = narrow
        self.before, self.after = _Board(*sliding.region), _Board(*sliding.shown)
        self.inputs = sliding.inputs
        self.order = {output: i for i, output in enumerate(sliding.outputs())}
        planes = max(len(self.inputs), len(sliding.channels))
        most = max(b for board in (self.before, self.after) for b in (board.height, board.width))
        side = PHONE - 50 if narrow else _SIDE * (1.15 if planes == 1 else 0.8)
        self.cell = cell_width(*_CELL, side / most, sliding.input, sliding.output)
        self.size = fitting(sliding.input, min(16.0, self.cell * 0.5), self.cell)
        self.output_size = fitting(sliding.output, min(16.0, self.cell * 0.5), self.cell)
        between = PAGE - (self.before.width + self.after.width) * self.cell - 2 * _GAP - 110
        zoom = 1.3 if planes == 1 and not narrow else 1.0
        self.grids = grids_of(sliding, PHONE - 8 if narrow else between, zoom=zoom)
        mark = max(text_width(str(row), 12.0) for row in self.before.rows)
        self.input_x = (16.0 if narrow else 34.0) + mark
        self.grids_x = 4.0 if narrow else self.input_x + self.before.width * self.cell + _GAP
        grids_width = self.grids.width if self.grids else 60.0
        grids_height = self.grids.height if self.grids else 0.0
        mark = 14.0 + max(text_width(str(row), 12.0) for row in self.after.rows)
        self.top = _TOP + (0 if sliding.order is None else _TIME)
        if narrow:
            self.output_x = mark
            self.width = max(
                PHONE,
                self.input_x + self.before.width * self.cell,
                self.output_x + self.after.width * self.cell,
                self.grids_x + grids_width,
            )
            self.planes = (self.before.height * self.cell, self.after.height * self.cell)
            pitches = (self.planes[0] + grids_height + (86 if self.grids else 50), self.planes[1] + 50)
            self.input_tops = [self.top + n * pitches[0] for n in range(len(self.inputs))]
            first = self.top + len(self.inputs) * pitches[0]
            self.output_tops = [first + n * pitches[1] for n in range(len(sliding.channels))]
            bottom = self.output_tops[-1] + self.planes[1]
        else:
            self.output_x = self.grids_x + grids_width + _GAP + mark
            self.width = max(self.output_x + self.after.width * self.cell + 8, 560.0)
            plane = max(self.before.height * self.cell, self.after.height * self.cell, grids_height + 30)
            self.planes = (plane, plane)
            self.input_tops = [self.top + n * (plane + 56) for n in range(planes)]
            self.output_tops = self.input_tops
            bottom = self.input_tops[-1] + plane
        self.lines = 1
        if narrow:
            moments = (Moment(sliding, sliding.step(*f), 0) for f in sliding.frames(24))
            self.lines = max(len(self._sums(moment)) for moment in moments)
        self.height = bottom + _BOTTOM + 20 * (self.lines - 1)

    def _sums(self, moment: Moment) -> list[str]:
        """The sum as it is written below, in as many lines as a narrow panel needs."""
        line = partial_sums(moment)
        return wrapped(line, 16.0, PHONE - self.grids_x - 8, bold=True) if self.narrow else [line]

    def draw(self, moment: Moment) -> Scene:
        """One frame."""
        scene = Scene(self.width, self.height)
        self._time(scene)
        for n, channel in enumerate(self.inputs):
            self._input(scene, moment, channel, self.input_tops[n])
        for n, channel in enumerate(self.sliding.channels):
            self._output(scene, moment, channel, self.output_tops[n])
        x = self.grids_x if self.grids else self.input_x
        for n, line in enumerate(self._sums(moment)):
            y = self.height - 12 - 20 * (self.lines - 1 - n)
            size = min(16.0, 16.0 * (self.width - x - 4) / text_width(line, 16.0, True))
            scene.text(x, y, line, size, anchor="start", bold=True)
        return scene

    def _time(self, scene: Scene) -> None:
        """The arrow of time, or of reading order."""
        order = self.sliding.order
        if order is None:
            return
        words = {None: "reading order: row by row, left to right", 1: "time along the columns →"}
        text = words.get(order.axis, "time along the rows ↓")
        scene.text(self.input_x, 9, text, 12.0, ink="now", anchor="start")

    def _input(self, scene: Scene, moment: Moment, channel: int, top: float) -> None:
        board = self.before
        top += (self.planes[0] - board.height * self.cell) / 2
        board.marks(scene, self.input_x, top, self.cell)
        name = "input" if len(self.sliding.input) == 1 else f"input {channel}"
        scene.text(self.input_x, top - 28, name, 14.0, anchor="start", bold=True)
        for position in board.positions():
            corners = board.corners(self.input_x, top, self.cell, position)
            draw_cell(scene, corners, moment.input_look(channel, position), self.size)
        if moment.step.now in board:
            corners = board.corners(self.input_x, top, self.cell, moment.step.now)
            scene.polygon(corners, edge="now", width=2.6)
        taps = plane_taps(moment, channel, None)
        if self.grids and taps:
            below = top + board.height * self.cell + 32
            y = below if self.narrow else top + board.height * self.cell / 2 - self.grids.height / 2
            draw_captions(scene, self.grids_x, y - 14, self.grids)
            draw_grids(scene, moment, self.grids_x, y, self.grids, taps)

    def _output(self, scene: Scene, moment: Moment, channel: int, top: float) -> None:
        board = self.after
        top += (self.planes[1] - board.height * self.cell) / 2
        board.marks(scene, self.output_x, top, self.cell)
        name = "output" if len(self.sliding.output) == 1 else f"output {channel}"
        scene.text(self.output_x, top - 28, name, 14.0, anchor="start", bold=True)
        for position in board.positions():
            look = moment.output_look(channel, position, self.order)
            draw_cell(scene, board.corners(self.output_x, top, self.cell, position), look, self.output_size)
