"""A comparison from configuration to report: both stacks over every input, JSON, CSV, pages and an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.comparison import REPORT, Comparison
from mediaconv.compare.measure.session import Compared, compare_file, time_axis
from mediaconv.compare.prove.verdict import Verdict
from mediaconv.compare.report.index import write_index
from mediaconv.compare.report.report_page import channel_rows, write_page
from mediaconv.compare.report.table import columns, summary
from mediaconv.compare.side_facts import over_files, side_row
from mediaconv.engine.computation import Computations
from mediaconv.errors import MediaError, UsageError
from mediaconv.pipeline import Pipeline
from mediaconv.run.jobs.perform import failure_of
from mediaconv.run.jobs.plan import Job, make_plan
from mediaconv.run.output.folder import open_output
from mediaconv.run.output.own_files import OwnFiles
from mediaconv.web.csv_text import csv_text
from mediaconv.web.json_values import dumps

COMPARE_JSON, CHANNELS_CSV, SUMMARY_CSV = "compare.json", "channels.csv", "summary.csv"
ROLES = ("a", "b")
ALREADY_CAUSAL = "It is causal as it is: the standard form, too, reads nothing that comes later."


def compare_sides(
    sides: Sequence[Side],
    pipeline: Pipeline,
    *,
    observe: Callable[[Comparison, Mapping[str, Any]], None] | None = None,
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
    shown_columns = columns(pipeline.metrics, names, unit, timed=pipeline.typical_input().rate is not None)
    result = Comparison(output, pipeline.name, shown_columns, inputs=len(jobs))
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
        _compare_all(
            result, jobs, sides, pipeline, computations, own, observe or (lambda comparison, row: None)
        )
    return result


def _compare_all(
    result: Comparison,
    jobs: Sequence[Job],
    sides: Sequence[Side],
    pipeline: Pipeline,
    computations: Sequence[Computations],
    own: OwnFiles,
    observe: Callable[[Comparison, Mapping[str, Any]], None],
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
            observe(result, result.failures[-1])
            continue
        rows = [side_row(s, r, compared, pipeline, verdicts) for s, r in zip(sides, ROLES, strict=True)]
        unit = pipeline.step_units[compared.axis]
        known = result.sides or rows
        result.sides = [over_files(side, row, unit) for side, row in zip(known, rows, strict=True)]
        if all(side.twin and row["causal"] for side, row in zip(sides, rows, strict=True)):
            compared.notes.append(ALREADY_CAUSAL)
            result.remarks = [ALREADY_CAUSAL]
        page = output / REPORT if len(jobs) == 1 else job.target / REPORT
        write_page(page, compared, rows, pipeline, job.target, result.columns, own.write)
        result.files.append(file_row(job, compared, rows, page, output))
        observe(result, result.files[-1])
    write_tables(result, len(jobs), own)


SIDE_KEYS = (
    "causal", "lookahead", "receptive_field", "receptive_field_back", "receptive_field_ahead",
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
        "events": event_rows(compared),
        "outputs": {
            name: [(job.target / file).relative_to(output).as_posix() for file in version.files]
            for name, version in compared.versions.items()
            if version.files
        },
        "mismatch": compared.mismatch,
        "notes": compared.notes,
        "report": page.relative_to(output).as_posix(),
    }


def event_rows(compared: Compared) -> list[dict[str, Any]]:
    """Each event of an input with both stacks' pre-echo, a number a channel."""
    return [
        {
            "step": event.step,
            "seconds": None if (at := compared.timeline.at(event.step)) is None else float(at),
            "z": event.z,
            "pre_echo": {
                name: [row["pre_echo"] for row in rows] for name, rows in compared.reactions.to(k).items()
            },
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
    summaries = summary(result.rows, result.columns)
    names = list(next(iter(summaries.values()), {}))
    rows = [{"metric": key, **numbers} for key, numbers in summaries.items()]
    own.write(result.output / SUMMARY_CSV, csv_text(rows, ["metric", *names]))
    write_index(result.output / REPORT, result, own.write)
