"""Small jobs are handed to workers several at a time; a worker lost with several fails none but its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediaconv.run.executors import process
from mediaconv.run.executors.process import AT_ONCE, SMALL_BYTES, ProcessExecutor
from mediaconv.run.executors.worker_handle import WorkerHandle
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Outcome
from tests.run.fakes import Diary, Reverser, jobs_of
from tests.run.trees import outputs, unfinished

COUNT = 12 * AT_ONCE


def contents(count: int = COUNT) -> dict[str, bytes]:
    return {f"{i:03}.bin": f"contents of {i}".encode() for i in range(count)}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs came with each message to a worker, on a machine where every job is quick."""
    begin, sizes = WorkerHandle.begin, list[int]()

    def counted(self: WorkerHandle, jobs: Sequence[Job], threads: int) -> None:
        sizes.append(len(jobs))
        begin(self, jobs, threads)

    monkeypatch.setattr(WorkerHandle, "begin", counted)
    monkeypatch.setattr(process, "QUICK_SECONDS", 60.0)
    return sizes


def placed(outcome: Outcome) -> Outcome:
    """The outcome, its outputs put in place as the run does."""
    if outcome.result is not None:
        assert outcome.result.staged is not None
        outcome.result.staged.commit()
    return outcome


def handed(jobs: list[Job], **options: float) -> tuple[dict[str, Outcome], Diary]:
    diary = Diary()
    executor = ProcessExecutor(Reverser(holds=True), workers=1, **options)  # type: ignore[arg-type]
    found = [placed(outcome) for outcome in executor.run(jobs, diary)]
    assert sorted(o.job.name for o in found) == sorted(job.name for job in jobs)
    return {o.job.name: o for o in found}, diary


def test_small_jobs_come_several_at_a_time(tmp_path: Path, sizes: list[int]) -> None:
    jobs = jobs_of(tmp_path, contents())
    found, _ = handed(jobs)
    assert max(sizes) == AT_ONCE
    assert sizes[0] == 1  # what a job takes is known after one
    assert all(o.attempts == 1 and o.failure is None for o in found.values())
    expected = {
        f"{name}/channel_0.bin": hashlib.sha256(data[::-1]).hexdigest() for name, data in contents().items()
    }
    assert outputs(tmp_path / "out") == expected


def test_large_inputs_and_limits_of_time_come_one_at_a_time(tmp_path: Path, sizes: list[int]) -> None:
    large = {name: data * (SMALL_BYTES // len(data) + 1) for name, data in contents(4 * AT_ONCE).items()}
    for name in ("large", "timed"):
        (tmp_path / name).mkdir()
    handed(jobs_of(tmp_path / "large", large))
    assert set(sizes) == {1}
    jobs = jobs_of(tmp_path / "timed", contents(4 * AT_ONCE))
    handed(jobs, timeout_seconds=60.0)
    assert set(sizes) == {1}


def test_a_worker_lost_with_several_jobs_fails_its_own_only(tmp_path: Path, sizes: list[int]) -> None:
    files = {**contents(), "050.bin": b"die always", "051.bin": b"once"}
    found, diary = handed(jobs_of(tmp_path, files))
    assert max(sizes) == AT_ONCE
    failure = found["050.bin"].failure
    assert failure is not None
    assert "SIGKILL" in failure.reason
    assert found["050.bin"].attempts == 2
    assert [name for name, o in found.items() if o.failure] == ["050.bin"]
    assert found["051.bin"].attempts <= 2
    assert {o.attempts for name, o in found.items() if name < "050.bin"} == {1}
    assert sum(line[0] == "lost" for line in diary.lines) <= 4 * AT_ONCE
    assert set(outputs(tmp_path / "out")) == {f"{name}/channel_0.bin" for name in files if name != "050.bin"}
    assert unfinished(tmp_path / "out") == []


def test_closing_early_clears_what_was_handed_over_ahead(tmp_path: Path, sizes: list[int]) -> None:
    jobs = jobs_of(tmp_path, contents())
    found = ProcessExecutor(Reverser(holds=True), workers=2).run(jobs, Diary())
    ended = [placed(next(found)).job.name for _ in range(3 * AT_ONCE)]
    found.close()
    assert max(sizes) > 1
    assert unfinished(tmp_path / "out") == []
    assert {path.split("/")[0] for path in outputs(tmp_path / "out")} >= set(ended)


def test_jobs_that_put_their_outputs_in_place_themselves_come_one_at_a_time(
    tmp_path: Path, sizes: list[int]
) -> None:
    """What they made before a worker was lost would be in their own way."""
    list(ProcessExecutor(Reverser(), workers=1).run(jobs_of(tmp_path, contents(4 * AT_ONCE)), Diary()))
    assert set(sizes) == {1}
