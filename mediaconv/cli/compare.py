"""`mediaconv compare`: one configuration causally and in standard form, or any two, over the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    DebugOption,
    InputOption,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
)

if TYPE_CHECKING:
    from mediaconv.compare.causal_pair import Side


def compare(
    config: ConfigArgument,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG_B]", help="the second one; without it, CONFIG's causal and standard twins"
        ),
    ] = None,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Run a configuration causally and in standard form (or two configurations) and report what differs.

    Both outputs, their difference, report.html, compare.json and CSV are written under --output; without it,
    beside the configuration's own output, in a folder that ends with -compare.
    """
    from rich.console import Console

    from mediaconv.compare.comparison import REPORT
    from mediaconv.compare.comparison import compare as run_comparison
    from mediaconv.compare.measure.session import time_axis
    from mediaconv.compare.report.json_values import dumps
    from mediaconv.compare.report.table import terminal_table
    from mediaconv.pipeline import find

    sides = _sides(config, other, input, output, set or [])
    console = Console(quiet=quiet or json)

    def told(row: Mapping[str, Any]) -> None:
        if "reason" in row:
            Console(stderr=True).print(
                f"{row['input']}: {row['stage']}: {row['reason']}", markup=False, soft_wrap=True
            )
            return
        if row["channels"]:
            console.print(terminal_table(row["input"], row["channels"], found))
        if row["mismatch"]:
            console.print(f"{row['input']}: {row['mismatch']}", markup=False, soft_wrap=True)

    from mediaconv.compare.report.page import unit_names
    from mediaconv.compare.report.table import columns

    pipeline = find(sides[0].config.pipeline)
    unit = unit_names(pipeline.name, time_axis(sides[0], pipeline))[1]
    found = columns(pipeline.name, [s.name for s in sides], unit)
    result = run_comparison(sides, pipeline, told=told)
    for side in result.sides:
        console.print(
            f"{side['label']}: {side['verdict']} ({side['facts'][0]})", markup=False, highlight=False
        )
    if json:
        print(dumps(result.as_json()))
    console.print(f"report: {result.output / REPORT}", markup=False, highlight=False, soft_wrap=True)
    return result.exit_code


def _sides(
    config: str, other: str | None, input: str | None, output: str | None, overrides: list[str]
) -> tuple[Side, Side]:
    """Both configurations, with the same input and output."""
    from mediaconv.compare.causal_pair import pair, twins
    from mediaconv.config import load_config

    first = load_config(Path(config), overrides=overrides, input=input, output=output)
    where = output or f"{first.output.rstrip('/')}-compare"
    first = first.model_copy(update={"output": where})
    if other is None:
        return twins(first)
    second = load_config(Path(other), overrides=overrides, input=first.input, output=where)
    return pair(first, second, (config, other))
