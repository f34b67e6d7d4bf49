"""What a user and a program are told: progress, summary, the plan of a dry run, the status."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mediaconv.run.jobs.dry_run import forecast
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, JobResult, Outcome, clipped_note
from mediaconv.run.report.progress import LineReporter, QuietReporter
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.status import read_status
from mediaconv.run.runner import run_folder
from tests.program import run_program
from tests.run.running import parsed, rows, start, write_config
from tests.run.trees import images, outputs

SOUND = {"pipeline": "audio", "stack": [{"conv": {"out_channels": 3, "kernel_size": 5}}]}


def call(config: Path, *options: str, code: int = 0) -> tuple[str, str]:
    process = start(config, *options)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return out, errors


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two sounds of 1 and 3 seconds; the configuration over them."""
    (tmp_path / "in").mkdir()
    for name, seconds in (("a", 1), ("b", 3)):
        soundfile.write(tmp_path / "in" / f"{name}.wav", np.zeros(8000 * seconds), 8000)
    return write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", **SOUND)


def test_a_summary_on_stdout_and_progress_on_stderr(sounds: Path, tmp_path: Path) -> None:
    out, errors = call(sounds, "--executor", "serial")
    assert re.match(r"2 files, 6 channels, 4\.0 s of media in [\d.]+ s \([\d.]+ x real time\)\n", out)
    assert out.endswith(f"outputs: {tmp_path / 'out'}\n")
    lines = errors.splitlines()
    assert lines[0] == "2 files to convert; up to 1 worker"
    assert lines[-1].startswith("[2/2] b.wav")
    out, errors = call(sounds)
    assert out.startswith("0 files, 0 channels in ")
    assert "2 skipped (done already)" in out
    assert errors == ""


def test_json_is_one_document_and_quiet_says_nothing(sounds: Path, tmp_path: Path) -> None:
    assert call(sounds, "--quiet", "--executor", "serial") == ("", "")
    (tmp_path / "in" / "c.wav").write_bytes(b"no sound")
    out, errors = call(sounds, "--quiet", "--json", code=1)
    told = json.loads(out)
    assert (told["files"], told["skipped"], told["failed"]) == (0, 2, 1)
    assert told["failures"][0]["input"] == "c.wav"
    assert told["failures"][0]["stage"] == "read"
    assert errors == f"failed: c.wav: read: {told['failures'][0]['reason']}\n"
    out, _ = call(sounds, "--json", "--overwrite", "--include", "[ab]*", "--executor", "serial")
    told = json.loads(out)
    assert (told["files"], told["channels"], told["media_seconds"]) == (2, 6, 4.0)
    assert told["bytes"] == sum(p.stat().st_size for p in (tmp_path / "out").rglob("channel_*.wav"))


