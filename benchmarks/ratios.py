"""The program beside what it is compared with, as ratios of processor time: what a change may not make worse.

python -m benchmarks.ratios          # prints the table, and which ratios are over their limits

Processor time (user and system, of all processes) and the least of several runs in turn: both are nearly the
same on a busy machine, which seconds by the clock are not. Limits are wide: half more than what was measured.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from benchmarks.film import PAIR_FRAMES, RATE, ROOT, make_film
from benchmarks.folders import CONFIG, IMAGES, finished_tree, make_images
from benchmarks.table import Table
from mediaconv.nn import CausalConv1d, Sequential, stream
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.manifest import read_manifest
from mediaconv.run.runner import run_folder

TURNS = 3
SOUND_CONFIG = """
pipeline: audio
input: {source}
output: {output}
stack:
  - conv: {{out_channels: 2, kernel_size: 9}}
"""
SOUND_SECONDS, SOUND_RATE = 600, 48_000
FINISHED = 100_000
DILATIONS = (1, 2, 4, 8, 16, 32)
WHOLE_LIMIT, CACHE_LIMIT, WINDOWS_LIMIT = 1.3, 1.0, 1.0
"""Of a captured model's stream to its whole call, its own cache and torchstream (`benchmarks.models`)."""
WEIGHTS_LIMIT = 2.4
"""Of it to the whole call where a chunk is a few positions deep in the model, so that reading the weights,
once a chunk and not once in all, is most of the work."""
GRAY = ["-an", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]


@dataclass(frozen=True)
class Ratio:
    """Milliseconds of ours and of what it is compared with. limit: of the ratio, that is a fault."""

    work: str
    ours: float
    other: str
    others: float
    limit: float

    @property
    def value(self) -> float:
        """How many times as long ours takes."""
        return self.ours / self.others

    def cells(self) -> list[str]:
        """A row of the table."""
        ours, others = (f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}" for ms in (self.ours, self.others))
        return [self.work, ours, self.other, others, f"{self.value:.2f}", f"{self.limit:g}"]


def spent(act: Callable[[], object]) -> float:
    """Milliseconds of processor time, of this process and its children."""

    def used() -> float:
        own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime

    began = used()
    act()
    return (used() - began) * 1000


def least(*acts: Callable[[], object], turns: int = TURNS) -> list[float]:
    """The least time of each, in turn with the others."""
    times = [[spent(act) for act in acts] for _ in range(turns)]
    return [min(column) for column in zip(*times, strict=True)]


def program(*command: str) -> Callable[[], object]:
    """Runs a command to its end, with one thread of torch: a second one waits for its share by spinning."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return lambda: subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)


def ours(config: Path, *options: str) -> Callable[[], object]:
    """`mediaconv run`, all anew."""
    return program(sys.executable, "-m", "mediaconv", "run", str(config), "--overwrite", "--quiet", *options)


def folders(folder: Path) -> list[Ratio]:
    """Small images, beside a plain loop; the start, beside `import torch`."""
    make_images(folder / "images", IMAGES)
    make_images(folder / "image", 1)
    config, single = folder / "images.yaml", folder / "image.yaml"
    for path, name in ((config, "images"), (single, "image")):
        path.write_text(CONFIG.format(pipeline="image", source=folder / name, output=folder / f"{name}_out"))
    plain = [sys.executable, str(ROOT / "benchmarks/plain_folder.py")]
    ours(single)()  # compiles its loops, once per machine
    one, two, start, loop, first, bare = least(
        ours(config, "--workers", "1"),
        ours(config, "--workers", "2"),
        ours(single),
        program(*plain, str(folder / "images"), str(folder / "plain")),
        program(*plain, str(folder / "image"), str(folder / "plain")),
        program(sys.executable, "-c", "import torch"),
    )
    each = (loop - first) / (IMAGES - 1)
    return [
        Ratio(
            "each further 64x64 image, one worker", (one - start) / (IMAGES - 1), "a plain loop", each, 2.6
        ),
        Ratio(f"{IMAGES} of them, one worker", one, "the plain loop", loop, 2.1),
        Ratio(f"{IMAGES} of them, two workers", two, "the plain loop", loop, 2.8),
        Ratio("one 64x64 image", start, "`import torch`", bare, 1.8),
    ]


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
    return [
        Ratio("one second of sound", short, "`import torch`", bare, 1.8),
        Ratio(f"{SOUND_SECONDS} s of sound, 1 to 2 channels", long, "one second of it", short, 2.4),
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
        commands += [ours(config), program("ffmpeg", "-v", "error", "-y", "-i", str(source), *outputs)]
    ours_1, ffmpeg_1, ours_2, ffmpeg_2 = least(*commands)
    frames = ((ours_2 - ours_1) / PAIR_FRAMES, (ffmpeg_2 - ffmpeg_1) / PAIR_FRAMES)
    return [
        Ratio(
            "a frame of 720p, 3 to 4 channels", frames[0], "ffmpeg, decode and four encodes", frames[1], 1.8
        )
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

    ratios, before = [], torch.get_num_threads()
    with torch.inference_mode():
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = least(lambda: pushed(256), lambda: pushed(64), lambda: whole(x), turns=9)
            for size, spent_ms, limit in ((256, times[0], 2.4), (64, times[1], 6.0)):
                label = f"a second of sound, six layers, {size} samples a push, torch's threads: {threads}"
                ratios.append(Ratio(label, spent_ms, "torch on the whole", times[2], limit))
    torch.set_num_threads(before)
    return ratios


def finished(folder: Path) -> Table:
    """What finding everything done takes, by the clock and in memory."""
    config = finished_tree(folder, FINISHED)
    began = time.perf_counter()
    summaries: list[Summary] = []
    milliseconds = spent(lambda: summaries.append(run_folder(config)))
    if [(summary.files, summary.skipped) for summary in summaries] != [(0, FINISHED)]:
        raise RuntimeError("a finished tree was not found to be finished")
    by_clock = time.perf_counter() - began
    program_text = (
        "import sys, psutil; from pathlib import Path\n"
        "from mediaconv.run.resume.manifest import read_manifest\n"
        "before = psutil.Process().memory_info().rss; rows = read_manifest(Path(sys.argv[1]))\n"
        "print((psutil.Process().memory_info().rss - before) // len(rows))"
    )
    command = [sys.executable, "-c", program_text, config.output]
    held = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    row = [f"{FINISHED:,}", f"{milliseconds / 1000:.1f}", f"{by_clock:.1f}", held]
    assert len(read_manifest(Path(config.output))) == FINISHED
    columns = ["finished files", "processor seconds", "seconds", "bytes a row"]
    return Table("A folder in which everything is done.", "Each output is looked at.", columns, [row])


def measure() -> list[Table]:
    """The tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = [*folders(folder), *sound(folder), *film(folder), *pushes()]
        done = finished(folder)
    columns = ["work", "ours, ms", "beside", "ms", "ratio", "limit"]
    note = "Processor milliseconds, the least of several runs in turn; a ratio over its limit is a fault."
    rows = [ratio.cells() for ratio in measured]
    faults = [ratio.work for ratio in measured if ratio.value > ratio.limit]
    return [Table("The program beside what it is compared with.", note, columns, rows, faults), done]


if __name__ == "__main__":
    tables = measure()
    for shown in tables:
        print(shown.markdown(), end="\n\n")
    sys.exit(any(table.faults for table in tables))
