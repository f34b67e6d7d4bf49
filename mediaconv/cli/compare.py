"""`mediaconv compare`: one configuration causally and in standard form, or any two, over the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    InputOption,
    JsonOption,
    ModelOptions,
    OutputOption,
    QuietOption,
    telling,
)
from mediaconv.errors import UsageError

if TYPE_CHECKING:
    from mediaconv.config import RunConfig


def compare(
    config: ConfigArgument = None,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG_B]", help="the second one; without it, CONFIG causally and in standard form"
        ),
    ] = None,
    input: InputOption = None,
    output: OutputOption = None,
    replacing: ModelOptions = ModelOptions(),
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Run a configuration causally and in standard form (or two configurations) and report what differs.

    Both outputs, their difference, report.html, compare.json and CSV are written under --output; without it,
    beside the configuration's own output, in a folder that ends with -compare.
    """
    from rich.console import Console

    from mediaconv.config import load_config

    overrides = replacing.overrides()
    first = _first(config, replacing, input, output)
    first = first.model_copy(update={"output": output or f"{first.output.rstrip('/')}-compare"})
    second = (
        None if other is None else load_config(Path(other), overrides=overrides, input=input, output=output)
    )
    from mediaconv.compare.comparison import Comparison
    from mediaconv.compare.report.table import terminal_table
    from mediaconv.front import compare as run_comparison
    from mediaconv.run.report.formatting import escaped
    from mediaconv.web.json_values import dumps

    console = Console(quiet=quiet or json)

    def observe(comparison: Comparison, row: Mapping[str, Any]) -> None:
        with telling():
            if "reason" in row:
                reason = escaped(f"{row['input']}: {row['stage']}: {row['reason']}")
                Console(stderr=True).print(reason, markup=False, soft_wrap=True)
                return
            if row["channels"]:
                console.print(terminal_table(escaped(row["input"]), row["channels"], comparison.columns))
            if row["mismatch"]:
                console.print(escaped(f"{row['input']}: {row['mismatch']}"), markup=False, soft_wrap=True)

    result = run_comparison(first, second, observe=observe)
    with telling():
        for side in result.sides:
            text = escaped(f"{side['label']}: {side['verdict']} ({side['facts'][0]})")
            console.print(text, markup=False, highlight=False)
        for remark in result.remarks:
            console.print(remark, markup=False, highlight=False, soft_wrap=True)
        if json:
            print(dumps(result.as_json()))
        if result.report is not None:
            console.print(escaped(f"report: {result.report}"), markup=False, highlight=False, soft_wrap=True)
    return result.exit_code


def _first(config: str | None, replacing: ModelOptions, input: str | None, output: str | None) -> RunConfig:
    """The configuration, or that of a model alone over an input. Raises UsageError."""
    name, overrides = replacing.subject("compare", config), replacing.overrides()
    if config is not None:
        from mediaconv.config import load_config

        return load_config(Path(config), overrides=overrides, input=input, output=output)
    if input is None:
        raise UsageError(f"compare: {name} alone names no input; give --input FILE_OR_FOLDER")
    from mediaconv.guide.direct import direct_config

    return direct_config(Path(input), overrides=overrides, output=output, trained=True)
