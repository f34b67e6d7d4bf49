"""`mediaconv trace`: the stack of a configuration layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import ConfigArgument, DebugOption, JsonOption, SetOption

if TYPE_CHECKING:
    from torch import nn

    from mediaconv.config import RunConfig


def trace(
    config: ConfigArgument,
    input: Annotated[
        str | None, typer.Option("--input", "-i", help="a media file whose shape the stack gets")
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--shape", metavar="C,N,...", help="channels and lengths: 3,16,64,64")
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="N", help="the size formula of one layer, with numbers")
    ] = None,
    json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print a Markdown table")] = False,
    set: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Show every layer: shapes, parameters, multiply-adds, receptive field, latency, memory."""
    import json as writer

    from mediaconv.config import load_config
    from mediaconv.nn.summary import trace_table
    from mediaconv.nn.summary.size_formula import explain as explained
    from mediaconv.nn.summary.trace import trace as traced
    from mediaconv.pipeline import find

    loaded = load_config(Path(config), overrides=set or [])
    stack, sizes = _stack_and_shape(loaded, input, shape)
    made = traced(stack, sizes, axes=find(loaded.pipeline).axes)
    if explain is not None:
        print(explained(made.layer(explain), made.axes), end="")
    elif json:
        print(writer.dumps(trace_table.trace_json(made), indent=2, allow_nan=False))
    elif markdown:
        print(trace_table.trace_markdown(made), end="")
    else:
        print(trace_table.trace_text(made), end="")


def _stack_and_shape(config: RunConfig, input: str | None, shape: str | None) -> tuple[nn.Module, list[int]]:
    from mediaconv.draw.subject import DEFAULT_LENGTHS, shape_of, subject
    from mediaconv.errors import UsageError
    from mediaconv.pipeline import find

    axes = find(config.pipeline).axes
    if input is not None and shape is not None:
        raise UsageError("trace: got --input and --shape, expected one of them")
    if input is not None:
        return shape_of(config, Path(input))
    if shape is None:
        made = subject(config)
        return made.stack, [made.channels, *DEFAULT_LENGTHS[len(axes)]]
    try:
        sizes = [int(part) for part in shape.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) != 1 + len(axes) or min(sizes) < 1:
        raise UsageError(
            f"shape: got {shape!r}, expected channels and {', '.join(axes)}, such as "
            f"{','.join(map(str, [3, *DEFAULT_LENGTHS[len(axes)]]))}"
        )
    return subject(config, channels=sizes[0]).stack, sizes
