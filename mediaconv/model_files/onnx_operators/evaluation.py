"""What one node gives for its inputs: which of them it wants as tensors, which as numbers of a shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx.traceback import annotate

from mediaconv.model_files.onnx_operators.node import OPERATORS, Node, UnsupportedError, as_array, as_tensor


def evaluate(node: Node, find: Callable[[str], Any], device: torch.device | None = None) -> Iterable[Any]:
    """What a node gives. `find` gives a value, or a pair of a constant's tensor and its numbers."""
    if node.refused is not None:
        raise node.refused
    operator = OPERATORS[node.kind]
    values = [find(name) if name else None for name in node.inputs]
    arrays = [v[1] if isinstance(v, tuple) else v for v in values]
    pairs = list(zip(values, arrays, strict=True))
    if operator.on_shapes and all(v is None or isinstance(a, np.ndarray) for v, a in pairs):
        values = arrays
    elif not operator.as_found:
        values = [
            _wanted(node, value, array, i in operator.host or _takes_array(node, i), device)
            for i, (value, array) in enumerate(pairs)
        ]
    with told(node):
        result = operator.function(node, *values)
    results = result if isinstance(result, tuple | list) else (result,)
    return [v if isinstance(v, Tensor | list) else as_array(v) for v in results]


@contextmanager
def told(node: Node) -> Iterator[None]:
    """What torch.export makes of a node, and an error in it, names it: reasons tell of the file."""
    try:
        if torch.compiler.is_exporting():
            with annotate({"file_node": (node.kind, node.name, node.outputs[0])}):
                yield
        else:
            yield
    except UnsupportedError:
        raise
    except Exception as error:
        error.add_note(node.place)
        raise


def _wanted(node: Node, value: Any, array: Any, host: bool, device: torch.device | None) -> Any:
    if value is None or isinstance(value, list):
        return value
    if host and isinstance(array, np.ndarray):
        return array
    if host and node.kind != "Gather":
        raise node.refuse("a size, an axis or a bound is computed from the numbers of the input")
    tensor = value[0] if isinstance(value, tuple) else value
    return as_tensor(tensor, device or torch.device("cpu"), node.float_type)


def _takes_array(node: Node, position: int) -> bool:
    return node.kind == "Gather" and position == 1
