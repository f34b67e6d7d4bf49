"""kill -9 at random moments: what is there is complete, and what is resumed ends as if nothing had happened.

A few kills for each kind of media by default; MEDIACONV_TORTURE=100 (`make torture`) makes a hundred.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
import soundfile

from tests.run.running import rows, start, write_config
from tests.run.trees import images, outputs, unfinished

KILLS = int(os.environ.get("MEDIACONV_TORTURE", "6"))
pytestmark = [pytest.mark.long, pytest.mark.timeout(60 + 60 * KILLS)]


def sounds(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        soundfile.write(folder / f"{i:02}.wav", rng.uniform(-0.5, 0.5, (40_000, 1)), 8000)


def films(folder: Path) -> None:
    folder.mkdir()
    for i in range(10):
        source = f"testsrc2=size=96x64:rate=25:duration={1 + i % 2}"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
        subprocess.run([*command, str(folder / f"{i:02}.mp4")], check=True)


def pictures(folder: Path) -> None:
    images(folder, 60, side=64)


KINDS = {
    "audio": (sounds, [{"conv": {"out_channels": 2, "kernel_size": 9}}]),
    "image": (pictures, [{"conv": {"out_channels": 2, "kernel_size": 3}}]),
    "video": (films, [{"conv": {"out_channels": 2, "kernel_size": 3}}]),
}


def decodes(path: Path) -> None:
    """A file that is there can be read to its end by a library of its own kind."""
    if path.suffix == ".wav":
        data, _ = soundfile.read(path)
        assert len(data) == soundfile.info(path).frames == 40_000
    elif path.suffix == ".png":
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    else:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
            assert count == container.streams.video[0].frames > 0


def kill(process: subprocess.Popen[str]) -> None:
    """The program and, in the same moment or a little later, all of its workers."""
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


@pytest.mark.parametrize("kind", KINDS)
def test_torture(kind: str, tmp_path: Path) -> None:
    make, stack = KINDS[kind]
    source, whole, output = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    make(source)
    options = {"pipeline": kind, "stack": stack}
    undisturbed = start(write_config(tmp_path / "whole.yaml", source, whole, **options), "--workers", "2")
    began = time.monotonic()
    assert undisturbed.wait(120) == 0
    lasted = time.monotonic() - began
    expected = outputs(whole)
    config = write_config(tmp_path / "config.yaml", source, output, **options)
    dice = random.Random(kind)
    caught = 0
    for attempt in itertools.count():
        if caught == KILLS:
            break
        assert attempt < 10 + 3 * KILLS, f"only {caught} of {attempt} runs lasted until they were killed"
        if len(outputs(output) if output.exists() else {}) == len(expected):
            shutil.rmtree(output)  # finished in spite of everything: begin anew
        anew, began = not output.exists(), time.monotonic()
        process = start(config, "--workers", str(1 + attempt % 2))
        until = time.monotonic() + dice.uniform(0.4, 1.0) * lasted
        if attempt % 3 == 0:  # while something is being written
            while not unfinished(output) and process.poll() is None and time.monotonic() < until + lasted:
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.02))
        else:
            time.sleep(max(0.0, until - time.monotonic()))
        if process.poll() is None:
            kill(process)
            caught += 1
        else:
            process.communicate()
            if anew:  # the machine has become faster
                lasted = min(lasted, time.monotonic() - began)
        check(output, expected)
    final = start(config)
    assert final.wait(120) == 0, final.communicate()
    assert outputs(output) == expected
    assert unfinished(output) == []
    found = rows(output)
    assert len(found) == len({name.rsplit("/", 1)[0] for name in expected})
    assert {row["status"] for row in found.values()} == {"done"}


def check(output: Path, expected: dict[str, str]) -> None:
    """Every file that is there under its own name is whole, and so is every row."""
    if not output.exists():
        return
    half = tuple(os.path.relpath(path, output) + "/" for path in unfinished(output))
    there = {name: digest for name, digest in outputs(output).items() if not name.startswith(half or ("\0",))}
    there = {name: digest for name, digest in there.items() if not os.path.basename(name).startswith(".")}
    assert there.items() <= expected.items()
    for name in there:
        decodes(output / name)
    folders = {name.rsplit("/", 1)[0] for name in there}
    assert there.keys() == {name for name in expected if name.rsplit("/", 1)[0] in folders}
