"""A 1280x720 film, 3 channels to 4, kernel 3: the program beside a plain script; memory against length.

python -m benchmarks.film [--long]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import PeakMemory
from benchmarks.table import Table

RATE = 25
SHORT, SHOWN, LONG = 48, 96, 480
TURNS = 3
SHORT_SECONDS = 20
LONG_SECONDS = 600
CONFIG = """
pipeline: video
input: {source}
output: {output}
causal: false
stack:
  - conv: {{out_channels: 4, kernel_size: 3}}
"""
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """What one process (and its children) took: wall seconds, peak resident bytes of all together."""

    seconds: float
    peak_bytes: int


def make_film(path: Path, seconds: float) -> None:
    """Moving test pictures with some noise, as a camera has, in H.264."""
    source = f"testsrc2=size=1280x720:rate={RATE}:duration={seconds},noise=alls=4:allf=t"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
    subprocess.run([*command, "-preset", "veryfast", "-pix_fmt", "yuv420p", str(path)], check=True)


def repeat_film(source: Path, path: Path, times: int) -> None:
    """The same film several times over, without encoding it again."""
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", str(source)]
    subprocess.run([*command, "-c", "copy", str(path)], check=True)


def cost(command: list[str]) -> Cost:
    """Run a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with PeakMemory(process.pid) as memory:
        errors = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"{command}: {errors.decode()}")
    return Cost(time.perf_counter() - began, memory.bytes)


def ours(source: Path, folder: Path) -> list[str]:
    """The program's command line over one film, with a config that says what the plain script does."""
    config = folder / "film.yaml"
    config.write_text(CONFIG.format(source=source, output=folder / "ours"))
    return [sys.executable, "-m", "mediaconv.cli.main", "run", str(config), "--overwrite"]


def speed(folder: Path) -> Table:
    """The same films through both, in turn. The plain script holds them whole: long ones are ours alone."""
    plain = [sys.executable, str(ROOT / "benchmarks/plain_film.py")]
    kinds: dict[str, tuple[Callable[[Path], list[str]], tuple[int, ...]]] = {
        "plain script, whole clip": (lambda film: [*plain, str(film), str(folder / "plain")], (SHORT, SHOWN)),
        "`mediaconv run`": (lambda film: ours(film, folder), (SHORT, SHOWN, LONG)),
    }
    films = {frames: folder / f"{frames}.mp4" for frames in (SHORT, SHOWN, LONG)}
    for frames, film in films.items():
        make_film(film, frames / RATE)
    cost(ours(films[SHORT], folder))  # compiles its loops, once per machine
    spent: dict[tuple[str, int], list[Cost]] = {}
    for _ in range(TURNS):
        for name, (command, lengths) in kinds.items():
            for frames in lengths:
                spent.setdefault((name, frames), []).append(cost(command(films[frames])))
    least = {key: min(one.seconds for one in costs) for key, costs in spent.items()}
    rows, each = [], []
    for name, (_, (*_, longest)) in kinds.items():
        each.append((least[name, longest] - least[name, SHORT]) / (longest - SHORT) * 1000)
        peak = min(one.peak_bytes for one in spent[name, SHOWN]) / 2**20
        rows.append([name, f"{each[-1]:.0f}", f"{peak:.0f}", f"{least[name, SHOWN]:.1f}"])
    rows.append(["ratio", f"{each[0] / each[1]:.1f}x", "", ""])
    return Table(
        "Film, 1280x720, Conv3d 3 to 4 channels, kernel 3, four films out.",
        f"Milliseconds a frame without the start, peak memory and seconds for {SHOWN} frames; the least of "
        f"{TURNS} runs in turn.",
        ["", "ms a frame", f"MB for {SHOWN} frames", f"s for {SHOWN} frames"],
        rows,
    )


def memory(folder: Path) -> Table:
    """Peak memory of the default configuration over a short and a long film."""
    rows, peaks = [], []
    for seconds in (SHORT_SECONDS, LONG_SECONDS):
        film = folder / f"{seconds}.mp4"
        if seconds == SHORT_SECONDS:
            make_film(film, seconds)
        else:
            repeat_film(folder / f"{SHORT_SECONDS}.mp4", film, seconds // SHORT_SECONDS)
        command = [sys.executable, "-m", "mediaconv.cli.main", "run", "configs/video_causal.yaml"]
        spent = cost([*command, "--input", str(film), "--output", str(folder / f"long{seconds}")])
        peaks.append(spent.peak_bytes)
        speed_text = f"{seconds / spent.seconds:.2f}x real time"
        rows.append([f"{seconds} s of 720p", f"{spent.peak_bytes / 2**20:.0f}", speed_text])
    rows.append(["ratio", f"{peaks[1] / peaks[0]:.3f}", ""])
    return Table(
        "Memory does not grow with length.",
        "`configs/video_causal.yaml`, all processes together.",
        ["", "peak MB", "speed"],
        rows,
    )


def measure(*, long: bool = True) -> list[Table]:
    """All tables of this benchmark; `long` adds the ten-minute film."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [speed(folder), *([memory(folder)] if long else [])]


if __name__ == "__main__":
    for table in measure(long="--long" in sys.argv):
        print(table.markdown(), end="\n\n")
