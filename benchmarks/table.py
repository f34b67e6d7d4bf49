"""Tables of measured figures, as Markdown. Times are medians of paired runs; the machine is named."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch


@dataclass(frozen=True)
class Table:
    """A title, what was done, the columns and the rows. faults: works whose ratios are over their limits."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    faults: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"**{self.title}** {self.note}", "", "| " + " | ".join(self.columns) + " |"]
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines)


def machine() -> str:
    """The machine that measured, in a line."""
    memory = psutil.virtual_memory().total / 2**30
    processor = platform.processor() or platform.machine()
    found = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    for line in found.splitlines():
        if line.startswith("Model name:"):
            processor = line.split(":", 1)[1].strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores, {memory:.0f} GiB, torch {torch.__version__}"
