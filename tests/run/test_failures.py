"""Folders in which things go wrong: broken files, a full disk, a plug-in that crashes its worker."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaconv.errors import WriteError
from mediaconv.run.perform import failure_of
from mediaconv.run.plan import Job
from tests.run.running import rows, run, start, write_config
from tests.run.trees import STACK, images, outputs, unfinished

CORPUS = 300
EVERY = 20


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """The compressed rows are damaged; header and length are right."""
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
    "flipped": flipped,
    "huge": huge,
    "noise": lambda data: random.Random(0).randbytes(500),
    "header only": lambda data: data[:33],
}


def test_three_hundred_files_one_in_twenty_broken(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    inputs = images(source, CORPUS)
    broken = {}
    for i, path in enumerate(inputs[::EVERY]):
        how = list(BREAKS)[i % len(BREAKS)]
        path.write_bytes(BREAKS[how](path.read_bytes()))
        broken[path.relative_to(source).as_posix()] = how
    misnamed = inputs[1].rename(inputs[1].with_suffix(".jpg"))  # a PNG all the same
    config = write_config(tmp_path / "c.yaml", source, output)
    process = start(config, "--workers", "2")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert f"{CORPUS - len(broken)} files" in out
    assert f"{len(broken)} failed" in out
    names = {path.relative_to(source).as_posix() for path in [*inputs[:1], misnamed, *inputs[2:]]}
    assert set(outputs(output)) == {f"{n}/channel_{c}.png" for n in names - set(broken) for c in (0, 1)}
    found = rows(output)
    assert set(found) == names
    for name, row in found.items():
        assert row["status"] == ("failed" if name in broken else "done")
        if name in broken:
            assert row["stage"] == "read", broken[name]
            assert row["reason"].count("\n") <= 1
            assert Path(name).name in row["reason"]
            assert f"failed: {name}: read: " in errors
    assert not [path for path in output.rglob("*") if path.is_dir() and not any(path.iterdir())]


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
    job = Job("x", Path("in/x"), Path("/nowhere/x"))
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


def test_a_plug_in_that_crashes_costs_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, source, output = tmp_path / "site", tmp_path / "in", tmp_path / "out"
    info = site / "crasher-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "crasher.py").write_text(CRASHER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crasher\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mediaconv.pipelines]\ncrashing = crasher:CrashingPipeline\n")
    inputs = images(source, 4)
    inputs[1].rename(inputs[1].with_name("crash.png"))
    config = write_config(tmp_path / "c.yaml", source, output, stack=STACK, pipeline="crashing")
    monkeypatch.setattr("tests.run.running.ROOT", f"{Path(__file__).parents[2]}{os.pathsep}{site}")
    process = start(config, "--executor", "process", "--workers", "1", cwd=tmp_path)
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
