"""Two runs on one output folder, or on one inside the other: the second refuses, by whatever links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediaconv.errors import UsageError
from mediaconv.filesystem import temporary_name
from mediaconv.run.output.lock import NAME, FolderLock
from tests.run.running import run
from tests.run.trees import images, unfinished


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one image; `out/x` is there, and `link` leads to it."""
    images(tmp_path / "in", 1)
    (tmp_path / "out/x").mkdir(parents=True)
    os.symlink("out/x", tmp_path / "link")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("held", "wanted"),
    [("out/x", "out/x"), ("out/x", "link"), ("link", "out/x"), ("out", "out/x"), ("out", "link/y/z")],
)
def test_the_same_folder_and_one_inside_are_refused(
    held: str, wanted: str, source: Path, tmp_path: Path
) -> None:
    lock = FolderLock(tmp_path / held)
    with pytest.raises(UsageError, match=rf"another run is writing to .* \(process {os.getpid()} on .*wait"):
        run(source, tmp_path / wanted)
    lock.release()
    lock.release()
    assert run(source, tmp_path / wanted).files == 1
    assert not list(tmp_path.rglob(NAME))


def test_one_around_another_is_refused_and_takes_nothing_of_it_away(source: Path, tmp_path: Path) -> None:
    assert run(source, tmp_path / "out").files == 1
    lock = FolderLock(tmp_path / "out/x")
    begun = tmp_path / "out/x" / temporary_name(Path("a.png"))
    begun.mkdir()
    with pytest.raises(UsageError, match=r"writing to .*/out/x .*, which overlaps with .*/out; wait for it"):
        run(source, tmp_path / "out")
    assert begun.is_dir()
    assert run(source, tmp_path / "out2").files == 1  # beside it, not around it
    lock.release()
    assert run(source, tmp_path / "out").skipped == 1
    assert unfinished(tmp_path / "out") == []


def test_a_lock_file_that_nobody_holds_is_none(source: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("1 on nowhere\n")
    (tmp_path / "out/x" / NAME).write_text("1 on nowhere\n")
    assert run(source, tmp_path / "out").files == 1
    assert run(source, tmp_path / "out/x").files == 1
