"""Makes the README's own pictures: own_stack.gif and lightning.png, the example's film, causal and standard.

python docs/tools/readme_pictures.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from mediaconv.media.video.reader import VideoReader

ROOT = Path(__file__).parents[2]
FRAMES = (14, 16, 18, 20, 22, 24)
CHANNEL = 1
LIGHTNING = 20
LOOK_AHEAD = 4
OWN_STACK = """
pipeline: audio
causal: true
stack:
  - conv: {out_channels: 1, kernel_size: 3, dilation: 2}
"""


def frames_of(path: Path, color: str) -> np.ndarray:
    """All frames, (T, H, W, C)."""
    with VideoReader(path, color=color) as reader:
        return np.concatenate([part.data for part in reader.chunks(64)])


def mediaconv(*words: str) -> None:
    """Run the command in the project's folder."""
    subprocess.run([sys.executable, "-m", "mediaconv", *words], cwd=ROOT, check=True)


def draw_own_stack() -> None:
    """The README's animation, by the command that stands under it."""
    title = "conv, kernel 3, dilation 2: causal beside standard"
    picture = str(ROOT / "docs/images/own_stack.gif")
    with tempfile.TemporaryDirectory() as folder:
        mine = Path(folder, "mine.yaml")
        mine.write_text(OWN_STACK)
        mediaconv(
            "animate", str(mine), "--beside", "standard", "-o", picture, "--title", title, "--overwrite"
        )


def draw_lightning() -> None:
    """Run both configurations and lay their frames out, a row each."""
    rows = [("input", frames_of(ROOT / "data/video/lightning.mp4", "rgb"))]
    with tempfile.TemporaryDirectory() as folder:
        for form in ("causal", "standard"):
            mediaconv("run", f"configs/video_{form}.yaml", "--output", f"{folder}/{form}")
            film = Path(folder, form, "lightning.mp4", f"channel_{CHANNEL}.mp4")
            rows.append((form, frames_of(film, "gray")))
    figure, axes = plt.subplots(len(rows), len(FRAMES), figsize=(12, 3.9), dpi=100)
    for row, (name, film) in zip(axes, rows, strict=True):
        row[0].set_ylabel(name, fontsize=12)
        for axis, frame in zip(row, FRAMES, strict=True):
            axis.imshow(film[frame].squeeze(), cmap="gray", vmin=0, vmax=255)
            axis.set_xticks([])
            axis.set_yticks([])
            early = name == "standard" and LIGHTNING - LOOK_AHEAD <= frame < LIGHTNING
            for spine in axis.spines.values():
                spine.set_color("#d55e00" if early else "#888888")
                spine.set_linewidth(2.5 if early else 0.5)
    for axis, frame in zip(axes[0], FRAMES, strict=True):
        axis.set_title(f"frame {frame}" + (" (strike)" if frame == LIGHTNING else ""), fontsize=11)
    figure.subplots_adjust(left=0.03, right=0.995, top=0.93, bottom=0.01, wspace=0.03, hspace=0.03)
    figure.savefig(ROOT / "docs/images/lightning.png", metadata={"Software": None})


if __name__ == "__main__":
    draw_own_stack()
    draw_lightning()
