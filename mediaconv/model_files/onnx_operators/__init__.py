"""ONNX operators as torch operations, one module a family. An operator that is in none is not read."""

from mediaconv.model_files.onnx_operators import (  # noqa: F401 - each fills OPERATORS
    elementwise,
    norms,
    quantized,
    rearrange,
    reductions,
    resize,
    shapes,
    windows,
)
from mediaconv.model_files.onnx_operators.node import OPERATORS, Node
from mediaconv.model_files.onnx_operators.recurrences import loop_operators, recurrent, sequences  # noqa: F401

__all__ = ["OPERATORS", "Node"]
