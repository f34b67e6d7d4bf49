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
