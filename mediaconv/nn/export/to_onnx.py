"""A module as an ONNX model, by the exporter of torch that has a form for all of its operations.

Whether the model is right is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError
from mediaconv.nn.graph.capture.quiet_export import quiet
from mediaconv.temporary_folder import temporary_folder

OPSET = 18
LARGEST = 2**31 - 1
"""Bytes of one protocol buffer."""


def onnx_model(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    free: int | None = None,
) -> Any:
    """A model of opset 18, an `onnx.ModelProto`. Arguments as `OnnxFile`. Raises UsageError, ImportError."""
    import onnx

    with temporary_folder() as folder:
        path = folder / "step.onnx"
        names: dict[str, Any] = {"input_names": list(inputs), "output_names": list(outputs)}
        try:
            with quiet(), torch.no_grad():
                _export(module, arguments, path, free, names)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # torch.onnx raises errors of many kinds
            raise UsageError(f".onnx: torch.onnx: {_reason(error)}; .pt2 may hold it") from error
        size = sum(p.stat().st_size for p in folder.iterdir())
        if size > LARGEST:
            raise UsageError(f".onnx: {size:,} bytes, at most {LARGEST:,} fit: use .pt2")
        model = onnx.load(str(path))
    for entry in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del entry.metadata_props[:]  # stack traces, with paths of this machine
    return model


def _export(
    module: nn.Module, arguments: tuple[Tensor, ...], path: Path, free: int | None, names: dict[str, Any]
) -> None:
    """The older exporter takes a tenth of the time; the newer one has a form for more operations."""
    more: dict[str, Any] = {**names, "opset_version": OPSET, "verbose": False}
    (first, *_), (result, *_) = names["input_names"], names["output_names"]
    axes = {} if free is None else {first: {free: "steps"}, result: {free: "output_steps"}}
    sizes = None if free is None else ({free: torch.export.Dim.DYNAMIC},)
    try:
        with mock.patch("torch._C._jit_onnx_log"):  # torch prints the graph whatever it is told
            torch.onnx.export(module, arguments, str(path), dynamic_axes=axes, dynamo=False, **more)
    except torch.onnx.errors.UnsupportedOperatorError:
        import onnxscript  # noqa: F401, the newer exporter needs it

        torch.onnx.export(module, arguments, str(path), dynamic_shapes=sizes, dynamo=True, **more)


def _reason(error: BaseException) -> str:
    """What the innermost error says in its first line: the newer exporter wraps it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
