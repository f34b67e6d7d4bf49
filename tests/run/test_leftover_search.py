"""What killed runs left is found wherever it lies; folders that cannot hold any are not searched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediaconv.errors import UsageError
from mediaconv.filesystem import temporary_name
from mediaconv.run.output.lock import NAME, FolderLock, lock_content
from tests.run.running import rows, run
from tests.run.trees import images, outputs, unfinished

COUNT = 4


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """The output folder of a finished run over `in`."""
    images(tmp_path / "in", COUNT)
    run(tmp_path / "in", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def target(done: Path) -> Path:
    """The folder of one input's outputs."""
    return done / next(iter(rows(done)))


def again(output: Path) -> None:
    """A run over the same inputs, which finds all of them done and leaves no leftover."""
    before = {path: hashed for path, hashed in outputs(output).items() if ".part" not in path}
    assert run(output.parent / "in", output).skipped == COUNT
    assert unfinished(output) == []
    assert outputs(output) == before


def test_folders_into_which_nothing_came_after_their_outputs_are_not_read(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(str(path)), scandir(path))[1])
    assert run(done.parent / "in", done).skipped == COUNT
    monkeypatch.undo()
    assert str(done / "a") in read
    assert not {str(done / name) for name in rows(done)}.intersection(read)


@pytest.mark.parametrize("below", ["", "sub"])
def test_what_came_into_a_folder_later_is_found(target: Path, below: str, done: Path) -> None:
    left = target / below / temporary_name(Path("a.png"))
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"begun")
    again(done)
    assert not left.exists()


def test_so_is_what_lies_in_a_folder_in_it_whatever_its_time(target: Path, done: Path) -> None:
    before = target.stat()
    left = target / "sub" / temporary_name(Path("a.png"))
    left.mkdir(parents=True)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    again(done)
    assert not left.exists()


def test_after_a_kill_every_folder_is_searched(target: Path, done: Path) -> None:
    """Also one that says that nothing came into it: the clock may have been set back."""
    before = target.stat()
    left = target / temporary_name(Path("channel_0.png"))
    left.write_bytes(b"begun")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    (done / NAME).write_bytes(lock_content([]) + b'"another.png"\n')
    again(done)
    assert not left.exists()


def test_a_run_into_the_folder_of_an_inputs_outputs_is_not_disturbed(target: Path, done: Path) -> None:
    lock = FolderLock(target)
    begun = target / temporary_name(Path("a.png"))
    begun.write_bytes(b"begun")
    with pytest.raises(UsageError, match="which overlaps with"):
        run(done.parent / "in", done)
    assert begun.is_file()
    lock.release()
    again(done)
