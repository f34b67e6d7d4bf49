"""What a run came to, for people and for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mediaconv.counted import counted
from mediaconv.run.jobs.result import Outcome, clipped_note
from mediaconv.run.report.formatting import duration, escaped, speed

SHOWN = 20
"""Failures and notes that a summary for people lists; the manifest has all."""


@dataclass
class Summary:
    """A run's counts, added up outcome by outcome.

    files: inputs converted. channels: files that they became. media_seconds: length of the inputs in time.
    notes: what a user should know (a rounded rate, clipped values), with the input's name.
    clipped: how many values were clipped, by the inputs that have any.
    unfit: failures for which the configuration is to blame, not the file.
    stopped: why the run ended early, or nothing; left: inputs that it therefore did not end.
    """

    output: str
    skipped: int = 0
    files: int = 0
    channels: int = 0
    bytes: int = 0
    media_seconds: float = 0.0
    seconds: float = 0.0
    retried: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    clipped: dict[str, int] = field(default_factory=dict)
    unfit: int = 0
    left: int = 0
    stopped: str = ""

    def add(self, outcome: Outcome) -> None:
        """Count one job's end."""
        self.retried += outcome.attempts - 1
        if outcome.failure is not None:
            failure = outcome.failure
            self.unfit += failure.unfit
            self.failures.append(
                {"input": outcome.job.name, "stage": failure.stage, "reason": failure.reason}
            )
        if outcome.result is not None:
            result = outcome.result
            self.files += 1
            self.channels += result.output_shape[0] if result.output_shape else 0
            self.bytes += sum(file.bytes for file in result.outputs)
            self.media_seconds += result.media_seconds or 0.0
            self.notes += [(outcome.job.name, note) for note in result.notes]
            if result.clipped:
                self.clipped[outcome.job.name] = result.clipped

    @property
    def exit_code(self) -> int:
        """0, or 1 where something failed or the run was stopped; 2 where the configuration fits no input."""
        done = self.files or self.skipped or self.left
        if self.failures and self.unfit == len(self.failures) and not done:
            return 2
        return 1 if self.failures or self.stopped else 0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "output": self.output,
            "files": self.files,
            "channels": self.channels,
            "skipped": self.skipped,
            "failed": len(self.failures),
            "retried": self.retried,
            "bytes": self.bytes,
            "media_seconds": round(self.media_seconds, 6),
            "seconds": round(self.seconds, 3),
            "speed": round(self.media_seconds / self.seconds, 3) if self.media_seconds else None,
            "failures": self.failures,
            "notes": [{"input": name, "note": note} for name, note in self.notes],
            "stopped": self.stopped or None,
            "left": self.left,
        }

    def lines(self) -> list[str]:
        """For people."""
        first = f"{counted(self.files, 'file')}, {counted(self.channels, 'channel')}"
        if self.media_seconds:
            first += f", {duration(self.media_seconds)} of media in {duration(self.seconds)}"
            first += f" ({speed(self.media_seconds, self.seconds)})"
        else:
            first += f" in {duration(self.seconds)}"
        if self.skipped:
            first += f"; {self.skipped} skipped (done already)"
        if self.retried:
            first += f"; {self.retried} tried again after a lost worker"
        if self.failures:
            first += f"; {len(self.failures)} failed"
        lines = [first, *self._noted()]
        if len(self.failures) > 1 or self.stopped:
            lines += [_failed(failure) for failure in self.failures[:SHOWN]]
            if len(self.failures) > SHOWN:
                lines.append(f"  ... and {len(self.failures) - SHOWN} more, in the manifest")
        if self.stopped:
            lines.append(
                f"stopped: {self.stopped}; {counted(self.left, 'file')} left, the same command goes on"
            )
        return [escaped(line) for line in [*lines, f"outputs: {self.output}"]]

    def _noted(self) -> list[str]:
        """Each note once, with the inputs that it is about; those of clipped values added up to one."""
        clipped = {clipped_note(count) for count in self.clipped.values()}
        notes = [(name, note) for name, note in self.notes if note not in clipped]
        whole = clipped_note(sum(self.clipped.values()), files=len(self.clipped))
        notes += [(name, whole) for name in self.clipped]
        counts = Counter(note for _, note in notes)
        first = {note: name for name, note in reversed(notes)}
        lines = [
            f"note: {first[note]}{f' and {count - 1} more' if count > 1 else ''}: {note}"
            for note, count in counts.most_common(SHOWN)
        ]
        if len(counts) > SHOWN:
            lines.append(f"  ... and {len(counts) - SHOWN} more, in the manifest")
        return lines


def _failed(failure: dict[str, str]) -> str:
    return f"  failed: {failure['input']}: {failure['stage']}: {failure['reason']}"
