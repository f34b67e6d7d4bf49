"""The state of an output folder: what is done, what failed, is missing or stale. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.config import load_config
from mediaconv.errors import UsageError
from mediaconv.run.manifest import read_manifest
from mediaconv.run.output import RUN_NAME, open_output
from mediaconv.run.runner import survey_run
from mediaconv.run.survey import FAILED_BEFORE, NEW, OUTPUTS_CHANGED, OUTPUTS_GONE

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
    failed: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        groups = {"failed": self.failed, "missing": self.missing, "stale": self.stale}
        lists = {
            key: [{"input": name, "reason": reason} for name, reason in group.items()]
            for key, group in groups.items()
        }
        counts = {"done": len(self.done), **{key: len(group) for key, group in groups.items()}}
        return {"output": self.output, "counts": counts, "done": [{"input": n} for n in self.done], **lists}

    def lines(self) -> list[str]:
        """For people."""
        found = []
        for key, group in (("failed", self.failed), ("missing", self.missing), ("stale", self.stale)):
            found += [f"{key}: {name}: {reason}" for name, reason in list(group.items())[:SHOWN]]
            if len(group) > SHOWN:
                found.append(f"  ... and {len(group) - SHOWN} more {key}")
        counts = self.as_json()["counts"]
        return [*found, f"{self.output}: {', '.join(f'{count} {key}' for key, count in counts.items())}"]


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
        rows = read_manifest(output.folder)
    status = Status(where)
    found = survey_run(config)
    status.done = [job.name for job in found.skipped]
    for job, reason in found.todo:
        if reason == FAILED_BEFORE:
            row = rows[job.name]
            status.failed[job.name] = f"{row.stage}: {row.reason}"
        elif reason in (NEW, OUTPUTS_GONE, OUTPUTS_CHANGED):
            status.missing[job.name] = "not run yet" if reason == NEW else reason
        else:
            status.stale[job.name] = reason
    known = {job.name for job in found.skipped} | {job.name for job, _ in found.todo}
    status.stale.update({name: INPUT_GONE for name in rows if name not in known})
    return status
