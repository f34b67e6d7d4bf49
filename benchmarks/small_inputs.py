"""Small images and clips that benches read, and a configuration for any kind of input."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np

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
