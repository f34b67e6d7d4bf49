"""What came of a comparison, as data. Runs and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from mediaconv.compare.report.table import Column, shown, summary

REPORT = "report.html"


@dataclass
class Comparison:
    """What came of a comparison.

    files: a row an input that could be compared. inputs: how many there were.
    failures: stage and reason of each that could not be.
    unfit: failures for which the configuration is to blame, not the file.
    remarks: what is to be known of the comparison as a whole.
    """

    output: Path
    kind: str
    columns: list[Column]
    sides: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    inputs: int = 1
    failures: list[dict[str, str]] = field(default_factory=list)
    unfit: int = 0
    remarks: list[str] = field(default_factory=list)

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

    def _repr_html_(self) -> str:
        """For notebooks: what each side sees, and the numbers of each channel."""
        sides = "".join(
            f"<li><b>{escape(str(side['label']))}</b>: {escape(str(side['verdict']))}</li>"
            for side in self.sides
        )
        heads = ["file", "channel", *(column.label for column in self.columns)]
        lines = [
            [str(row["file"]), str(row["channel"]), *(shown(row.get(c.key), c) for c in self.columns)]
            for row in self.rows
        ]
        table = "".join(_line("td", line) for line in lines)
        where = "" if self.report is None else f"<small>report: {escape(str(self.report))}</small>"
        box = f'<div style="overflow-x:auto"><table>{_line("th", heads)}{table}</table></div>'
        remarks = "".join(f"<p>{escape(remark)}</p>" for remark in self.remarks)
        return f"<ul>{sides}</ul>{remarks}{box}{where}"

    def as_json(self) -> dict[str, Any]:
        """The content of compare.json."""
        return {
            "sides": self.sides,
            "files": self.files,
            "summary": summary(self.rows, self.columns),
            "failures": self.failures,
            "remarks": self.remarks,
            "report": self.report and self.report.name,
        }


def _line(tag: str, cells: list[str]) -> str:
    inner = "".join(
        f'<{tag} style="padding:2px 8px;text-align:right">{escape(cell)}</{tag}>' for cell in cells
    )
    return f"<tr>{inner}</tr>"
