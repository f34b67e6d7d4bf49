"""`mediaconv status`: what is done in an output folder, what failed, what is missing, what is stale."""

from __future__ import annotations

import json as jsonlib
import shutil
from typing import Annotated

import typer

from mediaconv.cli.options import JsonOption


def status(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="the output folder of a run")],
    table: Annotated[bool, typer.Option("--table", help="a row an input: time, shape, files")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="the same as CSV, with reasons and notes")] = False,
    json: JsonOption = False,
) -> int:
    """Tell what is done in an output folder, what failed, what is missing and what is stale."""
    from mediaconv.errors import UsageError
    from mediaconv.run.resume.status import read_status

    if table + csv + json > 1:
        raise UsageError("status: give one of --table, --csv and --json")

    report = read_status(output)
    if csv or table:
        from mediaconv.run.report.results_table import results_csv, results_text

        width = shutil.get_terminal_size((80, 24)).columns
        print(results_csv(report) if csv else results_text(report, width=width), end="" if csv else "\n")
        return 0
    print(jsonlib.dumps(report.as_json(), indent=2) if json else "\n".join(report.lines()))
    return 0
