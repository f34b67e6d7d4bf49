"""`mediaconv receptive`: the receptive field of a configuration's stack, measured and by formula."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    ConfigArgument,
    JsonOption,
    OverwriteOption,
    StackOptions,
)
from mediaconv.cli.waiting import waiting

if TYPE_CHECKING:
    from mediaconv.nn.summary.receptive_field import Cone
    from mediaconv.pipeline import Pipeline


def receptive(
    config: ConfigArgument = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", help="a media file, or a folder's first: told in its seconds, frames and pixels"
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="a picture of the cone: .svg or .png")
    ] = None,
    channels: Annotated[int | None, typer.Option("--channels", help="channels of the input")] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="also after each layer and each operation of a model, by formula")
    ] = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    replacing: StackOptions = StackOptions(),
) -> None:
    """Measure the receptive field by gradient, beside the formula's numbers; more than these is an error."""
    import json as writer

    from mediaconv.errors import UsageError
    from mediaconv.filesystem import check_made

    if input is not None and channels is not None:
        raise UsageError("receptive: got an input and channels, expected one of them: the file has its own")
    if output is not None:
        check_made(Path(output), overwrite=overwrite)
    loaded = replacing.load_stack("receptive", config, input=input)
    from mediaconv.draw.receptive.cone import cone_scene
    from mediaconv.draw.receptive.file_reach import FileReach
    from mediaconv.draw.scene.figure import Figure
    from mediaconv.draw.subject import fitted, subject
    from mediaconv.nn.summary.receptive_field import receptive as measured
    from mediaconv.pipeline import find

    pipeline = find(loaded.pipeline)
    found = None if input is None else fitted(loaded, Path(input))
    made = found or subject(loaded, channels=channels)
    with waiting("measuring"):
        cones = measured(made.stack, axes=pipeline.axes, channels=made.channels)
    if output is not None:
        Figure(
            cone_scene(cones), label=f"receptive field of {Path(replacing.subject('receptive', config)).name}"
        ).save(output, overwrite=overwrite)
    rows = _after_each(made.stack, pipeline, made.channels) if layers else []
    reaches = [None if found is None else FileReach.of(found, pipeline, cone) for cone in cones]
    if json:
        axes = [
            _axis(cone) | ({"input": reach.facts()} if reach else {})
            for cone, reach in zip(cones, reaches, strict=True)
        ]
        print(writer.dumps({"axes": axes, "layers": rows} if layers else axes, indent=2, allow_nan=False))
        return
    for cone, reach in zip(cones, reaches, strict=True):
        print(f"{cone.axis}: {_verdict(cone)}; stride {cone.stride:g}")
        if reach is not None:
            print(f"  {reach.words()}")
    for line in _lines(rows):
        print(line)
    if output is not None:
        print(output)


def _verdict(cone: Cone) -> str:
    """Both methods in words: they agree, the formula is a bound, or it stands alone."""
    from mediaconv.draw.receptive.cone import reach_in_words

    if cone.measured is None:
        return f"{reach_in_words(cone.formula)}, by formula; too large to be measured"
    if cone.measured == cone.formula:
        return f"{reach_in_words(cone.measured)}, measured and by formula"
    return f"{reach_in_words(cone.measured)}, measured; by formula at most {reach_in_words(cone.formula)}"


def _axis(cone: Cone) -> dict[str, Any]:
    pairs = {"formula": cone.formula, "measured": cone.measured}
    numbers = {
        name: reach and {key: None if math.isinf(n) else int(n) for key, n in vars(reach).items()}
        for name, reach in pairs.items()
    }
    return {"axis": cone.axis, "stride": cone.stride, **numbers}


def _after_each(stack: Any, pipeline: Pipeline, channels: int) -> list[dict[str, Any]]:
    """What an output has read of the input by each layer, and by each operation of a captured model."""
    from mediaconv.nn.summary.fitting_length import fitting_length
    from mediaconv.nn.summary.trace import trace
    from mediaconv.nn.summary.trace_table import trace_json

    lengths = enumerate(pipeline.typical_input().shape)
    sizes = [fitting_length(stack, axis, n or 1) for axis, n in lengths]
    told = trace_json(trace(stack, (channels, *sizes), axes=pipeline.axes))["layers"]
    return [
        {key: row[key] for key in ("name", "layer", "receptive_field", "stride", "latency")} for row in told
    ]


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each, at most 80 characters, the end of long names kept."""
    out = []
    for row in rows:
        sizes = "×".join("all" if n is None else str(n) for n in row["receptive_field"])
        strides = "×".join(f"{n:g}" for n in row["stride"])
        latency = "all" if row["latency"] is None else row["latency"]
        end = f": {sizes}, stride {strides}, look-ahead {latency}"
        name = f"{row['name']} {row['layer']}".strip()
        most = max(8, 78 - len(end))
        out.append(f"  {name if len(name) <= most else '…' + name[1 - most :]}{end}")
    return out