def test_a_terminal_gets_bars(sounds: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mediaconv.cli.main", "run", str(sounds)]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait(60) == 0
    assert b"all files" in shown
    assert b"a.wav" in shown
    assert b"2/2" in shown


def test_a_dry_run_tells_all_and_does_nothing(sounds: Path, tmp_path: Path) -> None:
    out, _ = call(sounds, "--dry-run")
    assert f"{tmp_path}/in/a.wav -> {tmp_path}/out/a.wav/  (new)" in out
    assert re.search(
        r"2 files to run, 0 skipped; about [\d.]+ kB and [\d.]+ s .*\(from a trial of b.wav\)", out
    )
    assert not (tmp_path / "out").exists()
    call(sounds, "--include", "a.wav")
    before = sorted(p.name for p in (tmp_path / "out").rglob("*"))
    told = json.loads(call(sounds, "--dry-run", "--json")[0])
    assert [(job["input"], job["reason"]) for job in told["run"]] == [(f"{tmp_path}/in/b.wav", "new")]
    assert told["run"][0]["outputs"] == f"{tmp_path}/out/b.wav"
    assert [job["input"] for job in told["skip"]] == [f"{tmp_path}/in/a.wav"]
    assert told["estimate"]["basis"] == "1 file done before"
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == before
    call(sounds, "--executor", "serial")
    written = sum(p.stat().st_size for p in (tmp_path / "out" / "b.wav").iterdir())
    assert told["estimate"]["bytes"] == pytest.approx(written, rel=0.05)  # headers weigh more in short files


def test_status_for_people_and_programs(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "c.wav").write_bytes(b"no sound")
    call(sounds, "--executor", "serial", code=1)
    command = ["status", str(tmp_path / "out")]
    done = run_program(*command, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'out'}: 2 done, 1 failed, 0 missing, 0 stale"
    told = json.loads(run_program(*command, "--json", cwd=tmp_path).stdout)
    assert told["counts"] == {"done": 2, "failed": 1, "missing": 0, "stale": 0}
    (failed,) = told["failed"]
    assert (failed["input"], failed["stage"]) == ("c.wav", "read")
    assert failed["reason"] == rows(tmp_path / "out")["c.wav"]["reason"]
    assert f"failed: c.wav: read: {failed['reason']}\n" in done.stdout
    (tmp_path / "in" / "c.wav").unlink()
    soundfile.write(tmp_path / "in" / "c.wav", np.zeros(800), 8000)
    out, _ = call(sounds, "--retry-failed", "--executor", "serial")
    assert out.startswith("1 file, 3 channels")
    assert rows(tmp_path / "out")["c.wav"]["status"] == "done"


def test_wrong_options_are_said_with_what_is_allowed(sounds: Path) -> None:
    for option, value, allowed in (
        ("--workers", "0", "auto or an integer >= 1"),
        ("--executor", "threads", "'auto', 'serial', 'process' or 'ray'"),
        ("--timeout-seconds", "-1", "number"),
        ("--max-failures", "many", "integer"),
    ):
        out, errors = call(sounds, option, value, code=2)
        assert allowed in errors
        assert errors.startswith(f"error: {option} {value}: {option[2:].replace('-', '_')}: got ")
        assert out == ""


def test_outputs_do_not_depend_on_executor_workers_or_threads(tmp_path: Path) -> None:
    images(tmp_path / "in", 4, side=90)
    found = []
    for name, options in {
        "serial": ["--executor", "serial"],
        "two": ["--executor", "process", "--workers", "2"],
        "one": ["--executor", "process", "--workers", "1", "--timeout-seconds", "60"],
    }.items():
        config = write_config(tmp_path / f"{name}.yaml", tmp_path / "in", tmp_path / name)
        call(config, *options)
        found.append(outputs(tmp_path / name))
    assert len(found[0]) == 8
    assert found[0] == found[1] == found[2]


def ended(name: str, **keys: Any) -> Outcome:
    return Outcome(Job(name, Path(name), Path("out")), **keys)


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Line breaks and escape sequences are spelled out wherever a name is shown."""
    (path,) = images(tmp_path / "in", 1)
    name, shown = "новый\n\x1b[2J.png", "новый\\n\\x1b[2J.png"
    path.rename(tmp_path / "in" / name)
    config = parsed(tmp_path / "in", tmp_path / "out")
    assert f"{tmp_path}/in/{shown} -> {tmp_path}/out/{shown}/  (new)" in forecast(config).lines()
    (tmp_path / "in" / name).write_bytes(b"no image")
    summary = run_folder(config, reporter=LineReporter())
    summary.stopped = "enough"
    for text in (
        capsys.readouterr().err,
        "\n".join(summary.lines()),
        "\n".join(read_status(tmp_path / "out").lines()),
    ):
        assert f"failed: {shown}: read: " in text
        assert "\x1b" not in text


def test_plain_lines_come_now_and_then_and_failures_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("mediaconv.run.report.progress.time.monotonic", lambda: clock[0])
    reporter = LineReporter()
    reporter.begin(100, 7, 2)
    result = JobResult([], 0.0, (1, 1), (1, 1), None)
    reporter.started(0, Job("film.mp4", Path("film.mp4"), Path("out")))
    clock[0] += 2.5  # loading libraries
    reporter.advanced(0, 1, 100, 0.1)
    for i in range(40):
        clock[0] += 0.4
        reporter.ended(ended(f"{i}.png", result=result))
    clock[0] += 4
    reporter.advanced(0, 25, 100, 2.5)
    reporter.ended(ended("x.png", failure=Failure("read", "is empty")))
    assert capsys.readouterr().err.splitlines() == [
        "100 files to convert, 7 done already; up to 2 workers",
        "[19/100] 18.png, 43.1 s left",
        "[40/100] film.mp4: 2.5 s of 10.0 s, 0.11 x real time, 1:02 left",
        "failed: x.png: read: is empty",
    ]


def test_traces_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("run", "defect", trace="Traceback ...\nValueError: x\n")
    QuietReporter(traces=True).ended(ended("x", failure=failure))
    QuietReporter().ended(ended("y", failure=failure))
    assert (
        capsys.readouterr().err
        == "Traceback ...\nValueError: x\nfailed: x: run: defect\nfailed: y: run: defect\n"
    )


def test_notes_are_told_once_with_their_inputs() -> None:
    summary = Summary("out", seconds=1.0)
    for name in ("a", "b", "c"):
        result = JobResult(
            [], 0.0, (1, 8), (2, 8), 1.0, notes=["rate rounded to 3"] if name != "b" else ["other"]
        )
        summary.add(ended(name, result=result))
    assert "note: a and 1 more: rate rounded to 3" in summary.lines()
    assert "note: b: other" in summary.lines()
    assert summary.as_json()["notes"] == [
        {"input": "a", "note": "rate rounded to 3"},
        {"input": "b", "note": "other"},
        {"input": "c", "note": "rate rounded to 3"},
    ]


def test_an_estimate_forgets_a_slow_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("mediaconv.run.report.progress.time.monotonic", lambda: clock[0])
    reporter = QuietReporter()
    reporter.begin(1000, 0, 1)
    result = JobResult([], 0.0, (1, 1), (1, 1), None)
    clock[0] = 60.0  # the first file compiles kernels
    reporter.ended(ended("0", result=result))
    assert reporter.remaining() == ""  # of one file nothing is foretold
    for i in range(1, 41):
        clock[0] += 1.0
        reporter.ended(ended(str(i), result=result))
    assert reporter.remaining() == ", 15:59 left"


def test_clipped_values_of_many_files_are_one_line() -> None:
    summary = Summary("out", seconds=1.0)
    for i in range(13):
        notes = [clipped_note(1000 + i), "other"]
        summary.add(ended(f"{i}.wav", result=JobResult([], 0.0, (1, 8), (2, 8), 1.0, 1000 + i, notes)))
    told = [line for line in summary.lines() if "clipped" in line]
    assert told == [
        "note: 0.wav and 12 more: 13,078 values lay outside the range of the file and were clipped in all: "
        "normalize: sigmoid, or minmax over the whole file, brings them into it, and write: {layout: tensor} "
        "stores them as they are"
    ]
    assert "note: 0.wav and 12 more: other" in summary.lines()


@pytest.mark.parametrize(
    ("keys", "clips"),
    [
        ({"normalize": "none"}, True),
        ({"normalize": "sigmoid"}, False),
        ({"normalize": "minmax"}, False),
        ({"normalize": "none", "write": {"layout": "tensor"}}, False),
    ],
)
def test_what_a_note_on_clipped_values_says_to_do_keeps_them(tmp_path: Path, keys: Any, clips: bool) -> None:
    soundfile.write(tmp_path / "a.wav", np.linspace(-1, 1, 800), 8000)
    stack = [{"conv": {"out_channels": 1, "kernel_size": 1, "weight": [[[3.0]]], "bias": False}}]
    config = write_config(
        tmp_path / "c.yaml", tmp_path / "a.wav", tmp_path / "out", pipeline="audio", stack=stack, **keys
    )
    done = run_program("run", config, "--executor", "serial", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line for line in (done.stdout + done.stderr).splitlines() if "outside the range" in line]
    assert bool(told) == clips
    assert all("normalize: sigmoid" in line and "write: {layout: tensor}" in line for line in told)


def test_results_are_a_table_and_csv(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "=cmd|' C calc'!A0.wav", np.zeros(800), 8000)
    (tmp_path / "in" / "long").mkdir()
    soundfile.write(tmp_path / "in" / "long" / ("x" * 100 + ".wav"), np.zeros(1600), 8000)
    (tmp_path / "in" / "zz.wav").write_text("no sound")
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", **SOUND)
    run_program("run", config, "--executor", "serial", cwd=tmp_path)
    table = run_program("status", "out", "--table", cwd=tmp_path).stdout.splitlines()
    assert table[0].split()[:4] == ["input", "status", "took", "length"]
    assert all(len(line) <= 120 for line in table[:4])
    states = [next(word for word in line.split() if word in ("done", "failed")) for line in table[1:4]]
    assert states == ["done", "done", "failed"]
    told = run_program("status", "out", "--csv", cwd=tmp_path).stdout
    rows = list(csv.DictReader(told.splitlines()))
    assert rows[0]["input"] == "'=cmd|' C calc'!A0.wav"
    assert (rows[0]["output_shape"], rows[0]["files"], rows[0]["media_seconds"]) == ("3x800", "3", "0.1")
    assert (rows[2]["status"], rows[2]["stage"]) == ("failed", "read")
    assert run_program("status", "out", "--csv", "--json", cwd=tmp_path).returncode == 2
