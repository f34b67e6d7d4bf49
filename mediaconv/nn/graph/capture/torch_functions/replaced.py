"""Attributes of torch's modules and classes that are others for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ABSENT = object()


@contextmanager
def replaced(owner: Any, **others: Any) -> Iterator[None]:
    """While it is open, a module or class has these attributes; then those that it had, or none."""
    own = {name: vars(owner).get(name, _ABSENT) for name in others}
    for name, other in others.items():
        setattr(owner, name, other)
    try:
        yield
    finally:
        for name, value in own.items():
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
