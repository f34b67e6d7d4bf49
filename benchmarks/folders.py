"""Folders: 500 small images and 50 short clips beside a plain loop, and what a file costs.

python -m benchmarks.folders
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.film import ROOT
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import DIFFERENCES, UNTOLD, further, in_turn, least_of
from benchmarks.table import Table
from benchmarks.timed_program import to_new_folder

IMAGES, CLIPS = 500, 50
SIDE, CLIP_SECONDS, CLIP_SIZE = 64, 1, "160x120"
CHANNELS = 4
CONFIG = """
pipeline: {pipeline}
input: {source}
output: {output}
stack:
  - conv: {{out_channels: 4, kernel_size: 3}}
"""


def make_images(folder: Path, count: int) -> None:
    """Colour images of noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        cv2.imwrite(f"{folder}/{i:05}.png", rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))


def make_clips(folder: Path, count: int) -> None:
    """One short film, many times."""
    folder.mkdir(parents=True)
    first = folder / "00000.mp4"
    source = f"testsrc2=size={CLIP_SIZE}:rate=25:duration={CLIP_SECONDS}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
    subprocess.run([*command, str(first)], check=True)
    for i in range(1, count):
        os.link(first, folder / f"{i:05}.mp4")


def throughput(folder: Path, pipeline: str, make: Callable[[Path, int], None], count: int) -> list[list[str]]:
    """Files a second of a plain loop and of the program with one and two workers; what the start costs."""
    few = count // 10
    for name, files in (("many", count), ("few", few)):
        make(folder / name, files)
        text = CONFIG.format(pipeline=pipeline, source=folder / name, output=folder / "unused")
        (folder / f"{name}.yaml").write_text(text)
    run = [sys.executable, "-m", "mediaconv", "run", "--quiet"]
    options = {
        "short": ["few.yaml", "--workers", "1"],
        "`mediaconv run`, 1 worker": ["many.yaml", "--workers", "1"],
        "`mediaconv run`, 2 workers": ["many.yaml", "--workers", "2"],
        "`mediaconv run`, auto": ["many.yaml"],
    }
    acts = [
        to_new_folder(folder / f"out_{i}", *run, str(folder / config), *more, "--output")
        for i, (config, *more) in enumerate(options.values())
    ]
    plain = [sys.executable, str(ROOT / "benchmarks/plain_folder.py"), str(folder / "many")]
    acts[0]()  # compiles its loops, once per machine
    short, *runs, loops = in_turn(*acts, to_new_folder(folder / "plain", *plain), turns=DIFFERENCES)
    labels = ["plain script, a loop", *list(options)[1:]]
    work, rows = f"{count} {pipeline}s", []
    for label, column in zip(labels, [loops, *runs], strict=True):
        seconds = least_of(column).clock / 1000
        rows.append([work, label, f"{seconds:.1f}", f"{count / seconds:.0f}"])
    rows.append([work, f"the start and {few} files, 1 worker", f"{least_of(short).clock / 1000:.1f}", ""])
    each = further(short, runs[0], count - few).clock / 1000
    rows.append([work, "each further file, 1 worker", UNTOLD if math.isnan(each) else f"{each:.4f}", ""])
    return rows


def measure() -> list[Table]:
    """The table of this benchmark."""
    rows: list[list[str]] = []
    for pipeline, make, count in (("image", make_images, IMAGES), ("video", make_clips, CLIPS)):
        with fresh_folder() as folder:
            rows += throughput(folder, pipeline, make, count)
    note = (
        f"Images of {SIDE}x{SIDE}, clips of {CLIP_SIZE} and {CLIP_SECONDS} s, 3 channels to {CHANNELS}, "
        "kernel 3, to new folders; the least of several runs in turn by the clock, of each further file the "
        "median difference. Ours also hashes, verifies and syncs every file, and can be killed at any moment."
    )
    return [Table("Folders of small files.", note, ["", "", "seconds", "files a second"], rows)]


if __name__ == "__main__":
    for table in measure():
        print(table.markdown())
