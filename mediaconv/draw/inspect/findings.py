"""What an inspection found, as data: the layers with their maps and numbers, in order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mediaconv.config import RunConfig
from mediaconv.draw.inspect.clip import Clip
from mediaconv.draw.inspect.record import Node
from mediaconv.pipeline import Pipeline

UNITS = {1: "samples", 2: "rows", 3: "frames"}


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found. ticks: for each file the input steps that the page stands at (film).

    outline: the order of nodes and blocks (see `Recorder`). notes: what was left out, in words.
    """

    config: RunConfig
    pipeline: Pipeline
    clips: tuple[Clip, ...]
    nodes: tuple[Node, ...]
    outline: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[Fraction, ...], ...]
    rate: float | None
    notes: tuple[str, ...]

    @property
    def axes(self) -> int:
        """Number of convolved axes."""
        return len(self.pipeline.axes)

    def is_picture(self, node: Node) -> bool:
        """Whether a node's values are brightness, to be seen in gray: what is read and what is written."""
        bright = self.axes != 1 and tuple(self.pipeline.signal_range) == (0.0, 1.0)
        return bright and node.kind in ("input", "normalize")

    def is_colour(self, node: Node) -> bool:
        """Whether the first channels are red, green and blue: those of an input of three or four."""
        return self.is_picture(node) and node.kind == "input" and node.channels in (3, 4)
