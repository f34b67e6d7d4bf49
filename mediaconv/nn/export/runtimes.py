"""A module as the bytes of an `.onnx` or `.pt2` file, and that file run by its own runtime.

Opens no files that a user named. What is exported, and whether it is right, is not known here.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError
from mediaconv.nn.export.to_onnx import OPSET, first_line, onnx_model


class Exported(Protocol):
    """A module exported for one runtime. versions: of what wrote it and ran it."""

    versions: dict[str, str]

    def run(self, *tensors: Tensor) -> list[Tensor]:
        """The file's outputs, by its own runtime."""

    def data(self, facts: Mapping[str, Any]) -> bytes:
        """The file, with facts as its metadata."""


class OnnxFile:
    """An ONNX file of opset 18 and the session of onnxruntime that runs it.

    inputs, outputs: names in order. free: the input's dimension of which every length is taken, or None.
    Raises UsageError where a package is missing, or an operation has no form in ONNX, with torch's reason.
    """

    def __init__(
        self,
        module: nn.Module,
        arguments: Sequence[Tensor],
        inputs: Sequence[str],
        outputs: Sequence[str],
        free: int | None = None,
    ) -> None:
        try:
            import onnx
            import onnxruntime

            self._model = onnx_model(module, tuple(arguments), inputs, outputs, free)
        except ImportError as error:
            raise UsageError(
                f".onnx: needs the package {error.name}: pip install 'mediaconv[onnx]'"
            ) from error
        self.versions: dict[str, str] = {
            "opset": str(OPSET), "torch": str(torch.__version__), "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        }  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                self._model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class for each kind, of no common base
            raise UsageError(f".onnx: onnxruntime: {first_line(error)}; .pt2 may hold it") from error
        self._inputs = list(inputs)
        self._taken = {entry.name for entry in self._session.get_inputs()}

    def run(self, *tensors: Tensor) -> list[Tensor]:
        """See Exported."""
        pairs = zip(self._inputs, tensors, strict=True)
        feed = {name: t.numpy() for name, t in pairs if name in self._taken}
        return [torch.from_numpy(value) for value in self._session.run(None, feed)]

    def data(self, facts: Mapping[str, Any]) -> bytes:
        """See Exported: facts become properties, all but texts as JSON."""
        for key, value in facts.items():
            entry = self._model.metadata_props.add()
            text = value if isinstance(value, str) else json.dumps(value)
            entry.key, entry.value = key, text.encode(errors="backslashreplace").decode()
        return self._model.SerializeToString()


class Pt2File:
    """A file of torch.export and the program that torch loads from it. Arguments as `OnnxFile`."""

    def __init__(
        self,
        module: nn.Module,
        arguments: Sequence[Tensor],
        inputs: Sequence[str],
        outputs: Sequence[str],
        free: int | None = None,
    ) -> None:
        self.versions: dict[str, str] = {"torch": str(torch.__version__)}
        shapes = None
        if free is not None:
            shapes = ({free: torch.export.Dim.DYNAMIC}, *(None for _ in arguments[1:]))
        try:
            with torch.no_grad():
                self._program = torch.export.export(module, tuple(arguments), dynamic_shapes=shapes)
            self._module = self._loaded()
        except Exception as error:  # torch.export raises errors of many kinds
            other = "" if free is None else "; .onnx may hold it"
            raise UsageError(f".pt2: torch.export: {first_line(error)}{other}") from error

    def _loaded(self) -> nn.Module:
        weights = self._program.state_dict
        for name, value in weights.items():  # else a state would hold the graph of all steps before
            if isinstance(value, nn.Parameter):
                weights[name] = nn.Parameter(value.detach(), requires_grad=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of memory that is not written
            return torch.export.load(io.BytesIO(self.data({}))).module()

    def run(self, *tensors: Tensor) -> list[Tensor]:
        """See Exported."""
        outputs = self._module(*tensors)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)

    def data(self, facts: Mapping[str, Any]) -> bytes:
        """See Exported: facts become the archive's extra file `step.json`."""
        file = io.BytesIO()
        torch.export.save(self._program, file, extra_files={"step.json": json.dumps(facts)})
        return file.getvalue()


RUNTIMES: dict[str, type[OnnxFile] | type[Pt2File]] = {".onnx": OnnxFile, ".pt2": Pt2File}
