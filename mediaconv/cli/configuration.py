"""`mediaconv validate` and `mediaconv schema`: configurations checked, and what one may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import (
    CausalOption,
    InputOption,
    OutputOption,
    SetOption,
    causal_override,
)
from mediaconv.counted import counted
from mediaconv.errors import UsageError

if TYPE_CHECKING:
    from mediaconv.config import RunConfig

ConfigsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CONFIG...", help="YAML files; relative paths in them count from the current folder"
    ),
]


def validate(
    configs: ConfigsArgument,
    input: InputOption = None,
    output: OutputOption = None,
    causal: CausalOption = None,
    set: SetOption = None,
) -> None:
    """Check configurations without running them; all errors are shown at once.

    The first sixteen inputs are opened, and the stack is built for them: files that are broken and weights
    that do not fit are found here.
    """
    problems = []
    overrides = [*(set or []), *causal_override(causal)]
    for config in configs:
        try:
            _check(config, overrides=overrides, input=input, output=output)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))


def _check(config: str, *, overrides: list[str], input: str | None, output: str | None) -> None:
    from mediaconv.config import load_config

    checked = load_config(Path(config), overrides=overrides, input=input, output=output)
    from mediaconv.run.jobs.rehearsal import rehearse

    try:
        rehearsed = rehearse(checked)
    except UsageError as error:
        raise UsageError(
            "\n".join(_placed(line, checked, config) for line in str(error).splitlines())
        ) from error
    layers = counted(len(checked.stack), "layer")
    channels = ", {} -> {} channels".format(*rehearsed.channels) if rehearsed.channels else ""
    print(f"{config}: valid ({checked.pipeline}, {layers}{channels})")
    for fault in rehearsed.faults:
        print(f"{config}: an input would fail: {fault}")
    for text in rehearsed.unchecked:
        print(f"{config}: not checked: {text}")


def _placed(line: str, config: RunConfig, name: str) -> str:
    placed = config.placed(line)
    return placed if placed.startswith(f"{name}:") else f"{name}: {placed}"


def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    import json

    from mediaconv.config import config_schema

    print(json.dumps(config_schema(), indent=2))
