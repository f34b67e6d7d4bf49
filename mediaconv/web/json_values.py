"""Strict JSON and CSV cells: a number that is not finite is null, everything else is plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The value as what JSON knows: NaN and infinity become None, dataclasses and mappings dictionaries.

    >>> plain({"psnr": float("inf"), "shape": (3, np.int64(4)), "rate": Fraction(3, 2)})
    {'psnr': None, 'shape': [3, 4], 'rate': 1.5}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating | Fraction):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """Strict JSON text, names of any script as they are."""
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)
