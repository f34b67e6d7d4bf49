"""Sound: the kernel slides along rows of cells, one row a channel, the outputs below."""

from __future__ import annotations

from collections.abc import Sequence

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
from mediaconv.draw.panels.products import PHONE, terms, weight_look
from mediaconv.draw.scene.scene import Scene, text_width, wrapped
from mediaconv.draw.sliding.frames import Sliding, Step

_LABEL = 92.0
_WIDTH = 900.0
_CELL = (22.0, 46.0)


class Panel1d:
    """One 1D layer. `width` and `height` in pixels hold for every frame.

    positions: along the axis that have a column, those of a layer beside it included.
    narrow: for a phone, with the names of rows above and below them.
    """

    def __init__(self, sliding: Sliding, positions: Sequence[int], *, narrow: bool = False) -> None:
        self.sliding = sliding
        self.narrow = narrow
        self.left = 4.0 if narrow else _LABEL
        self.name_height = 20.0 if narrow else 0.0
        self.positions = sliding.region[0]
        self.inputs = sliding.inputs
        self.order = {output: i for i, output in enumerate(sliding.outputs())}
        self._columns = offsets(positions)
        if sliding.transposed:
            # More outputs than inputs: both rows begin at the left.
            self._output_columns = {j: float(n) for n, j in enumerate(sliding.shown[0])}
        else:
            nows = [(j, sliding.axes[0].now(j)) for j in sliding.shown[0]]
            self._output_columns = {j: self._columns[now] for j, now in nows if now in self._columns}
        columns = max(extent(self._columns), extent(self._output_columns))
        values = (sliding.input, sliding.output, sliding.weight)
        wanted = (PHONE - 8) / columns - 2 if narrow else _WIDTH / columns
        self.inset = 1.0 if narrow else 2.0
        """By how much a weight's cell is narrower at either side."""
        self.cell = cell_width(*_CELL, wanted, *values) + 2 * self.inset
        self.row = max(30.0, min(44.0, self.cell))
        self.size = fitting(sliding.input, 17.0, self.cell)
        self.output_size = fitting(sliding.output, 17.0, self.cell)
        self.weight_size = fitting(sliding.weight, 13.0, self.cell - 2 * self.inset)
        self.width = max(PHONE if narrow else 620.0, self.left + columns * self.cell + (4 if narrow else 16))
        self.line_height = 21.0
        self.lines = max(len(self._terms(Moment(sliding, sliding.step(*f), 0))) for f in sliding.frames(24))
        self.channel_height = self.row + 34 + self.name_height
        self.outputs_top = 40 + len(self.inputs) * self.channel_height + 44
        outputs_height = len(sliding.channels) * (self.row + 8 + self.name_height)
        self.height = self.outputs_top + outputs_height + 12 + self.lines * self.line_height

    def draw(self, moment: Moment) -> Scene:
        """One frame."""
        scene = Scene(self.width, self.height)
        self._positions(scene, moment.step)
        for row, channel in enumerate(self.inputs):
            self._channel(scene, moment, channel, 40 + row * self.channel_height)
        self._lines(scene, moment)
        self._outputs(scene, moment)
        for i, line in enumerate(self._terms(moment)):
            y = self.height - (self.lines - i - 0.5) * self.line_height
            scene.text(self.left, y, line, 15.0, anchor="start", bold=i == 0 and self.lines == 1)
        return scene

    def _terms(self, moment: Moment) -> list[str]:
        room = PHONE if self.narrow else self.width  # seen without scrolling
        return wrapped(terms(moment), 15.0, room - self.left - 8, bold=True)

    def _output_x(self, j: int) -> float:
        return self.left + self._output_columns[j] * self.cell

    def _x(self, position: int) -> float:
        return self.left + self._columns[position] * self.cell

    def _positions(self, scene: Scene, step: Step) -> None:
        if not self.narrow:
            scene.text(self.left - 12, 26, "time", 12.0, ink="soft", anchor="end")
        now = step.now[0]
        clear = text_width(str(now), 12.0, True) / 2 + 4 if now in self._columns else 0.0
        for t in marked(self.positions, self.cell, 12.0):
            x = self._x(t) + self.cell / 2
            text = str(t).replace("-", "−")
            hidden = clear and abs(x - self._x(now) - self.cell / 2) < clear + text_width(text, 12.0) / 2
            if not hidden:
                scene.text(x, 26, text, 12.0, ink="soft")
        if clear:
            x = self._x(now) + self.cell / 2
            scene.text(x, 26, str(now).replace("-", "−"), 12.0, ink="now", bold=True)
            scene.text(x, 9, "now", 12.0, ink="now", bold=True)

    def _channel(self, scene: Scene, moment: Moment, channel: int, top: float) -> None:
        name = "input" if len(self.sliding.input) == 1 else f"input {channel}"
        kernel_top, row_top = top + self.name_height, top + self.name_height + 26
        taps = {s[0]: tap for (c, s), tap in moment.taps.items() if c == channel}
        drawn = {t: tap for t, tap in taps.items() if t in self.positions}
        if drawn and not self.narrow:
            scene.text(self.left - 12, kernel_top + 11, "weights", 12.0, ink="soft", anchor="end")
        for t, tap in drawn.items():
            corners = box_corners(self._x(t) + self.inset, kernel_top, self.cell - 2 * self.inset, 21)
            draw_cell(scene, corners, weight_look(moment, tap), self.weight_size)
        if self.narrow:
            text = f"{name}, the weights above it"
            scene.text(self.left, top + 8, text, 14.0, anchor="start", bold=True)
        else:
            scene.text(self.left - 12, row_top + self.row / 2, name, 14.0, anchor="end", bold=True)
        for t in self.positions:
            corners = box_corners(self._x(t) + 1, row_top, self.cell - 2, self.row)
            draw_cell(scene, corners, moment.input_look(channel, (t,)), self.size)
        now = moment.step.now[0]
        if now in self.positions:
            scene.box(self._x(now) + 1, row_top, self.cell - 2, self.row, edge="now", width=2.4)

    def _lines(self, scene: Scene, moment: Moment) -> None:
        last = self.inputs[-1]
        bottom = 40 + len(self.inputs) * self.channel_height - 8
        channel = self.sliding.channels.index(moment.step.channel)
        end = (self._output_x(moment.step.position[0]) + self.cell / 2, self.outputs_top - 2)
        if channel:
            return
        for (c, source), tap in moment.taps.items():
            if c == last and not tap.masked and source[0] in self.positions:
                role = "leak" if tap.future and not tap.padded else "used-edge"
                start = (self._x(source[0]) + self.cell / 2, bottom + 2)
                scene.line(start, end, ink=role, width=1.4, dashed=tap.padded)

    def _outputs(self, scene: Scene, moment: Moment) -> None:
        for row, channel in enumerate(self.sliding.channels):
            top = self.outputs_top + row * (self.row + 8 + self.name_height)
            name = "output" if len(self.sliding.output) == 1 else f"output {channel}"
            if self.narrow:  # below, since lines come from above
                scene.text(self.left, top + self.row + 12, name, 14.0, anchor="start", bold=True)
            else:
                scene.text(self.left - 12, top + self.row / 2, name, 14.0, anchor="end", bold=True)
            for j in self._output_columns:
                corners = box_corners(self._output_x(j) + 1, top, self.cell - 2, self.row)
                draw_cell(scene, corners, moment.output_look(channel, (j,), self.order), self.output_size)
