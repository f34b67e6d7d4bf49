"""A comparison from configuration to report: both stacks over every input, JSON, CSV, pages and an index."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.measure.session import Compared, compare_file, time_axis
from mediaconv.compare.measure.timeline import in_words
from mediaconv.compare.prove.verdict import Verdict, counted_steps, judge_model
from mediaconv.compare.report.page import channel_rows, write_page
from mediaconv.compare.report.table import Column, columns, csv_text, summary
from mediaconv.engine.computation import Computation, Computations
from mediaconv.errors import MediaError, UsageError
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.pipeline import Pipeline
from mediaconv.run.jobs.perform import failure_of
from mediaconv.run.jobs.plan import Job, make_plan
from mediaconv.run.output.folder import open_output
from mediaconv.run.output.own_files import OwnFiles
from mediaconv.web.json_values import dumps

REPORT, COMPARE_JSON, CHANNELS_CSV, SUMMARY_CSV = "report.html", "compare.json", "channels.csv", "summary.csv"
ROLES = ("a", "b")


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


def compare_sides(
    sides: Sequence[Side],
    pipeline: Pipeline,
    *,
    told: Callable[[Comparison, Mapping[str, Any]], None] = lambda comparison, row: None,
) -> Comparison:
    """Compare two configurations over the inputs of the first and write everything under its output.

    told: called with the comparison and the row of each input when it is done, or with its failure.
    Raises UsageError where there is nothing to do.
    """
    config = sides[0].config
    jobs = make_plan(config, pipeline)
    output = Path(config.output)
    computations = [Computations(side.config, pipeline) for side in sides]
    names = [side.name for side in sides]
    unit = pipeline.step_units[time_axis(sides[0], pipeline)]
    found = columns(pipeline.metrics, names, unit, timed=pipeline.typical_input().rate is not None)
    result = Comparison(output, pipeline.name, found, inputs=len(jobs))
    with ExitStack() as stack:
        try:
            locked = stack.enter_context(open_output(config.output, write=True))
            own = OwnFiles(output)
            for path in locked.leftovers():
                locked.remove(path)
            tables = [output / name for name in (REPORT, COMPARE_JSON, CHANNELS_CSV, SUMMARY_CSV)]
            own.refuse_others([*tables, *(job.target for job in jobs)])
        except OSError as error:
            raise UsageError(f"output: cannot write in {output}: {error.strerror or error}") from error
        _compare_all(result, jobs, sides, pipeline, computations, own, told)
    return result


def _compare_all(
    result: Comparison,
    jobs: Sequence[Job],
    sides: Sequence[Side],
    pipeline: Pipeline,
    computations: Sequence[Computations],
    own: OwnFiles,
    told: Callable[[Comparison, Mapping[str, Any]], None],
) -> None:
    config, output = sides[0].config, result.output
    verdicts: dict[int, Verdict] = {}
    for job in jobs:
        try:
            compared = compare_file(job, sides, pipeline, computations, own)
        except MediaError as error:
            failure = failure_of(error, job)
            result.unfit += failure.unfit
            reason = config.placed(failure.reason) if failure.unfit else failure.reason
            result.failures.append({"input": job.name, "stage": failure.stage, "reason": reason})
            told(result, result.failures[-1])
            continue
        rows = [side_row(s, r, compared, pipeline, verdicts) for s, r in zip(sides, ROLES, strict=True)]
        result.sides = result.sides or rows
        page = output / REPORT if len(jobs) == 1 else job.target / REPORT
        write_page(page, compared, rows, pipeline, job.target, result.columns, own.write)
        result.files.append(file_row(job, compared, rows, page, output))
        told(result, result.files[-1])
    write_tables(result, len(jobs), own)


def side_row(
    side: Side, role: str, compared: Compared, pipeline: Pipeline, verdicts: dict[int, Verdict]
) -> dict[str, Any]:
    """Everything known of one stack: proof, receptive field, latency."""
    model = compared.models[side.name]
    if id(model) not in verdicts:
        verdicts[id(model)] = judge_model(model, side.config, pipeline, compared.info)
    verdict = verdicts[id(model)]
    reach = reach_row(model, compared)
    unit = pipeline.step_units[compared.axis]
    return {
        "name": side.name,
        "label": side.label,
        "role": role,
        "note": "",
        "causal": verdict.causal,
        "look_ahead": verdict.look_ahead,
        "unit": verdict.unit,
        "methods": verdict.stack.by,
        "leaks": verdict.leaks,
        **reach,
        "verdict": verdict_text(verdict, unit),
        "reads": reads_text(reach, unit),
        "facts": facts(verdict, reach, unit),
    }


def reach_row(model: Computation, compared: Compared) -> dict[str, Any]:
    """Receptive field both ways and latency, in steps of the input; None: no end.

    `latency_ms` is the longest that an output waits, `latency_ms_range` the shortest and the longest: they
    differ where the input's frames last unequally.
    """
    found = axis_map(model.module, compared.axis)
    reads = (found.look_back, found.latency, found.receptive_field)
    back, ahead, both = (None if math.isinf(n) or model.needs_range else int(n) for n in reads)
    waits = None if ahead is None else compared.timeline.span_ms(ahead)
    return {
        "receptive_field_back": back,
        "receptive_field_ahead": ahead,
        "receptive_field": both,
        "latency_steps": ahead,
        "latency_ms": waits and waits[1],
        "latency_ms_range": waits,
        "stride": found.stride,
    }


def verdict_text(verdict: Verdict, unit: str) -> str:
    """The verdict in a sentence. unit: of the steps along which the two are compared."""
    if verdict.causal:
        along = "" if verdict.unit == unit else f" along {verdict.unit}"
        return f"Causal{along}: no output depends on a later input, by gradient and by perturbation."
    if verdict.look_ahead is None:
        return "Not causal: its outputs depend on the whole file, to its end."
    steps = counted_steps(verdict.look_ahead, verdict.unit)
    return f"Not causal: its outputs depend on inputs up to {steps} later."


def facts(verdict: Verdict, reach: Mapping[str, Any], unit: str) -> list[str]:
    """Latency, receptive field and who looks ahead, in words."""
    steps, waits = reach["latency_steps"], reach["latency_ms_range"]
    if steps is None:
        latency = "latency: the whole file"
    else:
        latency = f"latency {counted_steps(steps, unit)}" + (f", {in_words(waits)}" if waits else "")
    found = [latency, reads_text(reach, unit)]
    if verdict.leaks:
        found.append("looking ahead: " + ", ".join(leak.layer for leak in verdict.leaks[:4]))
    return found


def reads_text(reach: Mapping[str, Any], unit: str) -> str:
    """The receptive field, both ways, in words."""
    back, ahead = (
        "all" if reach[f"receptive_field_{side}"] is None else f"{reach[f'receptive_field_{side}']:,}"
        for side in ("back", "ahead")
    )
    return f"an output reads {back} {unit} before its own and {ahead} after it"


SIDE_KEYS = (
    "causal", "look_ahead", "receptive_field", "receptive_field_back", "receptive_field_ahead",
    "latency_steps", "latency_ms", "latency_ms_range",
)  # fmt: skip


def file_row(
    job: Job, compared: Compared, sides: Sequence[Mapping[str, Any]], page: Path, output: Path
) -> dict[str, Any]:
    """One input's row of compare.json; paths are relative to the output folder."""
    return {
        "input": job.name,
        "shape": compared.input_shape,
        "output_shapes": compared.output_shapes,
        "channels": channel_rows(compared, sides),
        "sides": {side["name"]: {key: side[key] for key in SIDE_KEYS} for side in sides},
        "events": event_rows(compared, [side["name"] for side in sides]),
        "outputs": {
            name: [(job.target / file).relative_to(output).as_posix() for file in version.files]
            for name, version in compared.versions.items()
            if version.files
        },
        "mismatch": compared.mismatch,
        "notes": compared.notes,
        "report": page.relative_to(output).as_posix(),
    }


