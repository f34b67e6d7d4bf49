"""Constants of an ONNX file as torch tensors, in its own types; sizes are limited before they are made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.errors import UsageError
from mediaconv.model_files.external_data import external_bytes
from mediaconv.model_files.onnx_operators.node import UnsupportedError

MAX_BYTES = 8 * 2**30
_KNOWN = "FLOAT FLOAT16 DOUBLE BFLOAT16 INT8 INT16 INT32 INT64 UINT8 UINT16 BOOL"


class Sizes:
    """The bytes that a file's tensors take, added up."""

    def __init__(self, path: Path) -> None:
        self.path, self._spent = path, 0

    def add(self, name: str, dims: list[int], count: int) -> None:
        """Raises UsageError past the limit."""
        self._spent += count
        if min(dims, default=0) < 0 or self._spent > MAX_BYTES:
            raise UsageError(
                f"model: {self.path}: {name}: shape {dims}: the weights exceed {MAX_BYTES >> 30} GiB"
            )


def stored_tensor(proto: Any, path: Path, sizes: Sizes) -> Tensor:
    """A tensor of the file `path`. Raises UsageError; UnsupportedError for a type that is not read."""
    from onnx import TensorProto, helper, numpy_helper

    dims = list(proto.dims)
    kinds = TensorProto.DataType
    name = kinds.Name(proto.data_type) if proto.data_type in kinds.values() else str(proto.data_type)
    if name not in _KNOWN.split():
        raise UnsupportedError(f"{proto.name}: type {name}, expected one of {_KNOWN}")
    width = 2 if name == "BFLOAT16" else helper.tensor_dtype_to_np_dtype(proto.data_type).itemsize
    count = math.prod(dims)
    sizes.add(proto.name, dims, count * width)
    if proto.data_location == TensorProto.EXTERNAL:
        raw = external_bytes(proto, count * width, path)
    elif proto.HasField("raw_data"):
        raw = proto.raw_data
    else:
        stored = {"FLOAT": proto.float_data, "DOUBLE": proto.double_data, "INT64": proto.int64_data}
        if len(stored.get(name, proto.int32_data)) != count:
            raise UsageError(f"model: {path}: {proto.name}: shape {dims} with other data")
        return _as_torch(numpy_helper.to_array(proto), name)
    if len(raw) != count * width:
        raise UsageError(
            f"model: {path}: {proto.name}: shape {dims} takes {count * width} bytes, got {len(raw)}"
        )
    if name == "BFLOAT16":
        return _as_torch(np.frombuffer(raw, dtype="<u2").reshape(dims), name)
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(proto.data_type)).newbyteorder("<")
    return _as_torch(np.frombuffer(raw, dtype=kind).reshape(dims), name)


def _as_torch(array: np.ndarray, name: str) -> Tensor:
    if name == "BFLOAT16":
        return torch.from_numpy(np.array(array.view(np.uint16)).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array.astype(array.dtype.newbyteorder("="), copy=False)))
