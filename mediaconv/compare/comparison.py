"""What came of a comparison, as data. Runs and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.compare.report.table import Column, summary

REPORT = "report.html"


@dataclass
class Comparison:
    """What came of a comparison.

    files: a row an input that could be compared. inputs: how many there were.
    failures: stage and reason of each that could not be.
    unfit: failures for which the configuration is to blame, not the file.
    """

    output: Path
    kind: str
    columns: list[Column]
    sides: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    inputs: int = 1
    failures: list[dict[str, str]] = field(default_factory=list)
    unfit: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 1 where an input failed; 2 where the configurations fit no input, as of a run."""
        if self.failures and self.unfit == len(self.failures) and not self.files:
            return 2
        return 1 if self.failures else 0

    @property
    def report(self) -> Path | None:
        """The page, or the index of the pages; None where nothing could be compared in the only input."""
        return self.output / REPORT if self.files or self.inputs > 1 else None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a channel of every file."""
        return [{"file": f["input"], **row} for f in self.files for row in f["channels"]]

    def as_json(self) -> dict[str, Any]:
        """The content of compare.json."""
        return {
            "sides": self.sides,
            "files": self.files,
            "summary": summary(self.rows, self.columns),
            "failures": self.failures,
            "report": self.report and self.report.name,
        }
