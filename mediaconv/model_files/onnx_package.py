"""The package onnx, which an extra installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mediaconv.errors import UsageError


def onnx_for(path: Path) -> Any:
    """The package, to read a file with. Raises UsageError where it is not installed."""
    try:
        import google.protobuf.message  # type: ignore[import-untyped]  # noqa: F401
        import onnx
    except ImportError:
        raise UsageError(
            f"model: {path}: reading ONNX needs the extra: pip install 'mediaconv[onnx]'"
        ) from None
    return onnx
