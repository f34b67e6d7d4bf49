"""Outputs of many jobs put in place together: durable before they are named, named before their row."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from mediaconv import filesystem
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import JobResult, Outcome
from mediaconv.run.output import durability, group_commit
from mediaconv.run.output.durability import FEW, Disk
from mediaconv.run.output.group_commit import MOST_WAITING, GroupCommit
from mediaconv.run.output.staging import Staging
from mediaconv.run.resume.manifest import Manifest, read_manifest
from mediaconv.run.resume.rows import Row
from tests.run.trees import unfinished

COUNT = 3 * FEW


def finished(folder: Path, name: str) -> Outcome:
    """A job whose outputs are complete and wait."""
    with Staging(folder / name) as staging:
        (staging.folder / "channel_0.bin").write_text(name)
        staged = staging.hold()
    result = JobResult([], 0.0, (1, 1), (1, 1), None, staged=staged)
    return Outcome(Job(name, folder / "in", folder), result=result)


def test_what_waits_together_is_synced_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    disk = Disk(tmp_path)
    if disk._call is None:
        pytest.skip("this file system is synced file by file")
    syncfs, fsync, rename = disk._call, os.fsync, os.rename

    def watched(name: str, call):  # type: ignore[no-untyped-def]
        def act(*given):  # type: ignore[no-untyped-def]
            result = call(*given)
            calls.append(name)
            return result

        return act

    monkeypatch.setattr(os, "fsync", watched("fsync", fsync))
    monkeypatch.setattr(os, "rename", watched("rename", rename))
    commits = GroupCommit(tmp_path)
    commits._disk._call = watched("syncfs", syncfs)
    for i in range(COUNT):
        commits.add(finished(tmp_path, f"{i}.png"))
    ended = list(commits.finish())
    assert [o.failure for o in ended] == [None] * COUNT
    assert all(o.result is not None and o.result.staged is None for o in ended)
    assert sorted(p.parent.name for p in tmp_path.rglob("*.bin")) == sorted(f"{i}.png" for i in range(COUNT))
    assert unfinished(tmp_path) == []
    windows = "".join({"syncfs": "S", "fsync": "s", "rename": "R"}[c] for c in calls).split("S")
    assert windows[0].count("R") == 0
    assert all(window.strip("R") == "s" and window.endswith("s") for window in windows[1:])


@pytest.mark.parametrize("trusted", [True, False])
def test_a_file_that_cannot_be_synced_fails_alone(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = finished(tmp_path, "bad.png")
    assert bad.result is not None
    assert bad.result.staged is not None
    broken = str(bad.result.staged.folder)

    def failing(path: Path | str) -> None:
        if str(path).startswith(broken):
            raise OSError(errno.EIO, "broken")
        filesystem.sync(path)

    monkeypatch.setattr(durability, "sync", failing)
    commits = GroupCommit(tmp_path)
    commits._disk._call = (lambda handle: -1) if trusted else None  # of all together it tells that one failed
    commits.add(bad)
    for i in range(COUNT):
        commits.add(finished(tmp_path, f"{i}.png"))
    ended = {o.job.name: o for o in commits.finish()}
    assert len(ended) == COUNT + 1
    failure = ended.pop("bad.png").failure
    assert failure is not None
    assert (failure.stage, failure.reason) == ("write", f"cannot put {tmp_path}/bad.png in place: broken")
    assert all(o.failure is None for o in ended.values())
    assert not (tmp_path / "bad.png").exists()
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("started", [0, 3])
def test_without_threads_to_be_had_files_are_synced_one_by_one(
    started: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path)
    disk._call = None
    paths = [tmp_path / str(i) for i in range(COUNT)]
    for path in paths:
        path.touch()
    synced: list[Path | str] = []
    monkeypatch.setattr(durability, "sync", synced.append)
    left, start = [started], threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    disk.sync(paths)
    assert set(synced) == set(paths)


def test_what_ends_the_thread_ends_the_run_and_leaves_nothing_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = GroupCommit(tmp_path)
    commits.add(finished(tmp_path, "0.png"))

    def short(folders: object) -> None:
        raise MemoryError

    monkeypatch.setattr(commits._disk, "sync_folders", short)
    with pytest.raises(MemoryError):
        commits.finish()
    with pytest.raises(MemoryError):
        commits.add(finished(tmp_path, "1.png"))
    assert list(commits.drop()) == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_whole_outputs_and_nothing_hidden(tmp_path: Path) -> None:
    commits = GroupCommit(tmp_path)
    for i in range(COUNT):
        commits.add(finished(tmp_path, f"{i}.png"))
    ended = {o.job.name for o in commits.drop()}
    assert unfinished(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == ended
    assert all((tmp_path / name / "channel_0.bin").read_text() == name for name in ended)


def test_a_slow_disk_holds_the_jobs_up(tmp_path: Path) -> None:
    commits = GroupCommit(tmp_path)
    for i in range(MOST_WAITING + 5):
        commits.add(finished(tmp_path, f"{i}.png"))
        assert len(commits._waiting) + len(commits._under_way) <= MOST_WAITING
    assert len(list(commits.finish())) == MOST_WAITING + 5


def test_an_interrupt_while_a_slow_disk_is_waited_for_leaves_nothing_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, synced = GroupCommit(tmp_path), threading.Event()
    monkeypatch.setattr(commits._disk, "sync_folders", lambda folders: synced.wait(60))
    monkeypatch.setattr(group_commit, "STOP_SECONDS", 0.01)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    for i in range(MOST_WAITING):
        commits.add(finished(tmp_path, f"{i}.png"))
    last = finished(tmp_path, "last.png")
    with monkeypatch.context() as patch:
        patch.setattr(commits._changed, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            commits.add(last)
    assert list(commits.drop()) == []
    synced.set()
    assert list(tmp_path.iterdir()) == []


def test_rows_of_jobs_before_it_leave_the_note_of_the_job_under_way(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.begin(Row("a", "begun"))
        manifest.begin(Row("b", "begun"))  # a is finished, and waits to be put in place
        manifest.add(Row("a", "done"))
        assert {n: row.status for n, row in read_manifest(tmp_path).items()} == {"a": "done", "b": "begun"}
        manifest.add(Row("b", "done"))
    assert {n: row.status for n, row in read_manifest(tmp_path).items()} == {"a": "done", "b": "done"}
    assert (tmp_path / "manifest.jsonl").read_bytes().count(b"\n") == 2
