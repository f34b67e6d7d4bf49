"""What installed packages offer under entry points, all groups read once: some hundred packages take a
hundredth of a second each time they are looked through. Loads nothing of theirs.
"""

from __future__ import annotations

import functools
import os
import sys
from importlib.metadata import EntryPoints, entry_points
from typing import Any

Seen = tuple[tuple[str, int | None], ...]


def installed(group: str) -> EntryPoints:
    """The entry points of a group: those of now, also where a package was installed meanwhile."""
    found: EntryPoints = _all(_seen()).select(group=group)
    return found


def _seen() -> Seen:
    """Where packages are looked for, with the time of the last change there; None where there is nothing."""
    return tuple((path, _time(path or ".")) for path in sys.path)


def _time(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


@functools.lru_cache(maxsize=1)
def _all(seen: Seen) -> Any:
    """All of them, of a type that differs among Pythons. seen: what they follow from."""
    return entry_points()
