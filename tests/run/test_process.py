"""Workers that crash, hang and are killed, with jobs that need no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import PIL.Image
import psutil
import pytest

from mediaconv.config import load_config
from mediaconv.errors import MediaconvError
from mediaconv.run.executors.process import ProcessExecutor
from mediaconv.run.executors.resources import choose_workers
from mediaconv.run.executors.select_executor import largest_bytes
from mediaconv.run.executors.serial import SerialExecutor
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Outcome
from tests.run.fakes import Diary, Reverser, Surroundings, Unstartable, Waiting, jobs_of
from tests.run.running import write_config
from tests.run.trees import images, outputs, unfinished

GOOD = {f"{i}.bin": f"contents of {i}".encode() for i in range(6)}


def run(folder: Path, contents: dict[str, bytes], **keys: object) -> tuple[dict[str, Outcome], Diary]:
    jobs = jobs_of(folder, contents)
    diary = Diary()
    found = list(ProcessExecutor(Reverser(), workers=2, **keys).run(jobs, diary))  # type: ignore[arg-type]
    assert len(found) == len(jobs)
    return {outcome.job.name: outcome for outcome in found}, diary


def children() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True)}


def test_outputs_are_those_of_serial(tmp_path: Path) -> None:
    before = children()
    found, _ = run(tmp_path, GOOD)
    here = outputs(tmp_path / "out")
    jobs = [Job(name, tmp_path / "in" / name, tmp_path / "serial") for name in GOOD]
    serial = list(SerialExecutor(Reverser()).run(jobs, Diary()))
    assert [outcome.job for outcome in serial] == jobs
    assert here == outputs(tmp_path / "serial")
    assert {name: outcome.result for name, outcome in found.items()} == {o.job.name: o.result for o in serial}
    assert children() == before


def test_a_files_error_is_its_own(tmp_path: Path) -> None:
    found, diary = run(tmp_path, {**GOOD, "x.bin": b"bad from the start"})
    failure = found["x.bin"].failure
    assert failure is not None
    assert (failure.stage, failure.stops_run) == ("read", False)
    assert str(tmp_path / "in" / "x.bin") in failure.reason
    assert set(outputs(tmp_path / "out")) == {f"{name}/channel_0.bin" for name in GOOD}
    assert sorted(line[2] for line in diary.lines if line[0] == "started") == sorted(found)


def test_a_worker_that_kills_itself_costs_its_job_after_a_second_try(tmp_path: Path) -> None:
    found, diary = run(tmp_path, {**GOOD, "x.bin": b"die always"})
    assert found["x.bin"].attempts == 2
    failure = found["x.bin"].failure
    assert failure is not None
    assert failure.stage == "run"
    assert str(tmp_path / "in" / "x.bin") in failure.reason
    assert "SIGKILL" in failure.reason
    assert set(outputs(tmp_path / "out")) == {f"{name}/channel_0.bin" for name in GOOD}
    assert [line[2] for line in diary.lines if line[0] == "started"].count("x.bin") == 2


def test_a_job_whose_worker_died_once_is_done_by_another(tmp_path: Path) -> None:
    found, diary = run(tmp_path, {**GOOD, "x.bin": b"once"})
    assert found["x.bin"].result is not None
    assert found["x.bin"].attempts == 2
    assert ("lost", "x.bin", "its worker process was killed by SIGKILL (out of memory?)") in diary.lines
    assert (tmp_path / "out" / "x.bin" / "channel_0.bin").read_bytes() == b"ecno"
    assert unfinished(tmp_path / "out") == []


def test_a_job_over_its_time_is_ended_and_not_tried_again(tmp_path: Path) -> None:
    began = time.monotonic()
    found, _ = run(tmp_path, {"x.bin": b"hang", **GOOD}, timeout_seconds=1.0)
    assert time.monotonic() - began < 20
    failure = found["x.bin"].failure
    assert failure is not None
    assert failure.stage == "run"
    assert "timeout_seconds: 1" in failure.reason
    assert found["x.bin"].attempts == 1
    assert all(found[name].result is not None for name in GOOD)
    assert unfinished(tmp_path / "out") == []


def test_closing_early_ends_all_workers_with_nothing_partial(tmp_path: Path) -> None:
    before = children()
    jobs = jobs_of(tmp_path, {"b.bin": b"hang", "a.bin": b"quick", "c.bin": b"hang"})
    found = ProcessExecutor(Reverser(), workers=2).run(jobs, Diary())
    assert next(found).job.name == "a.bin"
    until = time.monotonic() + 10
    while not unfinished(tmp_path / "out") and time.monotonic() < until:
        time.sleep(0.01)
    assert unfinished(tmp_path / "out")
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 2
    assert unfinished(tmp_path / "out") == []
    assert children() == before


def test_workers_that_never_start_are_an_error_not_a_loop(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, GOOD)
    with pytest.raises(MediaconvError, match=r"3 workers in a row could not start.*SIGKILL"):
        list(ProcessExecutor(Unstartable(), workers=1).run(jobs, Diary()))
    with pytest.raises(MediaconvError, match="no such thing"):
        list(ProcessExecutor(Unstartable("no such thing"), workers=1).run(jobs, Diary()))


def test_further_workers_come_when_the_work_is_worth_them(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, GOOD)
    few, many = Diary(), Diary()
    list(ProcessExecutor(Reverser(), workers=2, grow=True).run(jobs, few))
    list(ProcessExecutor(Reverser(1.0), workers=2, grow=True).run(jobs, many))
    assert {line[1] for line in few.lines if line[0] == "started"} == {0}
    assert {line[1] for line in many.lines if line[0] == "started"} == {0, 1}


def test_threads_are_divided_among_workers(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, GOOD)
    executor = ProcessExecutor(Surroundings(), workers=2, threads=7)
    found = [o.failure.reason for o in executor.run(jobs, Diary()) if o.failure]
    assert found == ['{"threads": 3}'] * len(jobs)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    """Killed without a chance to say anything, a run leaves no process behind."""
    jobs_of(tmp_path, {"a.bin": b"hang", "b.bin": b"hang"})
    program = (
        "from pathlib import Path\n"
        "from tests.run.fakes import *\n"
        "from mediaconv.run.executors.process import ProcessExecutor\n"
        f"jobs = jobs_of(Path({str(tmp_path)!r}), {{'a.bin': b'hang', 'b.bin': b'hang'}})\n"
        "list(ProcessExecutor(Reverser(), workers=2).run(jobs, Diary()))\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": "."}
    )
    until = time.monotonic() + 30
    while len(unfinished(tmp_path / "out")) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert alive == []


def test_workers_are_as_many_as_the_largest_picture_lets(tmp_path: Path) -> None:
    assert choose_workers(100, "cpu", 10**15) == 1
    images(tmp_path / "in", 3, side=50)
    config = load_config(write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out"))
    paths = sorted((tmp_path / "in").rglob("*.png"))
    jobs = [SimpleNamespace(input=path) for path in [*paths, tmp_path / "gone.png"]]
    bands = len(PIL.Image.open(paths[0]).getbands())
    assert largest_bytes(config, jobs) == 3 * 50 * 50 * bands  # type: ignore[arg-type]


@pytest.mark.parametrize(("set_by_user", "found"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_of_a_worker_sleep_unless_the_user_says_otherwise(
    set_by_user: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if set_by_user:
        monkeypatch.setenv("OMP_WAIT_POLICY", set_by_user)
    (outcome,) = ProcessExecutor(Waiting(), workers=1).run(jobs_of(tmp_path, {"a.bin": b""}), Diary())
    assert outcome.failure is not None
    assert outcome.failure.reason == found
