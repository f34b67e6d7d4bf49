"""Whole runs over disks that fail at the n-th call, for every n, and over every moment of a power cut.

After each, nothing that was there is lost, what bears an output's name is whole, and the next run ends with
the tree of an undisturbed one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from mediaconv.errors import MediaconvError
from mediaconv.run.runner import Selection, run_folder
from tests.run.fakes import Reverser
from tests.run.running import parsed, rows
from tests.run.storage_faults import FailingDisk, PowerCut, Tree, calls_on, lay
from tests.run.trees import unfinished

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
INPUTS = {"a/one.png": b"one" * 40, "two.png": b"two" * 50}
OWN = {"manifest.jsonl", "run.yaml", ".mediaconv.lock"}
AGAIN = Selection(overwrite=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, data in INPUTS.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "in"


def run(
    source: Path, output: Path, selection: Selection | None = None, *, holds: bool = False, **keys: object
) -> int:
    config = parsed(source, output, executor="serial", **keys)
    return run_folder(config, selection=selection or Selection(), make=Reverser(holds=holds)).exit_code


def files(folder: Path) -> dict[str, bytes]:
    """All files that are not the run's own nor unfinished."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in OWN and ".part-" not in str(path.relative_to(folder))
    }


def expected(extra: bytes = b"") -> dict[str, bytes]:
    found = {f"{name}/channel_0.bin": (data + extra)[::-1] for name, data in INPUTS.items()}
    return {**found, "mine.txt": b"mine", "two.png/.notes": b"mine too"}


def begin(source: Path, output: Path, *, done: bool) -> Selection:
    """An output folder with files of a user's, and, where `done`, outputs of inputs that have changed."""
    (output / "two.png").mkdir(parents=True)
    (output / "mine.txt").write_bytes(b"mine")
    (output / "two.png/.notes").write_bytes(b"mine too")
    if done:
        assert run(source, output) == 0
        for name, data in INPUTS.items():
            (source / name).write_bytes(data + b"!")
    return AGAIN if done else Selection()


def check(output: Path, *, done: bool) -> None:
    """Whole, and nothing lost: each output is the one from before or the new one."""
    found, old = files(output), expected()
    new = expected(b"!") if done else old
    for name, content in found.items():
        assert content in (old[name], new[name]), name
    kept = old if done else {"mine.txt": b"", "two.png/.notes": b""}
    assert found.keys() >= kept.keys()


def end(source: Path, output: Path, *, done: bool) -> None:
    """The next run."""
    assert run(source, output) == 0
    assert files(output) == expected(b"!" if done else b"")
    assert unfinished(output) == []
    assert {row["status"] for row in rows(output).values()} == {"done"}
    assert not (output / ".mediaconv.lock").exists()


@pytest.mark.parametrize(
    ("holds", "number"),
    [
        (False, errno.EIO),
        (False, errno.ENOSPC),
        (False, errno.EMFILE),
        (True, errno.EIO),
        (True, errno.ENOSPC),
    ],
)
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("lasting", [False, True])
def test_a_disk_that_fails_at_any_call(
    holds: bool, lasting: bool, done: bool, number: int, source: Path, tmp_path: Path
) -> None:
    output, untouched = tmp_path / "out", tmp_path / "untouched"
    selection = begin(source, untouched, done=done)
    shutil.copytree(untouched, output)
    undisturbed = FailingDisk(0)
    with calls_on(output, undisturbed, lambda name: None):
        assert run(source, output, selection, holds=holds) == 0
    assert undisturbed.calls > 30
    for at in range(1, undisturbed.calls + 1):
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(untouched, output)
        disk = FailingDisk(at, number, lasting=lasting)
        with calls_on(output, disk, lambda name: None), contextlib.suppress(MediaconvError):
            assert run(source, output, selection, holds=holds) in (0, 1)
        check(output, done=done)
        end(source, output, done=done)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("holds", [False, True])
def test_the_power_is_cut_at_any_moment(holds: bool, done: bool, source: Path, tmp_path: Path) -> None:
    """holds: outputs are put in place together, by another thread."""
    output, after = tmp_path / "out", tmp_path / "after"
    selection = begin(source, output, done=done)
    seen: list[Tree] = []

    def look(tree: Tree) -> None:
        if tree not in seen:
            seen.append(tree)

    cut = PowerCut(output, look)
    fsync = os.fsync

    def synced(handle: int) -> None:
        fsync(handle)
        cut.synced(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        with calls_on(output, lambda name: None, cut.after):
            assert run(source, output, selection, holds=holds) == 0
    cut.close()
    assert len(seen) > 30
    for tree in seen:
        shutil.rmtree(after, ignore_errors=True)
        lay(tree, after)
        check(after, done=done)
        end(source, after, done=done)
