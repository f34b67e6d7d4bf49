"""`mediaconv inspect`: a stack taken apart over files, as one HTML page and as PNG pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    OverwriteOption,
    QuietOption,
    StackOptions,
    telling,
)
from mediaconv.counted import counted

if TYPE_CHECKING:
    from mediaconv.config import RunConfig

INPUT_PICTURES = ("00_input_maps.png", "00_input_values.png")
"""The pictures that there are whatever the layers are."""


def inspect(
    config: ConfigArgument = None,
    input: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="FILE", help="a media file; give several for a batch"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="HTML", help="the page to write; default: inspect.html"),
    ] = None,
    png: Annotated[
        str | None, typer.Option("--png", metavar="DIR", help="write PNG pictures there too")
    ] = None,
    start: Annotated[int, typer.Option("--start", help="first frame or sample looked at")] = 0,
    frames: Annotated[
        int | None,
        typer.Option("--frames", help="frames or samples looked at; default: 24 frames, 16384 samples"),
    ] = None,
    overwrite: OverwriteOption = False,
    replacing: StackOptions = StackOptions(),
    quiet: QuietOption = False,
) -> None:
    """Show a stack from inside: kernels, feature maps, sums and values of every layer."""
    from mediaconv.errors import UsageError
    from mediaconv.filesystem import check_made

    if output is not None and Path(output).suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"output: got {output!r}, expected a file ending in .html (for pictures give --png DIR)"
        )
    page = Path(output or "inspect.html") if output is not None or png is None else None
    if page is not None:
        check_made(page, overwrite=overwrite)
    if png is not None:
        _check_folder(Path(png), overwrite=overwrite)
    checked = replacing.load_stack("inspect", config, input=input[0] if input else None)
    from mediaconv.draw.inspect import inspect_config
    from mediaconv.pipeline import find
    from mediaconv.run.jobs.discover import first_file

    pipeline = find(checked.pipeline)
    given = [first_file(checked, pipeline, Path(path)) for path in input or ()]
    paths = given or _first_input(checked)
    inspection = inspect_config(checked, paths, start=start, steps=frames)
    written = []
    if page is not None:
        written.append(str(inspection.save(page, overwrite=overwrite)))
    if png is not None:
        written.append(f"{len(inspection.save_pngs(png, overwrite=overwrite))} pictures in {png}")
    if quiet:
        return
    flags = sum(len({flag.channel for flag in node.stats.flags}) for node in inspection.nodes)
    layers = len(inspection.nodes) - 1
    with telling():
        print(f"{', '.join(written)}: {counted(layers, 'layer')}, {counted(flags, 'channel')} pointed out")
        for note in inspection.notes:
            print(f"note: {note}")


def _first_input(config: RunConfig) -> list[Path]:
    """Of those that a configuration names. Raises UsageError where there is none."""
    from mediaconv.errors import UsageError
    from mediaconv.guide.stack_only import NO_INPUT
    from mediaconv.pipeline import find
    from mediaconv.run.jobs.discover import find_inputs

    if config.input == NO_INPUT:
        raise UsageError("input: none is named; give --input FILE")
    inputs = find_inputs(config, find(config.pipeline)).inputs
    if not inputs:
        raise UsageError(f"input: {config.input} holds nothing for {config.pipeline}; give --input FILE")
    return [inputs[0]]


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder for pictures before anything is computed; names of layers follow from the stack."""
    from mediaconv.filesystem import check_made, in_the_way

    if os.path.lexists(folder) and not folder.is_dir():
        raise in_the_way(folder)
    for name in INPUT_PICTURES:
        check_made(folder / name, overwrite=overwrite)
