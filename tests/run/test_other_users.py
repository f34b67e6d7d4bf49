"""A run by one user among the files of another: permissions, sticky folders, umask.

The second user is a forked process that gives root's rights away; elsewhere these tests are skipped. Jobs are
without media, so nothing is loaded after the fork.
"""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediaconv.errors import MediaconvError
from mediaconv.run.resume.status import read_status
from mediaconv.run.runner import Selection, run_folder, survey_run
from tests.mutation.nobody import become_nobody
from tests.run.fakes import Reverser
from tests.run.running import ROOT, parsed, rows, write_config
from tests.run.trees import images, unfinished

NOBODY = 65534
AGAIN = Selection(overwrite=True)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that all may write in, and none remove another's files from, as /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="mediaconv-shared-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def source(shared: Path) -> Path:
    (shared / "in").mkdir()
    for name in ("a.png", "b.png"):
        (shared / "in" / name).write_bytes(name.encode() * 9)
    return shared / "in"


def as_nobody(act: Callable[[], object], umask: int = 0o022) -> str:
    """What the call says or raises when another user makes it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.umask(umask)
            try:
                said = f"{act()}"
            except MediaconvError as error:
                said = f"exit {error.exit_code}: {error}"
        except BaseException:
            said = traceback.format_exc()
        os.write(writing, said.encode()[-4000:])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def convert(source: Path, output: Path, selection: Selection | None = None) -> str:
    summary = run_folder(
        parsed(source, output, executor="serial"), selection=selection or Selection(), make=Reverser()
    )
    told = "".join(f" {failure}" for failure in summary.failures)
    return f"exit {summary.exit_code}{told}"


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Owner, mode and bytes of everything."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = status.st_uid, status.st_mode, content
    return found


def test_another_users_output_folder_is_left_as_it_is(source: Path, shared: Path) -> None:
    output = shared / "out"
    assert convert(source, output) == "exit 0"
    before = tree(shared)
    for selection in (Selection(), AGAIN):
        said = as_nobody(lambda selection=selection: convert(source, output, selection))
        assert said.startswith("exit 2: ")
        assert str(output) in said
        assert "ermission denied" in said
    assert "a.png" in as_nobody(lambda: read_status(output).done)  # to look at it is allowed
    assert as_nobody(lambda: len(survey_run(parsed(source, output)).skipped)) == "2"
    assert tree(shared) == before


def test_nothing_of_anothers_is_replaced_where_all_may_write(source: Path, shared: Path) -> None:
    """The folders are sticky and open to all: names may be added, another's not renamed or removed."""
    output = shared / "out"
    assert convert(source, output) == "exit 0"
    for path in (output, output / "a.png", output / "b.png"):
        path.chmod(0o1777)
    before = tree(output)
    said = as_nobody(lambda: convert(source, output, AGAIN))
    assert said.startswith("exit 2: ")
    assert "ermission denied" in said
    for name in ("manifest.jsonl", "run.yaml"):
        (output / name).chmod(0o666)
    (output / ".mediaconv.lock").touch(0o666)
    (output / ".mediaconv.lock").chmod(0o666)
    said = as_nobody(lambda: convert(source, output, AGAIN))
    assert "Traceback" not in said
    assert not said.startswith("exit 0")
    for name, (owner, _, content) in before.items():
        if name.endswith(".bin"):
            assert Path(name).read_bytes() == content
            assert Path(name).stat().st_uid == owner
    assert convert(source, output, AGAIN) == "exit 0"  # who owns them goes on


@pytest.mark.parametrize("name", ["manifest.jsonl", "run.yaml", ".mediaconv.lock"])
def test_a_link_that_another_user_lays_leads_nowhere(name: str, source: Path, shared: Path) -> None:
    mine = shared / "mine"
    mine.write_text("1 on nowhere\n")
    mine.chmod(0o600)
    output = shared / "out"
    output.mkdir()
    output.chmod(0o1777)
    as_nobody(lambda: (output / name).symlink_to(mine))
    assert os.path.islink(output / name)
    with pytest.raises(
        MediaconvError, match=r"is in the way|Permission denied"
    ):  # the kernel may refuse first
        convert(source, output)
    assert mine.read_text() == "1 on nowhere\n"


def test_inputs_that_may_not_be_read_are_told_and_the_others_run(source: Path, shared: Path) -> None:
    (source / "b.png").chmod(0o600)
    (source / "more").mkdir(0o700)
    output = shared / "out"
    said = as_nobody(lambda: convert(source, output))
    assert said.startswith("exit 1 ")
    assert "ermission denied" in said
    assert {name: row["status"] for name, row in rows(output).items()} == {"a.png": "done", "b.png": "failed"}
    left_out = as_nobody(lambda: survey_run(parsed(source, output)).inputs.left_out)
    assert f"{source}/more/" in left_out
    assert "cannot be read" in left_out


@pytest.mark.parametrize(("umask", "folders", "files"), [(0o077, 0o700, 0o600), (0o027, 0o750, 0o640)])
def test_what_is_made_has_the_users_permissions(
    umask: int, folders: int, files: int, source: Path, shared: Path
) -> None:
    output = shared / "new" / "out"
    assert as_nobody(lambda: convert(source, output), umask) == "exit 0"
    made = [output.parent, output, *output.rglob("*")]
    assert len(made) == 8
    for path in made:
        status = path.stat()
        assert status.st_uid == NOBODY
        assert stat.S_IMODE(status.st_mode) == (folders if path.is_dir() else files), path


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3, 4, 5, 8])
def test_too_few_threads_are_a_shortage_and_the_next_run_resumes(processes: int, shared: Path) -> None:
    """`ulimit -u`: OpenBLAS ends the program then, or interrupts it, and torch waits for ever."""
    images(shared / "in", 3)
    config = write_config(shared / "c.yaml", shared / "in", shared / "out", workers=2, executor="process")
    for path in [*shared.rglob("*"), shared]:
        os.chown(path, 65533, 65533)
    words = [sys.executable, "-m", "mediaconv.cli.main", "run", str(config)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(shared)}
    env.pop("OMP_NUM_THREADS", None)

    def limited() -> None:
        become_nobody(65533)
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))

    few = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, preexec_fn=limited)
    assert few.returncode in (0, 1)
    assert few.returncode == 0 or "no more threads or processes" in few.stderr
    assert few.returncode == 1 or processes > 2
    assert not unfinished(shared / "out") if (shared / "out").exists() else True
    if few.returncode:
        again = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
        assert again.returncode == 0, again.stderr
    assert {row["status"] for row in rows(shared / "out").values()} == {"done"}
