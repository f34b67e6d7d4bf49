"""Folders of small files of each kind beside a plain loop: what each further one takes, and all of them.

python -m benchmarks.small_files [wav] [jpeg] [clip]
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile

from benchmarks.film import ROOT
from benchmarks.folders import CONFIG, make_clips
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import COLUMNS, Ratio, least
from benchmarks.table import Table

RATE, SAMPLES = 16_000, 1_600
WIDTH, HEIGHT = 320, 240
CLOCK = "clock"


def make_sounds(folder: Path, count: int) -> None:
    """Noise of 0.1 s."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        soundfile.write(folder / f"{i:05}.wav", rng.uniform(-0.5, 0.5, (SAMPLES, 1)), RATE)


def make_jpegs(folder: Path, count: int) -> None:
    """Colour pictures, as smooth as photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(f"{folder}/{i:05}.jpg", cv2.GaussianBlur(noise, (15, 15), 4))


@dataclass(frozen=True)
class Kind:
    """One kind of small file. limits: of the ratios of each further file and of the whole command."""

    work: str
    pipeline: str
    make: Callable[[Path, int], None]
    count: int
    limits: tuple[float, float]


KINDS = {
    "wav": Kind("0.1 s WAV", "audio", make_sounds, 500, (1.8, 1.6)),
    "jpeg": Kind("320x240 JPEG", "image", make_jpegs, 300, (1.6, 1.6)),
    "clip": Kind("160x120 clip of 1 s", "video", make_clips, 60, (1.6, 1.6)),
}


def program(*command: str) -> Callable[[], object]:
    """Runs a command to its end, with one thread of torch: a second one waits for its share by spinning."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return lambda: subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)


def to_new_folder(folder: Path, *command: str) -> Callable[[], object]:
    """The same, its last argument a folder that is new each time: writing over files is less work for a loop
    that takes no care of those that are there, and more for one that does."""
    numbers = itertools.count()
    return lambda: program(*command, str(folder / f"new_{next(numbers)}"))()


def beside_plain(kind: Kind, folder: Path) -> list[Ratio]:
    """A folder of one kind, by the program and by a plain loop, in turn."""
    many, single = folder / "many", folder / "single"
    kind.make(many, kind.count)
    kind.make(single, 1)
    configs = [source.with_suffix(".yaml") for source in (many, single)]
    for config in configs:
        source = config.with_suffix("")
        config.write_text(CONFIG.format(pipeline=kind.pipeline, source=source, output=folder / "unused"))
    run = [sys.executable, "-m", "mediaconv", "run", "--quiet"]
    plain = [sys.executable, str(ROOT / "benchmarks/plain_libraries.py")]
    begin = to_new_folder(folder / "start", *run, str(configs[1]), "--output")
    begin()  # compiles its loops, once per machine
    one, two, start, loop, first = least(
        to_new_folder(folder / "one", *run, str(configs[0]), "--workers", "1", "--output"),
        to_new_folder(folder / "two", *run, str(configs[0]), "--workers", "2", "--output"),
        begin,
        to_new_folder(folder / "loop", *plain, str(many)),
        to_new_folder(folder / "first", *plain, str(single)),
    )
    more, (each, whole) = kind.count - 1, kind.limits
    ours, others = (
        (long.processor - short.processor) / more for long, short in ((one, start), (loop, first))
    )
    name = f"{kind.count} of them, the whole command"
    return [
        Ratio(f"each further {kind.work}, one worker", ours, "a plain loop", others, each),
        Ratio(f"{name}, one worker", one.processor, "the plain loop", loop.processor, whole, goal=1.1),
        Ratio(f"{name}, two workers", two.clock, "one worker", one.clock, goal=1.0, by=CLOCK),
    ]


def measure(chosen: list[str] | None = None) -> list[Table]:
    """The table of these kinds, or of all."""
    measured: list[Ratio] = []
    for name in chosen or KINDS:
        with fresh_folder() as folder:
            measured += beside_plain(KINDS[name], folder)
    note = (
        "Milliseconds, the least of several runs in turn, of the processor or by the clock. The plain loop "
        "reads and writes by soundfile, OpenCV and PyAV with the program's own settings; it hashes, syncs "
        "and verifies nothing. A ratio over its limit is a fault."
    )
    faults = [ratio.work for ratio in measured if ratio.value > ratio.limit]
    title = "Folders of small sounds, pictures and clips beside a plain loop."
    return [Table(title, note, COLUMNS, [ratio.cells() for ratio in measured], faults)]


if __name__ == "__main__":
    for table in measure(sys.argv[1:]):
        print(table.markdown())
