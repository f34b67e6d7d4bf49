"""Folders in which things go wrong: broken files, a full disk, a plug-in that crashes its worker."""

from __future__ import annotations

import errno
import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile

from mediaconv.errors import WriteError
from mediaconv.run.jobs.perform import failure_of
from mediaconv.run.jobs.plan import Job
from tests.run.running import rows, run, start, write_config
from tests.run.trees import STACK, images, outputs, unfinished

CORPUS = 300
EVERY = 20


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """Compressed data is damaged; header and length are right."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 40]) + data[middle + 40 :]


def huge(data: bytes) -> bytes:
    """The header promises 100,000 x 100,000 pixels."""
    import zlib

    header = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


BREAKS = {
    "empty": lambda data: b"",
    "cut": cut,
    "text": lambda data: b"this is a shopping list, not an image\n",
    "noise": lambda data: random.Random(0).randbytes(500),
    "header only": lambda data: data[:33],
}
"""How files of every kind are broken; each kind has ways of its own beside them."""


def broken(inputs: list[Path], source: Path, ways: dict[str, Callable[[bytes], bytes]]) -> dict[str, str]:
    """Break one input in twenty, each in the next way; the ways, by the inputs' names."""
    found = {}
    for i, path in enumerate(inputs[::EVERY]):
        how = list(ways)[i % len(ways)]
        path.write_bytes(ways[how](path.read_bytes()))
        found[path.relative_to(source).as_posix()] = how
    return found


