"""Folders of small files of each kind beside a plain loop: what each further one takes, and all of them.

python -m benchmarks.small_files [wav] [jpeg] [clip]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile

from benchmarks.film import ROOT
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import COLUMNS, DIFFERENCES, Ratio, further, in_turn, least_of
from benchmarks.small_inputs import CONFIG, make_clips
from benchmarks.table import Table
from benchmarks.timed_program import to_new_folder

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


def beside_plain(kind: Kind, folder: Path) -> list[Ratio]:
    """A folder of one kind, by the program and by a plain loop, in turn."""
    many, few = folder / "many", folder / "few"
    kind.make(many, kind.count)
    kind.make(few, kind.count // 10)
    configs = [source.with_suffix(".yaml") for source in (many, few)]
    for config in configs:
        source = config.with_suffix("")
        config.write_text(CONFIG.format(pipeline=kind.pipeline, source=source, output=folder / "unused"))
    run = [sys.executable, "-m", "mediaconv", "run", "--quiet"]
    plain = [sys.executable, str(ROOT / "benchmarks/plain_libraries.py")]
    tenth = to_new_folder(folder / "tenth", *run, str(configs[1]), "--workers", "1", "--output")
    tenth()  # compiles its loops, once per machine
    ones, twos, tenths, loops, short_loops = in_turn(
        to_new_folder(folder / "one", *run, str(configs[0]), "--workers", "1", "--output"),
        to_new_folder(folder / "two", *run, str(configs[0]), "--workers", "2", "--output"),
        tenth,
        to_new_folder(folder / "loop", *plain, str(many)),
        to_new_folder(folder / "first", *plain, str(few)),
        turns=DIFFERENCES,
    )
    more, (each, whole) = kind.count - kind.count // 10, kind.limits
    ours, others = further(tenths, ones, more).processor, further(short_loops, loops, more).processor
    one, two, loop = map(least_of, (ones, twos, loops))
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
        "Milliseconds, the least of several runs in turn, of the processor or by the clock; of each further "
        "file the median difference to runs over a tenth of the files in the same turns. The plain loop "
        "reads and writes by soundfile, OpenCV and PyAV with the program's own settings; it hashes, syncs "
        "and verifies nothing. A ratio over its limit is a fault."
    )
    faults = [ratio.work for ratio in measured if ratio.value > ratio.limit]
    title = "Folders of small sounds, pictures and clips beside a plain loop."
    return [Table(title, note, COLUMNS, [ratio.cells() for ratio in measured], faults)]


if __name__ == "__main__":
    for table in measure(sys.argv[1:]):
        print(table.markdown())
