"""The program beside what it is compared with, as ratios of processor time: what a change may not make worse.

python -m benchmarks.ratios          # prints the table, and which ratios are over their limits

Each row of it has the goal that was set for it, on two quiet cores. Limits are wide: half more than what was
measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from benchmarks.busy_core import FRAMES, fused_step
from benchmarks.film import PAIR_FRAMES, RATE, ROOT, make_film
from benchmarks.folders import CONFIG, IMAGES, finished_tree, make_images
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import COLUMNS, Ratio, least, spent
from benchmarks.small_files import program, to_new_folder
from benchmarks.table import Table
from mediaconv.nn import CausalConv1d, Sequential, stream
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.manifest import read_manifest
from mediaconv.run.runner import run_folder

SOUND_CONFIG = """
pipeline: audio
input: {source}
output: {output}
stack:
  - conv: {{out_channels: 2, kernel_size: 9}}
"""
SOUND_SECONDS, SOUND_RATE = 600, 48_000
FINISHED = 100_000
FINISHED_MS, ROW_BYTES, START_MS = 4000, 300, 250
EQUAL = 1.02
"""Of two times by the clock that are one: what turns differ by."""
CLOCK, FILM_TURNS = "clock", 4
DILATIONS = (1, 2, 4, 8, 16, 32)
GRAY = ["-an", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]


def ours(config: Path, *options: str) -> Callable[[], object]:
    """`mediaconv run`, all anew."""
    return program(sys.executable, "-m", "mediaconv", "run", str(config), "--overwrite", "--quiet", *options)


def folders(folder: Path) -> list[Ratio]:
    """Small images to new folders, beside a plain loop; the start, beside `import torch`."""
    make_images(folder / "images", IMAGES)
    make_images(folder / "image", 1)
    config, single = folder / "images.yaml", folder / "image.yaml"
    for path, name in ((config, "images"), (single, "image")):
        path.write_text(CONFIG.format(pipeline="image", source=folder / name, output=folder / f"{name}_out"))
    plain = [sys.executable, str(ROOT / "benchmarks/plain_folder.py")]
    run = [sys.executable, "-m", "mediaconv", "run", "--quiet"]
    ours(single)()  # compiles its loops, once per machine
    one, two, start, loop, first, bare = least(
        to_new_folder(folder / "one", *run, str(config), "--workers", "1", "--output"),
        to_new_folder(folder / "two", *run, str(config), "--workers", "2", "--output"),
        to_new_folder(folder / "start", *run, str(single), "--output"),
        to_new_folder(folder / "loop", *plain, str(folder / "images")),
        to_new_folder(folder / "first", *plain, str(folder / "image")),
        program(sys.executable, "-c", "import torch"),
    )
    more = IMAGES - 1
    each, each_by_clock = (loop.processor - first.processor) / more, (loop.clock - first.clock) / more
    one_more, two_more = (one.processor - start.processor) / more, (two.clock - start.clock) / more
    further, all_of_them = "each further 64x64 image", f"{IMAGES} of them, the whole command"
    return [
        Ratio(f"{further}, one worker", one_more, "a plain loop", each, 2.6, most=1.6),
        Ratio(f"{further}, two workers", two_more, "a plain loop", each_by_clock, most=1.0, by=CLOCK),
        Ratio(f"{all_of_them}, one worker", one.processor, "the plain loop", loop.processor, 2.1, goal=1.1),
        Ratio(f"{all_of_them}, two workers", two.processor, "the plain loop", loop.processor, 2.8),
        Ratio(f"{all_of_them}, two workers", two.clock, "one worker", one.clock, goal=1.0, by=CLOCK),
        started("one 64x64 image", start.processor, bare.processor),
    ]


def started(work: str, milliseconds: float, bare: float) -> Ratio:
    """The start of a run that has next to nothing to do."""
    return Ratio(work, milliseconds, "`import torch` + 250 ms", bare + START_MS, 1.5, goal=1.0)


def sound(folder: Path) -> list[Ratio]:
    """A second of sound beside `import torch`, and ten minutes beside the second."""
    rng = np.random.default_rng(0)
    for seconds in (1, SOUND_SECONDS):
        source = folder / f"{seconds}.wav"
        soundfile.write(source, rng.uniform(-0.5, 0.5, (seconds * SOUND_RATE, 1)), SOUND_RATE)
        text = SOUND_CONFIG.format(source=source, output=folder / f"{seconds}_out")
        (folder / f"{seconds}.yaml").write_text(text)
    ours(folder / "1.yaml")()
    short, long, bare = least(
        ours(folder / "1.yaml"),
        ours(folder / f"{SOUND_SECONDS}.yaml"),
        program(sys.executable, "-c", "import torch"),
    )
    work = long.processor - short.processor
    return [
        started("one second of sound", short.processor, bare.processor),
        Ratio(
            f"{SOUND_SECONDS} s of sound, 1 to 2 channels, without the start",
            work,
            "all of a run of one second",
            short.processor,
            1.0,
            most=1000,
        ),
    ]


def film(folder: Path) -> list[Ratio]:
    """A frame of 720p to four films, beside ffmpeg, which decodes and encodes alike and computes nothing."""
    single, double = folder / "single.mp4", folder / "double.mp4"
    make_film(single, PAIR_FRAMES / RATE)
    make_film(double, 2 * PAIR_FRAMES / RATE)
    commands = []
    for source in (single, double):
        config = source.with_suffix(".yaml")
        config.write_text(
            CONFIG.format(pipeline="video", source=source, output=folder / f"{source.stem}_out")
        )
        outputs = [part for i in range(4) for part in (*GRAY, "-vf", "format=gray", str(folder / f"{i}.mp4"))]
        commands += [ours(config), ours(config, "--set", "chunk=1")]
        commands += [program("ffmpeg", "-v", "error", "-y", "-i", str(source), *outputs)]
    fused = fused_step()
    fused()  # compiles, and takes the memory
    ours_1, live_1, ffmpeg_1, ours_2, live_2, ffmpeg_2, computed = least(*commands, fused, turns=FILM_TURNS)
    coded = (ffmpeg_2.processor - ffmpeg_1.processor) / PAIR_FRAMES
    parts = coded + computed.processor / FRAMES
    work = "a frame of 720p, 3 to 4 channels, four films out"
    label = f"decode and four encodes of ffmpeg ({coded:.1f}) + the fused step alone"
    by_processor = (ours_2.processor - ours_1.processor) / PAIR_FRAMES
    by_clock = (ours_2.clock - ours_1.clock) / PAIR_FRAMES
    live = "the same, chunks of one frame"
    live_by_processor = (live_2.processor - live_1.processor) / PAIR_FRAMES
    live_by_clock = (live_2.clock - live_1.clock) / PAIR_FRAMES
    return [
        Ratio(work, by_processor, label, parts, 1.6, goal=1.1),
        Ratio(work, by_clock, "half of that sum: two cores", parts / 2, goal=1.1, by=CLOCK),
        Ratio(live, live_by_processor, "`chunk: auto`", by_processor, 1.5, goal=1.1),
        Ratio(live, live_by_clock, "`chunk: auto`", by_clock, goal=1.1, by=CLOCK),
    ]


def pushes() -> list[Ratio]:
    """A second of sound through six causal layers in short chunks, beside one call of torch."""
    plain: list[nn.Module] = []
    layers: list[nn.Module] = []
    channels = 1
    for dilation in DILATIONS:
        conv = nn.Conv1d(channels, 32, 3, dilation=dilation)
        layers += [CausalConv1d(channels, 32, 3, dilation=dilation), nn.ReLU()]
        layers[-2].load_state_dict(conv.state_dict())
        plain += [nn.ConstantPad1d((2 * dilation, 0), 0.0), conv, nn.ReLU()]
        channels = 32
    whole, module = nn.Sequential(*plain).eval(), Sequential(*layers).eval()
    x = torch.rand(1, 1, SOUND_RATE)

    def pushed(size: int) -> None:
        s = stream(module)
        for chunk in x.split(size, 2):
            s.push(chunk)
        s.flush()

    ratios, before, alone = [], torch.get_num_threads(), dict[int, float]()
    with torch.inference_mode():
        for threads in (1, 2):
            torch.set_num_threads(threads)
            *times, torchs = least(lambda: pushed(256), lambda: pushed(64), lambda: whole(x), turns=9)
            for size, time_of, limit, most in ((256, times[0], 2.4, 80.0), (64, times[1], 6.0, 250.0)):
                label = f"a second of sound, six layers, {size} samples a push, torch's threads: {threads}"
                name = "torch on the whole"
                if threads == 1:
                    alone[size] = time_of.clock
                    ratios.append(Ratio(label, time_of.processor, name, torchs.processor, limit, most=most))
                else:  # torch's own call takes 27 to 101 ms of processor time on two: it is no measure
                    one = alone[size]
                    ratios.append(Ratio(label, time_of.clock, "one thread", one, 1.5, goal=EQUAL, by=CLOCK))
    torch.set_num_threads(before)
    return ratios


def finished(folder: Path) -> Table:
    """What finding everything done takes, by the clock and in memory."""
    config = finished_tree(folder, FINISHED)
    summaries: list[Summary] = []
    taken = spent(lambda: summaries.append(run_folder(config)))
    if [(summary.files, summary.skipped) for summary in summaries] != [(0, FINISHED)]:
        raise RuntimeError("a finished tree was not found to be finished")
    program_text = (
        "import sys, psutil; from pathlib import Path\n"
        "from mediaconv.run.resume.manifest import read_manifest\n"
        "before = psutil.Process().memory_info().rss; rows = read_manifest(Path(sys.argv[1]))\n"
        "print((psutil.Process().memory_info().rss - before) // len(rows))"
    )
    command = [sys.executable, "-c", program_text, config.output]
    held = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    met = taken.processor <= FINISHED_MS and int(held) <= ROW_BYTES
    row = [f"{FINISHED:,}", f"{taken.processor / 1000:.1f}", f"{taken.clock / 1000:.1f}", held]
    row += [f"{FINISHED_MS / 1000:g} s, {ROW_BYTES} bytes", "yes" if met else "**no**"]
    assert len(read_manifest(Path(config.output))) == FINISHED
    columns = ["finished files", "processor seconds", "seconds", "bytes a row", "goal", "met"]
    return Table("A folder in which everything is done.", "Each output is looked at.", columns, [row])


def measure() -> list[Table]:
    """The tables."""
    with fresh_folder() as folder:
        measured = [*folders(folder), *sound(folder), *film(folder), *pushes()]
        done = finished(folder)
    note = (
        "Milliseconds, the least of several runs in turn: of the processor, or by the clock, which another "
        "program makes longer. The goals were set for two quiet cores; a ratio over its limit is a fault."
    )
    rows = [ratio.cells() for ratio in measured]
    faults = [ratio.work for ratio in measured if ratio.value > ratio.limit]
    return [Table("The program beside what it is compared with.", note, COLUMNS, rows, faults), done]


if __name__ == "__main__":
    tables = measure()
    for shown in tables:
        print(shown.markdown(), end="\n\n")
    sys.exit(any(table.faults for table in tables))