def test_three_hundred_images_one_in_twenty_broken(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    inputs = images(source, CORPUS)
    bad = broken(inputs, source, {**BREAKS, "flipped": flipped, "huge": huge})
    misnamed = inputs[1].rename(inputs[1].with_suffix(".jpg"))  # a PNG all the same
    config = write_config(tmp_path / "c.yaml", source, output)
    process = start(config, "--workers", "2")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert f"{CORPUS - len(bad)} files" in out
    assert f"{len(bad)} failed" in out
    names = {path.relative_to(source).as_posix() for path in [*inputs[:1], misnamed, *inputs[2:]]}
    assert set(outputs(output)) == {f"{n}/channel_{c}.png" for n in names - set(bad) for c in (0, 1)}
    for name, row in check_rows(output, names, bad).items():
        assert f"failed: {name}: read: {row['reason']}\n" in errors


def check_rows(output: Path, names: set[str], bad: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every input has its row and the failed ones say why, in a line or two; these."""
    found = rows(output)
    assert set(found) == names
    assert {name for name, row in found.items() if row["status"] == "failed"} == set(bad)
    for name, how in bad.items():
        assert found[name]["stage"] == "read", how
        assert found[name]["reason"].count("\n") <= 1
        assert Path(name).name in found[name]["reason"]
    assert not [path for path in output.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return {name: found[name] for name in bad}


def sounds(folder: Path) -> list[Path]:
    """Three hundred sounds of noise, in three formats."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    found = [folder / f"{i:03}.{('wav', 'flac', 'ogg')[i % 3]}" for i in range(CORPUS)]
    for path in found:
        soundfile.write(path, rng.uniform(-0.5, 0.5, (800, 2)), 8000)
    return found


def films(folder: Path) -> list[Path]:
    """Three hundred films of four frames, of which nine differ, in three formats."""
    folder.mkdir()
    found = [folder / f"{i:03}.{('mp4', 'mkv', 'mov')[i % 3]}" for i in range(CORPUS)]
    for i, path in enumerate(found):
        if i < 9:
            graph = f"testsrc2=size=32x24:rate=10:duration=0.4,hue=h={36 * i}"
            command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p", str(path)]
            subprocess.run(command, check=True)
        else:
            path.write_bytes(found[i % 9].read_bytes())
    return found


def picture(data: bytes) -> bytes:
    """Under a sound's name."""
    return cv2.imencode(".png", np.zeros((40, 40, 3), np.uint8))[1].tobytes()


def sound(data: bytes) -> bytes:
    """Under a film's name."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800), 8000, format="WAV")
    return file.getvalue()


CORPORA: dict[str, tuple[Callable[[Path], list[Path]], dict[str, Callable[[bytes], bytes]]]] = {
    "audio": (sounds, {**BREAKS, "picture": picture}),
    "video": (films, {**BREAKS, "sound": sound}),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", CORPORA)
def test_three_hundred_sounds_and_films_one_in_twenty_broken(kind: str, tmp_path: Path) -> None:
    """What is good comes out as if it had been alone."""
    source, output = tmp_path / "in", tmp_path / "out"
    make, ways = CORPORA[kind]
    inputs = make(source)
    good = inputs[20 + 1 : 20 + 4]
    bad = broken(inputs, source, ways)
    stack = {"pipeline": kind, "stack": STACK}
    inputs[5].unlink()
    inputs[5].symlink_to("nowhere")
    bad[inputs[5].name] = "a link to nothing"
    summary = run(source, output, **stack)
    assert (summary.files, len(summary.failures), summary.exit_code) == (CORPUS - len(bad), len(bad), 1)
    check_rows(output, {path.name for path in inputs}, bad)
    whole = outputs(output)
    assert {name.partition("/")[0] for name in whole} == {path.name for path in inputs} - set(bad)
    for path in good:
        run(path, tmp_path / "alone", **stack)
    alone = outputs(tmp_path / "alone")
    assert len(alone) == 2 * len(good)
    assert alone.items() <= whole.items()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("executor", ["serial", "process"])
def test_a_full_disk_stops_the_run(executor: str, tmp_path: Path, small_disk: Path) -> None:
    source, output = tmp_path / "in", small_disk / "out"
    images(source, 12, side=200)  # each becomes two files of about 35 kB
    config = write_config(tmp_path / "c.yaml", source, output, normalize={"sigmoid": {"gain": 40}})
    process = start(config, "--executor", executor, "--workers", "2")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is full" in out
    assert str(small_disk) in out
    assert "Traceback" not in errors
    assert unfinished(output) == []
    found = rows(output)
    assert 0 < len(found) < 12
    assert {row["status"] for row in found.values()} == {"done"}
    assert f"; {12 - len(found)} files left, the same command goes on" in out
    told = {file["path"]: file["sha256"] for row in found.values() for file in row["outputs"]}
    assert told.items() <= outputs(output).items()  # another worker may be done just before its row
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    process = start(config, "--executor", executor)
    assert process.wait(60) == 0
    run(source, tmp_path / "whole", normalize={"sigmoid": {"gain": 40}})
    assert outputs(output) == outputs(tmp_path / "whole")


@pytest.mark.parametrize("pipeline", ["audio", "video"])
def test_every_encoder_tells_a_full_disk(pipeline: str, tmp_path: Path, small_disk: Path) -> None:
    tone = "sine=duration=20:sample_rate=44100"
    noise = "nullsrc=size=320x240:duration=4,geq=random(1)*255:128:128"
    name = "x.wav" if pipeline == "audio" else "x.mp4"
    graph = tone if pipeline == "audio" else noise
    (tmp_path / "in").mkdir()
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", graph, str(tmp_path / "in" / name)]
    subprocess.run(command, check=True)
    stack = [{"conv": {"out_channels": 2, "kernel_size": 3}}]
    summary = run(tmp_path / "in", small_disk / "out", pipeline=pipeline, stack=stack)
    assert "is full" in summary.stopped
    assert summary.left == 1
    assert (summary.files, summary.exit_code) == (0, 1)
    assert outputs(small_disk / "out") == {}


def test_a_full_disk_is_found_however_deep_it_lies() -> None:
    job = Job("x", Path("in/x"), Path("/nowhere"))
    try:
        try:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        except OSError as error:
            raise ValueError("an encoder's words") from error
    except ValueError as error:
        chained = WriteError("cannot be written")
        chained.__cause__ = error
    assert failure_of(chained, job).stops_run
    assert not failure_of(WriteError("cannot be written"), job).stops_run
    assert not failure_of(PermissionError(errno.EACCES, "no"), job).stops_run


CRASHER = """
import os, signal
from mediaconv.pipelines.image import ImagePipeline

class CrashingPipeline(ImagePipeline):
    name = "crashing"

    def open(self, path, options, limits):
        if "crash" in path.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().open(path, options, limits)
"""


@pytest.fixture
def crasher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of four images, one of which crashes the pipeline that takes them."""
    site = tmp_path / "site"
    info = site / "crasher-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "crasher.py").write_text(CRASHER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crasher\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mediaconv.pipelines]\ncrashing = crasher:CrashingPipeline\n")
    inputs = images(tmp_path / "in", 4)
    inputs[1].rename(inputs[1].with_name("crash.png"))
    monkeypatch.setattr("tests.run.running.ROOT", f"{Path(__file__).parents[2]}{os.pathsep}{site}")
    return write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", pipeline="crashing")


def test_a_plug_in_that_crashes_costs_its_file_alone(crasher: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(crasher, "--executor", "process", "--workers", "1", cwd=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    found = rows(output)
    (failed,) = [row for row in found.values() if row["status"] == "failed"]
    assert (Path(failed["input"]).name, failed["stage"], failed["attempts"]) == ("crash.png", "run", 2)
    assert "crash.png" in failed["reason"]
    assert "SIGSEGV" in failed["reason"]
    assert failed["reason"] in errors
    assert f"trying again: {failed['input']}: its worker process was killed by SIGSEGV" in errors
    assert len(outputs(output)) == 6
    assert next(iter(found.values()))["identity"]["code"].endswith("crasher-1.0")


@pytest.mark.parametrize("options", [(), ("--workers", "1")])
def test_one_worker_is_a_process_by_default(options: tuple[str, ...], crasher: Path, tmp_path: Path) -> None:
    for path in images(tmp_path / "in", 4):
        path.unlink()  # only the crash is left: one job
    process = start(crasher, *options, cwd=tmp_path)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "1 failed" in out
    (row,) = rows(tmp_path / "out").values()
    assert (row["status"], row["stage"], row["attempts"]) == ("failed", "run", 2)


def test_serial_gets_past_a_poisonous_file_at_the_next_start(crasher: Path, tmp_path: Path) -> None:
    """It says what it does not protect from; what it left is told and goes on."""
    output = tmp_path / "out"
    process = start(crasher, "--executor", "serial", cwd=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -11
    assert "serial: a crash inside a decoder or a plug-in ends this program too" in errors
    found = rows(output)
    (begun,) = [name for name, row in found.items() if row["status"] == "begun"]
    assert begun.endswith("crash.png")
    process = start(crasher, "--executor", "serial", cwd=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    found = rows(output)
    assert len(found) == 4
    (failed,) = [row for row in found.values() if row["status"] != "done"]
    assert (failed["input"], failed["status"], failed["stage"]) == (begun, "failed", "run")
    assert "SIGSEGV" in failed["reason"]
    assert len((output / "manifest.jsonl").read_text().splitlines()) <= 5
    assert unfinished(output) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' limits are others")
@pytest.mark.parametrize(
    ("limit", "executor", "told"),
    [
        ("-n 10", "serial", "too many open files"),
        ("-n 7", "process", "too many open files"),  # the search of the input
        ("-n 9", "process", "too many open files"),  # the manifest and the lock
        ("-v 1500000", "process", "out of memory"),
        ("-f 0", "process", "may not grow so large"),
        pytest.param("-n 13", "process", "too many open files", marks=pytest.mark.slow),
        pytest.param("-v 1500000", "serial", "out of memory", marks=pytest.mark.slow),
    ],
)
def test_a_starved_run_tells_of_the_shortage_and_the_next_one_resumes(
    limit: str, executor: str, told: str, tmp_path: Path
) -> None:
    """The limits lie between what the program needs to begin and what PyTorch and its workers need."""
    source, output = tmp_path / "in", tmp_path / "out"
    inputs = images(source, 2)
    config = write_config(tmp_path / "c.yaml", source, output, executor=executor, workers=1)
    command = f"ulimit {limit}; exec {sys.executable} -m mediaconv.cli.main run {config}"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, timeout=60)
    assert process.returncode == 1
    words = (process.stdout + process.stderr).lower()
    assert told in words
    assert not re.search("defect|damaged|traceback|error: [a-z]+error", words)
    assert run(source, output).files == len(inputs)
    assert unfinished(output) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (OSError("libx.so: cannot open shared object file: Too many open files"), "too many open files"),
        (RuntimeError("Resource temporarily unavailable"), "no more threads"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no more threads"),
    ],
)
def test_shortage_is_no_defect_and_no_damage(error: Exception, told: str, tmp_path: Path) -> None:
    failure = failure_of(error, Job("a", tmp_path / "a", tmp_path / "out"))
    assert told in failure.reason
    assert "defect" not in failure.reason
