"""What the machine, or a container's share of it, has. No torch."""

from __future__ import annotations

import functools
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def control_group(name: str) -> float | None:
    """A control group's figure: cores for `cpu.max`, else bytes; None where there is no limit."""
    try:
        words = (CGROUP / name).read_text().split()
        if words[0] == "max":
            return None
        return float(words[0]) / float(words[1]) if len(words) > 1 else float(words[0])
    except (OSError, ValueError, IndexError):
        return None


@functools.cache
def memory_bytes() -> int:
    """Memory that the machine has, or of which a container may take its share; asked once, for every file
    is held to it."""
    total = psutil.virtual_memory().total
    return int(min(total, control_group("memory.max") or total))