def event_rows(compared: Compared, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each event of an input with both stacks' pre-echo, a number a channel."""
    pre_echoes = {
        name: [compared.reactions.rows(name, i) for i in range(compared.models[name].output_channels)]
        for name in names
    }
    return [
        {
            "step": event.step,
            "seconds": None if (at := compared.timeline.at(event.step)) is None else float(at),
            "z": event.z,
            "pre_echo": {name: [rows[k]["pre_echo"] for rows in each] for name, each in pre_echoes.items()},
        }
        for k, event in enumerate(compared.events)
    ]


def write_tables(result: Comparison, inputs: int, own: OwnFiles) -> None:
    """compare.json always; for a folder also the CSV files and the index."""
    own.write(result.output / COMPARE_JSON, dumps(result.as_json()) + "\n")
    keys = ["file", "channel", *(c.key for c in result.columns)]
    own.write(result.output / CHANNELS_CSV, csv_text(result.rows, keys))
    if inputs == 1:
        return
    from mediaconv.compare.report.index import write_index

    found = summary(result.rows, result.columns)
    names = list(next(iter(found.values()), {}))
    rows = [{"metric": key, **numbers} for key, numbers in found.items()]
    own.write(result.output / SUMMARY_CSV, csv_text(rows, ["metric", *names]))
    write_index(result.output / REPORT, result, own.write)
