"""A whole picture of one frame: title, one panel or two side by side, legend and notes."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.draw.panels.cells import LEGEND, Moment, draw_key
from mediaconv.draw.panels.describe import describe
from mediaconv.draw.panels.panel1d import Panel1d
from mediaconv.draw.panels.panel2d import Panel2d
from mediaconv.draw.panels.panel3d import Panel3d
from mediaconv.draw.panels.products import PHONE
from mediaconv.draw.scene.scene import Scene, text_width, wrapped
from mediaconv.draw.sliding.frames import BUDGET, Sliding

_SHEET = 1400.0
"""Two panels wider together than this stand one above the other: at 1400 pixels they could not be read."""
_MARGIN = 20.0
_GAP = 24.0
_TITLE = 20.0
_DETAIL = 13.0
_PANELS: dict[int, type[Panel1d] | type[Panel2d] | type[Panel3d]] = {1: Panel1d, 2: Panel2d, 3: Panel3d}


class Picture:
    """Every frame of one sliding layer, or of two beside each other in step.

    slidings: one or two with the same number of axes. title: above all; by default none.
    budget: frames at most. blank_zeros: cells that hold zero are drawn without a number.
    narrow: for a phone: panels one above the other, and in each one thing above the other.
    """

    def __init__(
        self,
        slidings: Sequence[Sliding],
        *,
        title: str = "",
        budget: int = BUDGET,
        blank_zeros: bool = False,
        narrow: bool = False,
    ) -> None:
        self.slidings = list(slidings)
        self._blank_zeros, self._budget = blank_zeros, budget
        # those along axis 0 that any of the layers draws, so that equal times lie at equal places
        positions = sorted({position for sliding in self.slidings for position in sliding.region[0]})
        self.panels = [_PANELS[s.dims](s, positions, narrow=narrow) for s in self.slidings]
        self._chosen = [s.frames(budget) for s in self.slidings]
        self._ranks = [{o: i for i, o in enumerate(s.outputs())} for s in self.slidings]
        self.frames = max(len(c) for c in self._chosen)
        beside = (
            not narrow
            and self.slidings[0].dims == 3
            and (sum(p.width + _GAP for p in self.panels) - _GAP + 2 * _MARGIN <= _SHEET)
        )
        self._columns = len(self.panels) if beside else 1
        if not beside and self.slidings[0].dims == 3:  # equal times need no equal heights
            self.panels = [Panel3d(s, list(s.region[0]), narrow=narrow) for s in self.slidings]
        self._heads = [
            _head(s, PHONE if narrow else max(p.width, 560.0 if len(self.panels) == 1 else p.width))
            for s, p in zip(self.slidings, self.panels, strict=True)
        ]
        self.title = title
        self.notes = self._all_notes(budget)
        """What the picture leaves out."""
        self._arrange()

    def scene(self, index: int) -> Scene:
        """Frame `index`, from 0 to `frames` - 1. A layer that is done sooner stays at its last frame."""
        scene = Scene(self.width, self.height)
        if self.title:
            scene.text(_MARGIN, _MARGIN + 10, self.title, 22.0, anchor="start", bold=True)
        for corner, part in zip(self._corners, self.parts(index), strict=True):
            scene.add(part, *corner)
        self._legend(scene)
        for n, line in enumerate(self._note_lines):
            y = self.height - 12 - (len(self._note_lines) - 1 - n) * 18
            scene.text(_MARGIN, y - 4, line, 12.0, anchor="start", ink="soft")
        return scene

    def narrow(self) -> Picture:
        """The same frames for a phone."""
        return Picture(
            self.slidings,
            title=self.title,
            budget=self._budget,
            blank_zeros=self._blank_zeros,
            narrow=True,
        )

    def parts(self, index: int) -> list[Scene]:
        """The panels of frame `index` with their heads, each on a sheet of its own."""
        return [self._part(i, index) for i in range(len(self.panels))]

    def legend(self) -> list[tuple[Scene, str]]:
        """The legend: cells of 18 by 16 pixels, and what they mean."""
        drawn = []
        for role, text in (key for row in self._rows for key in row):
            key = Scene(18.0, 16.0)
            draw_key(key, 1.0, 8.0, role)
            drawn.append((key, text))
        return drawn

    def _part(self, i: int, index: int) -> Scene:
        panel, head, sliding = self.panels[i], self._heads[i], self.slidings[i]
        scene = Scene(max(panel.width, _head_width(head)), self._head_height + panel.height)
        for n, line in enumerate(head):
            first = n == 0
            size, ink = (_TITLE, "ink") if first else (_DETAIL, "soft")
            scene.text(0.0, 12.0 + n * 22, line, size, anchor="start", bold=first, ink=ink)
        chosen = self._chosen[i][min(index, len(self._chosen[i]) - 1)]
        rank = self._ranks[i][chosen]
        moment = Moment(sliding, sliding.step(*chosen), rank, blank_zeros=self._blank_zeros)
        scene.add(panel.draw(moment), 0.0, self._head_height)
        return scene

    def _arrange(self) -> None:
        self._head_height = 16 + max(len(h) for h in self._heads) * 22.0
        top = _MARGIN + (40 if self.title else 0)
        self._corners = []
        x = _MARGIN
        y = top
        for i, panel in enumerate(self.panels):
            self._corners.append((x, y))
            if self._columns == 1:
                y += self._head_height + panel.height + (_GAP if i + 1 < len(self.panels) else 0)
            else:
                x += max(panel.width, _head_width(self._heads[i])) + _GAP
        if self._columns == 1:
            inner = max(max(p.width, _head_width(h)) for p, h in zip(self.panels, self._heads, strict=True))
            body = y
        else:
            inner = x - _GAP - _MARGIN
            body = top + self._head_height + max(p.height for p in self.panels)
        self.width = inner + 2 * _MARGIN
        self._rows = _legend_rows(self._roles(), inner)
        self._legend_top = body + 26
        self._note_lines = wrapped(" · ".join(self.notes), 12.0, inner) if self.notes else []
        self.height = self._legend_top + len(self._rows) * 24 + 18 * len(self._note_lines) + 14

    def _roles(self) -> list[str]:
        """Roles that occur in any frame, in the legend's order."""
        roles = {"input", "output", "current"}
        for sliding, panel, chosen in zip(self.slidings, self.panels, self._chosen, strict=True):
            ends = [chosen[0], chosen[-1], chosen[len(chosen) // 2], chosen[len(chosen) // 4]]
            scenes = [panel.draw(Moment(sliding, sliding.step(*c), 0)) for c in ends]
            fills = {getattr(shape, "fill", None) for scene in scenes for shape in scene.shapes}
            roles |= {role for role in LEGEND if role in fills}
        return [role for role in LEGEND if role in roles]

    def _legend(self, scene: Scene) -> None:
        for n, row in enumerate(self._rows):
            x, y = _MARGIN, self._legend_top + n * 24
            for role, text in row:
                draw_key(scene, x, y, role)
                scene.text(x + 22, y, text, _DETAIL, anchor="start")
                x += _key_width(text)

    def _all_notes(self, budget: int) -> list[str]:
        notes = [note for sliding in self.slidings for note in sliding.notes]
        for sliding, chosen in zip(self.slidings, self._chosen, strict=True):
            every = len(sliding.outputs())
            if len(chosen) < every:
                notes.append(f"{len(chosen)} of {every} outputs have a frame, evenly chosen")
        return list(dict.fromkeys(notes))


def _head_width(lines: Sequence[str]) -> float:
    return max(text_width(line, _TITLE if n == 0 else _DETAIL, n == 0) for n, line in enumerate(lines))


def _head(sliding: Sliding, width: float) -> list[str]:
    name, details = describe(sliding.layer)
    return [*wrapped(name, _TITLE, width, bold=True)[:1], *wrapped(details, _DETAIL, width)]


def _key_width(text: str) -> float:
    return 22 + text_width(text, _DETAIL) + 24


def _legend_rows(roles: Sequence[str], width: float) -> list[list[tuple[str, str]]]:
    keys = [*((role, LEGEND[role]) for role in roles), ("now", "now: where the output stands")]
    rows: list[list[tuple[str, str]]] = [[]]
    used = 0.0
    for key in keys:
        if rows[-1] and used + _key_width(key[1]) > width:
            rows.append([])
            used = 0.0
        rows[-1].append(key)
        used += _key_width(key[1])
    return rows
