"""Ctrl-C and SIGTERM: within two seconds, status 130, no process and nothing partial left."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from mediaconv.errors import UsageError
from mediaconv.run.output.folder import open_output
from tests.run.running import ROOT, begin, rows, start, wait_for_work, write_config
from tests.run.trees import images, outputs, unfinished

pytestmark = pytest.mark.long

LAYERS = [
    {"conv": {"out_channels": 32, "kernel_size": 9}},
    "relu",
    {"conv": {"out_channels": 2, "kernel_size": 9}},
]


@pytest.mark.parametrize(
    ("executor", "number"),
    [("serial", signal.SIGINT), ("process", signal.SIGINT), ("process", signal.SIGTERM)],
)
def test_a_signal_ends_a_run_cleanly(executor: str, number: int, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    images(source, 4, side=1500)
    config = write_config(tmp_path / "c.yaml", source, output, stack=LAYERS, executor=executor, workers=2)
    process = start(config)
    wait_for_work(output, process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert (len(family) > 0) == (executor == "process")
    began = time.monotonic()
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert out == ""
    assert psutil.wait_procs(family, timeout=0.5)[1] == []
    assert unfinished(output) == []
    assert not (output / ".mediaconv.lock").exists()
    if (output / "manifest.jsonl").read_text():
        assert set(rows(output)) == {name.rsplit("/", 1)[0] for name in outputs(output)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [["run", "--dry-run"], ["prove"]])
def test_no_folder_of_temporary_files_is_left(
    words: list[str], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "in", 1, side=1500)
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", stack=LAYERS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = begin(*words, str(config))
    until = time.monotonic() + 60
    while not list(temporary.glob("mediaconv-*/*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (out, errors.splitlines()[-1]) == ("", "interrupted")
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert list(temporary.glob("mediaconv-*")) == []  # torch keeps a cache of its own there


def test_inside_a_long_call_of_a_library_too(tmp_path: Path) -> None:
    """The main thread computes in C, where no Python runs: another thread ends the process."""
    program = (
        "import torch\n"
        "from mediaconv.interrupt import ends_promptly\n"
        "torch.set_num_threads(1)\n"
        "large = torch.ones(7000, 7000)\n"
        "with ends_promptly(lambda: open('cleaned', 'w').close()):\n"
        "    print('begun', flush=True)\n"
        "    torch.linalg.svd(large)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert 1 < time.monotonic() - began < 10  # the decomposition takes minutes
    assert (tmp_path / "cleaned").exists()
    process.communicate()


def test_a_second_run_on_the_same_folder_refuses(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    images(source, 3, side=1500)
    config = write_config(tmp_path / "c.yaml", source, output, stack=LAYERS, executor="serial")
    first = start(config)
    wait_for_work(output, first)
    second = start(config, cwd=ROOT)
    out, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"another run is writing to {output} (process {first.pid}" in errors
    assert out == ""
    first.kill()
    first.communicate()
    assert start(config, "--dry-run").wait(60) == 0  # killed, the first holds nothing
    third = start(config, "--max-failures", "0", "--set", "stack=[relu]")
    assert third.wait(60) == 0, third.communicate()
    assert unfinished(output) == []


def test_who_looks_at_an_output_elsewhere_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    looking = open_output("memory://nobody/out", write=False)
    looking.__enter__()
    assert list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt) as interrupted:
        signal.raise_signal(signal.SIGTERM)
    assert not looking.__exit__(KeyboardInterrupt, interrupted.value, None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="nowhere"):
        open_output("nowhere://x", write=True).__enter__()
    assert list(tmp_path.iterdir()) == []
