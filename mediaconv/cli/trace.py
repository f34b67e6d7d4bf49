"""`mediaconv trace`: the stack of a configuration layer by layer."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    JsonOption,
    StackOptions,
)


def trace(
    config: ConfigArgument = None,
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", help="a media file, or a folder's first, whose shape the stack gets"),
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--shape", metavar="C,N,...", help="channels and lengths: 3,16,64,64")
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="N", help="the size formula of one layer, with numbers")
    ] = None,
    json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print a Markdown table")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="every column, however wide the terminal is")] = False,
    replacing: StackOptions = StackOptions(),
) -> None:
    """Show every layer: shapes, parameters, multiply-adds, receptive field, latency, memory."""
    import json as writer

    from mediaconv.cli.waiting import waiting

    sizes = None if shape is None else _sizes(shape)
    axes = None if sizes is None else len(sizes) - 1
    loaded = replacing.load_stack("trace", config, input=input, axes=axes)
    from mediaconv.front import trace as traced
    from mediaconv.nn.summary import trace_table
    from mediaconv.nn.summary.size_formula import explain as explained

    with waiting("tracing"):
        made = traced(loaded, sizes, input=input)
    if explain is not None:
        print(explained(made.layer(explain), made.axes), end="")
    elif json:
        print(writer.dumps(trace_table.trace_json(made), indent=2, allow_nan=False))
    elif markdown:
        print(trace_table.trace_markdown(made), end="")
    else:
        columns = None if wide else shutil.get_terminal_size((80, 24)).columns
        print(trace_table.trace_text(made, width=columns), end="")


def _sizes(shape: str) -> list[int]:
    """The numbers of `3,16,64,64`. Raises UsageError."""
    from mediaconv.errors import UsageError

    try:
        return [int(part) for part in shape.split(",")]
    except ValueError:
        raise UsageError(f"shape: got {shape!r}, expected channels and lengths, such as 3,16,64,64") from None
