"""`mediaconv export`: the exact streaming step of a configuration's stack as an ONNX or .pt2 file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    CausalOption,
    ConfigArgument,
    DebugOption,
    JsonOption,
    SetOption,
    causal_override,
)

if TYPE_CHECKING:
    from mediaconv.config import RunConfig
    from mediaconv.pipeline import Pipeline, SourceInfo


def export(
    config: ConfigArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="the file to write: .onnx or .pt2")],
    chunk: Annotated[int, typer.Option("--chunk", help="steps of a chunk: samples, rows or frames", min=1)],
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="of frames; the width of images")
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="a file whose channels, rate and size the stack gets"),
    ] = None,
    json: JsonOption = False,
    causal: CausalOption = None,
    set: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Write the stack's streaming step as one function: a chunk and the state in, outputs and the state out.

    The file is run against the stack before it is kept. FILE.json beside it tells how to use it.
    """
    import json as writer

    from mediaconv.front.configured import placing
    from mediaconv.guide.stack_only import load_stack_only
    from mediaconv.pipeline import find

    overrides = [*(set or []), *causal_override(causal)]
    loaded = load_stack_only(Path(config), overrides=overrides, input=None if input is None else str(input))
    pipeline = find(loaded.pipeline)
    with placing(loaded):
        info = _input_info(loaded, pipeline, input)
        facts = _write(loaded, pipeline, info, output, chunk, _frame(pipeline, info, size))
    if json:
        print(writer.dumps(facts, indent=2))
    else:
        print(f"{output}: {facts['chunk']} steps in, {facts['outputs']} out; skip the first {facts['skip']}")
        print(f"equal to the stack within {facts['largest_difference']:.1g}; {output.with_suffix('.json')}")


def _input_info(config: RunConfig, pipeline: Pipeline, path: Path | None) -> SourceInfo:
    """What is known of an input: of the file, of the configuration's first, or of a typical one."""
    from mediaconv.errors import UsageError
    from mediaconv.run.jobs.discover import find_inputs

    if path is None:
        try:
            inputs = find_inputs(config, pipeline).inputs
        except (OSError, UsageError):
            inputs = []
        path = Path(inputs[0]) if inputs else None
    if path is None:
        return pipeline.typical_input()
    with pipeline.open(path, config.read, config.limits) as source:
        return source.info


def _frame(pipeline: Pipeline, info: SourceInfo, size: str | None) -> list[int]:
    """Lengths of the axes after the stream axis."""
    from mediaconv.errors import UsageError

    lengths = [int(n or 1) for n in info.shape[1:]]
    if size is None:
        return lengths
    sizes = [int(n) for n in reversed(size.lower().split("x"))] if re.fullmatch(r"\d+(x\d+)?", size) else []
    if len(sizes) != len(lengths) or 0 in sizes:
        expected = " x ".join(reversed(pipeline.axes[1:])) or "none: sound has no frames"
        raise UsageError(f"size: got {size!r}, expected {expected}")
    return sizes


def _write(
    config: RunConfig, pipeline: Pipeline, info: SourceInfo, path: Path, chunk: int, frame: list[int]
) -> dict[str, Any]:
    import torch

    from mediaconv import __version__
    from mediaconv.errors import UsageError
    from mediaconv.model.binding import bind
    from mediaconv.nn.export.files import write_step
    from mediaconv.nn.export.step import export_step
    from mediaconv.run.jobs.identity import run_identity

    module = bind(config, pipeline, info).module
    try:
        step = export_step(module, torch.zeros(1, info.channels, chunk, *frame))
    except (ValueError, TypeError) as error:
        raise UsageError(f"export: {error}") from error
    rate = float(info.rate) if info.rate else None
    metadata = {
        "pipeline": config.pipeline,
        "rate_hz": rate,
        "latency_ms": 1000 * step.info.latency / rate if rate else None,
        "mediaconv": __version__,
        **run_identity(config),
    }
    return write_step(step, path, module, metadata=metadata)
