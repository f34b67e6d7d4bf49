"""Folders: 500 small images and 50 short clips beside a plain loop, and what a file costs.

python -m benchmarks.folders
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.film import ROOT, cost
from benchmarks.table import Table
from mediaconv.config import RunConfig, parse_config
from mediaconv.run.jobs.identity import run_identity, versions
from mediaconv.run.resume.manifest import Manifest
from mediaconv.run.resume.rows import DONE, Row

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


def finished_tree(folder: Path, count: int) -> RunConfig:
    """A folder of `count` inputs, its finished outputs and their manifest; its configuration."""
    source, output = folder / "many", folder / "many_out"
    text = CONFIG.format(pipeline="image", source=source, output=output)
    config = parse_config(text)
    common, known = run_identity(config), versions()
    output.mkdir()
    with Manifest(output) as manifest:
        for i in range(count):
            name = f"{i // 1000:03}/{i:06}.png"
            path, target = source / name, output / name
            if i % 1000 == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
                (output / name).parent.mkdir()
            path.write_bytes(b"input")
            target.mkdir()
            files = []
            for c in range(CHANNELS):
                file = target / f"channel_{c}.png"
                file.write_bytes(b"output")
                written = {"bytes": 6, "sha256": "0" * 64, "time": file.stat().st_mtime_ns}
                files.append({"path": f"{name}/{file.name}", **written})
            identity = {**common, "size": 5, "time": path.stat().st_mtime_ns, "sha256": "0" * 64}
            row = Row(
                name,
                DONE,
                files,
                seconds=0.002,
                input_shape=[3, SIDE, SIDE],
                output_shape=[CHANNELS, SIDE, SIDE],
                identity=identity,
                versions=known,
                place="process 4321",
            )
            manifest.add(row)
    return config


def throughput(folder: Path, pipeline: str, source: Path, count: int) -> list[list[str]]:
    """Files a second of a plain loop and of the program with one and two workers; what the start costs."""
    plain = [sys.executable, str(ROOT / "benchmarks/plain_folder.py"), str(source), str(folder / "plain")]
    seconds = {"plain script, a loop": cost(plain).seconds}
    config = folder / f"{pipeline}.yaml"
    config.write_text(CONFIG.format(pipeline=pipeline, source=source, output=folder / f"{pipeline}_out"))
    run = [sys.executable, "-m", "mediaconv.cli.main", "run", str(config), "--overwrite", "--quiet"]
    cost([*run, "--workers", "1", "--include", "00000*"])  # compiles its loops, once per machine
    for label, options in (("1 worker", ["--workers", "1"]), ("2 workers", ["--workers", "2"]), ("auto", [])):
        seconds[f"`mediaconv run`, {label}"] = cost([*run, *options]).seconds
    alone = cost([*run, "--workers", "1", "--include", "00000*"]).seconds
    first = seconds["`mediaconv run`, 1 worker"]
    rows = [
        [f"{count} {pipeline}s", label, f"{spent:.1f}", f"{count / spent:.0f}"]
        for label, spent in seconds.items()
    ]
    each = (first - alone) / (count - 1) * 1000
    rows.append([f"{count} {pipeline}s", "of it, the start and one file", f"{alone:.1f}", ""])
    rows.append([f"{count} {pipeline}s", "each further file, 1 worker", f"{each / 1000:.4f}", ""])
    return rows


def measure() -> list[Table]:
    """The table of this benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "images", IMAGES)
        make_clips(folder / "clips", CLIPS)
        rows = throughput(folder, "image", folder / "images", IMAGES)
        rows += throughput(folder, "video", folder / "clips", CLIPS)
    note = (
        f"Images of {SIDE}x{SIDE}, clips of {CLIP_SIZE} and {CLIP_SECONDS} s, 3 channels to {CHANNELS}, "
        "kernel 3. Ours also hashes, verifies and syncs every file, and can be killed at any moment."
    )
    return [Table("Folders of small files.", note, ["", "", "seconds", "files a second"], rows)]


if __name__ == "__main__":
    for table in measure():
        print(table.markdown())
