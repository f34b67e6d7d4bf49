"""Folders of small inputs, and what a run made of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np

NOT_OUTPUTS = {"manifest.jsonl", "run.yaml", ".mediaconv.lock"}
STACK = [{"conv": {"out_channels": 2, "kernel_size": 3}}]


def images(folder: Path, count: int, *, side: int = 16) -> list[Path]:
    """PNG files of noise, in folders in folders, with names in several scripts."""
    rng = np.random.default_rng(count)
    names = ["a/eins", "a/b/dos", "три", "a/四 五", "b/sechs '\""]
    found = []
    for i in range(count):
        path = folder / f"{names[i % len(names)]}{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".png", rng.integers(0, 256, (side, side, 3), np.uint8))[1]
        path.write_bytes(data.tobytes())
        found.append(path)
    return sorted(found)


def outputs(folder: Path) -> dict[str, str]:
    """sha256 of every output by its path, unfinished ones too; without the run's own three files."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in NOT_OUTPUTS
    }


def unfinished(folder: Path) -> list[str]:
    """Paths below a folder that have a part which starts with a dot and contains `.part`."""
    found = []
    for where, folders, files in os.walk(folder):
        found += [os.path.join(where, n) for n in folders + files if n.startswith(".") and ".part" in n]
    return found
