"""An exported step as files: `.onnx` or `.pt2`, and a `.json` beside it that says how to run it.

A file is checked by its own runtime before it is put in its place. What the step computes is in `step`.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError
from mediaconv.nn.export.step import Step, StepInfo, run_step

OPSET = 18
TOLERANCE = 1e-5
"""Largest difference to the call on the whole, relative to its largest value: sums run in other orders."""

Runner = Callable[..., list[Tensor]]


def write_step(
    step: Step, path: Path | str, module: nn.Module, *, metadata: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write an exported step and run the file against the module on the whole; keep it if they are equal.

    path: ends in `.onnx` or `.pt2`; `NAME.json` is written beside it. module: what the step was made of.
    metadata: further facts for the JSON file and ONNX's own properties.
    Returns what was written to the JSON file. Raises UsageError for another suffix, where onnxruntime is
    missing, and where the file's outputs differ by more than 1e-5 of the largest; then nothing is written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise UsageError(f"{path}: got {path.suffix or 'no suffix'!r}, expected one of {', '.join(WRITERS)}")
    facts = describe(step.info) | dict(metadata or {})
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        WRITERS[path.suffix](step, part, facts)
        difference = check(RUNNERS[path.suffix](part, step.info), step, module)
        if not difference <= TOLERANCE:
            raise UsageError(
                f"{path}: not written: the exported step differs from the stack by {difference:.2g} of its "
                f"largest value, at most {TOLERANCE} is allowed"
            )
        facts["largest_difference"] = difference
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def describe(info: StepInfo) -> dict[str, Any]:
    """A step's facts as plain values, with the inputs and outputs in order."""
    names = list(info.state)
    return {
        **asdict(info),
        "inputs": ["chunk", *names],
        "outputs_in_order": ["outputs", *(f"{name}.next" for name in names)],
        "flush": "set clock.length to the input's length, then feed zeros until all outputs have come",
    }


def check(run: Runner, step: Step, module: nn.Module, *, lengths: tuple[int, ...] = (1, 3)) -> float:
    """Largest relative difference between a file's outputs and the module's, over random inputs.

    lengths: of the inputs, in chunks; a half is added, so that the end falls inside of one.
    """
    info, worst = step.info, 0.0
    generator = torch.Generator().manual_seed(0)
    for chunks in lengths:
        length = chunks * info.chunk + info.chunk // 2 + info.receptive_field
        shape = (*info.shape[:2], length, *info.shape[3:])
        x = torch.randn(shape, generator=generator)
        with torch.no_grad():
            whole = module(x)
            y = run_step(run, info, step.start(), x, whole.shape[2])
        largest = float(whole.abs().max()) if whole.numel() else 0.0
        if largest:
            worst = max(worst, float((y - whole).abs().max()) / largest)
    return worst


def _write_onnx(step: Step, path: Path, facts: Mapping[str, Any]) -> None:
    try:
        import onnx
    except ImportError as error:
        raise UsageError(f"{path.suffix}: needs the package onnx: pip install 'mediaconv[onnx]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's age: torch's other one takes ten times as long
        torch.onnx.export(
            step.eval(),
            (torch.zeros(step.info.shape), *step.start()),
            str(path),
            input_names=facts["inputs"],
            output_names=facts["outputs_in_order"],
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    onnx.save(model, str(path))


def _run_onnx(path: Path, info: StepInfo) -> Runner:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"{path.suffix}: needs onnxruntime: pip install 'mediaconv[onnx]'") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names, taken = ["chunk", *info.state], {entry.name for entry in session.get_inputs()}

    def run(*tensors: Tensor) -> list[Tensor]:
        feed = {n: t.numpy() for n, t in zip(names, tensors, strict=True) if n in taken}
        return [torch.from_numpy(value) for value in session.run(None, feed)]

    return run


def _write_pt2(step: Step, path: Path, facts: Mapping[str, Any]) -> None:
    with torch.no_grad():
        program = torch.export.export(step.eval(), (torch.zeros(step.info.shape), *step.start()))
    torch.export.save(program, path, extra_files={"step.json": json.dumps(facts)})


def _run_pt2(path: Path, info: StepInfo) -> Runner:
    module = torch.export.load(path).module()
    return lambda *tensors: list(module(*tensors))


Writer = Callable[[Step, Path, Mapping[str, Any]], None]
WRITERS: dict[str, Writer] = {
    ".onnx": _write_onnx,
    ".pt2": _write_pt2,
}
RUNNERS: dict[str, Callable[[Path, StepInfo], Runner]] = {".onnx": _run_onnx, ".pt2": _run_pt2}
