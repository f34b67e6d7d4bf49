"""The state of an output folder: what is done, what failed, is missing or stale. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.config import load_config
from mediaconv.errors import UsageError
from mediaconv.run.manifest import Row
from mediaconv.run.output import RUN_NAME, open_output
from mediaconv.run.runner import survey_run
from mediaconv.run.survey import FAILED_BEFORE, NEW, OUTPUTS_CHANGED, OUTPUTS_GONE
from mediaconv.run.wording import escaped

SHOWN = 20
INPUT_GONE = "its input is no longer there"


@dataclass
class Status:
    """Inputs by their state, each with its reason where it has one.

    done: complete and unchanged. failed: stage and reason of the last run. missing: not run yet, or outputs
    are gone or damaged. stale: done, but of another input, configuration, weights or version, or the input is
    gone.
    """

    output: str
    done: list[str] = field(default_factory=list)
    failed: dict[str, Row] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        failed = [{"input": r.input, "stage": r.stage, "reason": r.reason} for r in self.failed.values()]
        missing = [{"input": name, "reason": reason} for name, reason in self.missing.items()]
        stale = [{"input": name, "reason": reason} for name, reason in self.stale.items()]
        return {
            "output": self.output,
            "counts": self.counts,
            "done": [{"input": name} for name in self.done],
            "failed": failed,
            "missing": missing,
            "stale": stale,
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs are in each state."""
        groups = {"done": self.done, "failed": self.failed, "missing": self.missing, "stale": self.stale}
        return {key: len(group) for key, group in groups.items()}

    def lines(self) -> list[str]:
        """For people."""
        found = []
        failed = {name: f"{row.stage}: {row.reason}" for name, row in self.failed.items()}
        for key, group in (("failed", failed), ("missing", self.missing), ("stale", self.stale)):
            found += [f"{key}: {name}: {reason}" for name, reason in list(group.items())[:SHOWN]]
            if len(group) > SHOWN:
                found.append(f"  ... and {len(group) - SHOWN} more {key}")
        counts = ", ".join(f"{count} {key}" for key, count in self.counts.items())
        return [escaped(line) for line in [*found, f"{self.output}: {counts}"]]


def read_status(where: str | Path) -> Status:
    """Compare an output folder with its manifest, its run.yaml and the inputs as they are now.

    Raises UsageError where the folder holds no run.
    """
    where = str(where)
    with open_output(where, write=False) as output:
        if not (output.folder / RUN_NAME).exists():
            raise UsageError(
                f"{where}: holds no run (no {RUN_NAME}); give the `output` of a configuration that was run"
            )
        config = load_config(output.folder / RUN_NAME, output=where)
    status = Status(where)
    found = survey_run(config)
    status.done = [job.name for job in found.skipped]
    for job, reason in found.todo:
        if reason == FAILED_BEFORE:
            status.failed[job.name] = found.rows[job.name]
        elif reason in (NEW, OUTPUTS_GONE, OUTPUTS_CHANGED):
            status.missing[job.name] = "not run yet" if reason == NEW else reason
        else:
            status.stale[job.name] = reason
    known = {job.name for job in found.skipped} | {job.name for job, _ in found.todo}
    status.stale.update({name: INPUT_GONE for name in found.rows if name not in known})
    return status
