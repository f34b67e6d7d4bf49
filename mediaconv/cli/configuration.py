"""`mediaconv validate` and `mediaconv schema`: configurations checked, and what one may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import InputOption, OutputOption, StackOptions
from mediaconv.counted import counted
from mediaconv.errors import UsageError

if TYPE_CHECKING:
    from mediaconv.config import RunConfig

ConfigsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG]...",
        help="YAML files; relative paths in them count from the current folder. With --model none is needed",
    ),
]


def validate(
    configs: ConfigsArgument = None,
    input: InputOption = None,
    output: OutputOption = None,
    channels: Annotated[
        int | None, typer.Option("--channels", help="channels of the input, where none is there to be opened")
    ] = None,
    replacing: StackOptions = StackOptions(),
) -> None:
    """Check configurations, or a model alone, without running them; all errors are shown at once.

    The first sixteen inputs are opened, and the stack is built for them: files that are broken and weights
    that do not fit are found here. A model is captured: whether it streams, and what it holds to the end.
    """
    problems = []
    overrides = replacing.overrides()
    named: list[str | None] = [*configs] if configs else [None]
    for config in named:
        try:
            loaded = _loaded(config, replacing, overrides, input, output)
            _check(loaded, config or str(replacing.model), channels)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))


def _loaded(
    config: str | None, replacing: StackOptions, overrides: list[str], input: str | None, output: str | None
) -> RunConfig:
    from mediaconv.config import load_config

    name = replacing.subject("validate", config)
    if config is not None:
        return load_config(Path(config), overrides=overrides, input=input, output=output)
    from mediaconv.guide.stack_only import load_model_only

    return load_model_only(name, overrides=overrides, input=input, output=output)


def _check(checked: RunConfig, config: str, channels: int | None) -> None:
    from mediaconv.guide.stack_only import NO_INPUT
    from mediaconv.run.jobs.rehearsal import rehearse

    alone = checked.input == NO_INPUT
    try:
        rehearsed = rehearse(checked, channels=channels, alone=alone)
        if alone and rehearsed.channels is None:
            raise UsageError("channels: the model does not state how many it takes; give --channels")
    except UsageError as error:
        raise UsageError(
            "\n".join(_placed(line, checked, config) for line in str(error).splitlines())
        ) from error
    layers = counted(len(checked.stack), "layer")
    both = ", {} -> {} channels".format(*rehearsed.channels) if rehearsed.channels else ""
    print(f"{config}: valid ({checked.pipeline}, {layers}{both})")
    for fault in rehearsed.faults:
        print(f"{config}: an input would fail: {fault}")
    for note in rehearsed.notes:
        print(f"{config}: note: {note}")
    for text in rehearsed.unchecked:
        print(f"{config}: not checked: {text}")


def _placed(line: str, config: RunConfig, name: str) -> str:
    if line.startswith("- "):  # one of several reasons, below the line that it belongs to
        return line
    placed = config.placed(line)
    known = placed.startswith((f"{name}:", f"--model {name}: "))
    return placed if known else f"{name}: {placed}"


def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    import json

    from mediaconv.config import config_schema

    print(json.dumps(config_schema(), indent=2))
