"""`mediaconv export`: the exact streaming step of a configuration's stack as an ONNX or .pt2 file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    JsonOption,
    OverwriteOption,
    StackOptions,
    tell,
)
from mediaconv.counted import counted


def export(
    config: ConfigArgument = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="the file to write: .onnx or .pt2")],
    chunk: Annotated[
        int | None, typer.Option("--chunk", help="steps of a chunk: samples, rows or frames", min=1)
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="of frames; the width of images")
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="a file whose channels, rate and size the stack gets"),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="the call on the whole, of any length, instead of the step")
    ] = False,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="with the normalizer and the rounding to stored samples")
    ] = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    replacing: StackOptions = StackOptions(),
) -> None:
    """Write the stack's streaming step as one function: a chunk and the state in, outputs and the state out.

    The file is run against the stack before it is kept. FILE.json beside it tells how to use it.
    """
    import json as writer
    import sys

    from mediaconv.errors import UsageError
    from mediaconv.front.configured import placing
    from mediaconv.front.exporting import ExportOptions, export_configuration, told_of

    if chunk is None and not whole:
        raise UsageError("chunk: give --chunk, the steps (samples, rows or frames) that every call takes")
    loaded = replacing.load_stack("export", config, input=None if input is None else str(input))
    replaced = told_of(output)
    options = ExportOptions(chunk or 16, size, input, whole, normalize, overwrite)
    with placing(loaded):
        facts = export_configuration(loaded, output, options)
    if replaced:
        print(
            f"note: {output.with_suffix('.json')} told of {replaced}, whose own metadata says the same",
            file=sys.stderr,
        )
    if json:
        tell(writer.dumps(facts, indent=2))
        return
    made = "the call on the whole, of any length"
    if not whole:
        taken = counted(facts["chunk"], "step")
        made = f"{taken} in, {facts['outputs']} out; skip the first {facts['skip']}"
    difference = facts["checked"]["largest_difference"]
    tell(f"{output}: {made}\nequal to the stack within {difference:.1g}; {output.with_suffix('.json')}")
