"""The program beside what it is compared with, as ratios of processor time: what a change may not make worse.

python -m benchmarks.ratios          # prints the table, and which ratios are over their limits

Each row of it has the goal that was set for it, on two quiet cores. Limits are wide: half more than what was
measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from benchmarks.busy_core import FRAMES, fused_step
from benchmarks.film import RATE, ROOT, make_film
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import (
    COLUMNS,
    DIFFERENCES,
    Ratio,
    Spent,
    further,
    further_beside,
    in_turn,
    least,
    least_of,
)
from benchmarks.small_inputs import CONFIG, make_images
from benchmarks.table import Table
from benchmarks.timed_program import program, to_new_folder
from mediaconv.nn import CausalConv1d, Sequential, stream

SOUND_CONFIG = """
pipeline: audio
input: {source}
output: {output}
stack:
  - conv: {{out_channels: 2, kernel_size: 9}}
"""
SOUND_SECONDS, SOUND_RATE = 600, 48_000
START_MS = 250
EQUAL = 1.02
"""Of two times that are one: what the least of turns differs by."""
CLOCK, IMAGES = "clock", 1_000
SHORT_FILM, LONG_FILM = 48, 480
"""Frames of two films, whose difference is that of so many frames. The start takes some tenths of a second
more or less from run to run: a tenth is a quarter of a millisecond a frame here, and 2 between 48 and 96."""
FILM_TURNS = 7
DILATIONS = (1, 2, 4, 8, 16, 32)
GRAY = ["-an", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]


def ours(config: Path, *options: str) -> Callable[[], object]:
    """`mediaconv run`, all anew."""
    return program(sys.executable, "-m", "mediaconv", "run", str(config), "--overwrite", "--quiet", *options)


def folders(folder: Path) -> list[Ratio]:
    """Small images to new folders, beside a plain loop; each further one, by folders of two lengths."""
    few = IMAGES // 2
    for name, count in (("many", IMAGES), ("few", few)):
        make_images(folder / name, count)
        text = CONFIG.format(pipeline="image", source=folder / name, output=folder / f"{name}_out")
        (folder / f"{name}.yaml").write_text(text)
    ours(folder / "few.yaml")()  # compiles its loops, once per machine
    plain = [sys.executable, str(ROOT / "benchmarks/plain_folder.py")]
    run = [sys.executable, "-m", "mediaconv", "run", "--quiet"]
    synced = [sys.executable, str(ROOT / "benchmarks/plain_folder.py"), "--synced"]
    acts = []
    for name in ("few", "many"):
        for workers in "1", "2":
            command = [*run, str(folder / f"{name}.yaml"), "--workers", workers, "--output"]
            acts.append(to_new_folder(folder / f"{name}_{workers}", *command))
        acts.append(to_new_folder(folder / f"{name}_loop", *plain, str(folder / name)))
        acts.append(to_new_folder(folder / f"{name}_synced", *synced, str(folder / name)))
    one_few, two_few, loop_few, synced_few, ones, twos, loops, all_synced = in_turn(*acts, turns=DIFFERENCES)
    more = IMAGES - few
    each_one, each_two = further(one_few, ones, more), further(two_few, twos, more)
    each, each_synced = further(loop_few, loops, more), further(synced_few, all_synced, more)
    work = "each further 64x64 image"
    return [
        Ratio(f"{work}, one worker", each_one.processor, "a plain loop", each.processor, 4.5, most=1.6),
        Ratio(f"{work}, one worker", each_one.clock, "a loop that syncs each", each_synced.clock, by=CLOCK),
        Ratio(f"{work}, two workers", each_two.clock, "a plain loop", each.clock, most=1.0, by=CLOCK),
        *whole_commands(few, one_few, two_few, loop_few, goal=1.1),
        *whole_commands(IMAGES, ones, twos, loops),
    ]


def whole_commands(
    count: int,
    ones: Sequence[Spent],
    twos: Sequence[Spent],
    loops: Sequence[Spent],
    *,
    goal: float | None = None,
) -> list[Ratio]:
    """A run over so many images with its start, by one worker and by two. goal: of the first to the loop."""
    one, two, loop = map(least_of, (ones, twos, loops))
    work = f"{count:,} of them, the whole command"
    return [
        Ratio(f"{work}, one worker", one.processor, "the plain loop", loop.processor, 2.1, goal=goal),
        Ratio(f"{work}, two workers", two.processor, "the plain loop", loop.processor, 2.8),
        Ratio(f"{work}, two workers", two.clock, "one worker", one.clock, goal=1.0, by=CLOCK),
    ]


def short_runs(folder: Path) -> list[Ratio]:
    """An image and a second of sound beside `import torch`, and ten minutes of sound beside the second."""
    make_images(folder / "image", 1)
    text = CONFIG.format(pipeline="image", source=folder / "image", output=folder / "image_out")
    (folder / "image.yaml").write_text(text)
    rng = np.random.default_rng(0)
    for seconds in (1, SOUND_SECONDS):
        source = folder / f"{seconds}.wav"
        soundfile.write(source, rng.uniform(-0.5, 0.5, (seconds * SOUND_RATE, 1)), SOUND_RATE)
        text = SOUND_CONFIG.format(source=source, output=folder / f"{seconds}_out")
        (folder / f"{seconds}.yaml").write_text(text)
    image, short, long = (ours(folder / f"{name}.yaml") for name in ("image", "1", str(SOUND_SECONDS)))
    for act in (image, short):
        act()
    bare = program(sys.executable, "-c", "import torch")
    images, seconds_of_sound, minutes, imports = in_turn(image, short, long, bare, turns=DIFFERENCES)
    second, torchs = least_of(seconds_of_sound).processor, least_of(imports).processor
    return [
        started("one 64x64 image", least_of(images).processor, torchs),
        started("one second of sound", second, torchs),
        Ratio(
            f"{SOUND_SECONDS} s of sound, 1 to 2 channels, without the start",
            further(seconds_of_sound, minutes, 1).processor,
            "all of a run of one second",
            second,
            1.0,
            most=1000,
        ),
    ]


def started(work: str, milliseconds: float, bare: float) -> Ratio:
    """The start of a run that has next to nothing to do."""
    return Ratio(work, milliseconds, "`import torch` + 250 ms", bare + START_MS, 1.5, goal=1.0)


def film(folder: Path) -> list[Ratio]:
    """A frame of 720p to four films, beside ffmpeg, which decodes and encodes alike and computes nothing."""
    short, long = folder / "short.mp4", folder / "long.mp4"
    make_film(short, SHORT_FILM / RATE)
    make_film(long, LONG_FILM / RATE)
    commands = []
    for source in (short, long):
        config = source.with_suffix(".yaml")
        config.write_text(
            CONFIG.format(pipeline="video", source=source, output=folder / f"{source.stem}_out")
        )
        outputs = [part for i in range(4) for part in (*GRAY, "-vf", "format=gray", str(folder / f"{i}.mp4"))]
        commands += [ours(config), ours(config, "--set", "chunk=1")]
        commands += [program("ffmpeg", "-v", "error", "-y", "-i", str(source), *outputs)]
    fused = fused_step()
    fused()  # compiles, and takes the memory
    ours_1, live_1, ffmpeg_1, ours_2, live_2, ffmpeg_2, alone = in_turn(*commands, fused, turns=FILM_TURNS)
    more = LONG_FILM - SHORT_FILM
    coded = further(ffmpeg_1, ffmpeg_2, more).processor
    parts = coded + least_of(alone).processor / FRAMES
    work = "a frame of 720p, 3 to 4 channels, four films out"
    label = f"decode and four encodes of ffmpeg ({coded:.1f}) + the fused step alone"
    by_processor, by_clock = further(ours_1, ours_2, more)
    live = "the same, chunks of one frame"
    one, auto = further_beside((live_1, live_2), (ours_1, ours_2), more)
    return [
        Ratio(work, by_processor, label, parts, 1.6, goal=1.1),
        Ratio(work, by_clock, "half of that sum: two cores", parts / 2, goal=1.1, by=CLOCK),
        Ratio(live, one.processor, "`chunk: auto`", auto.processor, 1.5, goal=1.1),
        Ratio(live, one.clock, "`chunk: auto`", auto.clock, goal=1.1, by=CLOCK),
    ]


def pushes() -> list[Ratio]:
    """A second of sound through six causal layers in short chunks, beside one call of torch, and on two
    threads beside one, in the same turns: of turns apart a busy moment is one's alone."""
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

    def on(threads: int, act: Callable[[], object]) -> Callable[[], None]:
        def acted() -> None:
            torch.set_num_threads(threads)
            act()

        return acted

    # of torch's call, which takes 22 to 49 ms: the more, the more of its memory is new to the process
    sizes = (256, 4.5, 80.0), (64, 12.0, 250.0)
    acts = [on(threads, partial(pushed, size)) for size, _, _ in sizes for threads in (1, 2)]
    before = torch.get_num_threads()
    with torch.inference_mode():
        *times, torchs = least(*acts, on(1, lambda: whole(x)), turns=15)
    torch.set_num_threads(before)
    ratios = []
    for (size, limit, most), one, two in zip(sizes, times[::2], times[1::2], strict=True):
        label = f"a second of sound, six layers, {size} samples a push, torch's threads: "
        ratios.append(
            Ratio(f"{label}1", one.processor, "torch on the whole", torchs.processor, limit, most=most)
        )
        # torch's own call takes 27 to 101 ms of processor time on two: it is no measure
        ratios.append(Ratio(f"{label}2", two.processor, "one thread", one.processor, 1.5, goal=EQUAL))
        ratios.append(Ratio(f"{label}2", two.clock, "one thread", one.clock, goal=EQUAL, by=CLOCK))
    return ratios


def measure() -> list[Table]:
    """The tables."""
    with fresh_folder() as folder:
        measured = [*folders(folder), *short_runs(folder), *film(folder), *pushes()]
    note = (
        "Milliseconds, the least of several runs in turn: of the processor, or by the clock, which another "
        "program makes longer. Of each further file or frame, the median difference of a long and a short "
        "run in the same turns, where it can be told from their scatter; beside `chunk: auto`, those of the "
        "turn whose ratio is the middle one. The goals were set for two quiet cores; a ratio over its limit "
        "is a fault."
    )
    rows = [ratio.cells() for ratio in measured]
    faults = [ratio.work for ratio in measured if ratio.value > ratio.limit]
    return [Table("The program beside what it is compared with.", note, COLUMNS, rows, faults)]


if __name__ == "__main__":
    tables = measure()
    for shown in tables:
        print(shown.markdown(), end="\n\n")
    sys.exit(any(table.faults for table in tables))
