"""Runs command lines in folders of anybody's files, one case after the other, each in a forked process.

Run by `python -m tests.mutation.command_worker`. Arguments: the samples' folder, a folder of its own, and the
cases' numbers as pairs of first and end. Prints a line for what was wrong, and at the end how many ran.
As root the program runs as nobody, so that a wrong one can do no harm to the machine.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import itertools
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.folder_state import State, added, changed, state_of
from tests.mutation.mutated_commands import Case, Command
from tests.mutation.nobody import NOBODY, become_nobody

SECONDS = 90
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
MEGABYTES = 1500
LONGEST_LINE = 12_000
LIBRARIES = ["av", "cv2", "matplotlib.pyplot", "onnx", "onnxruntime", "rich.console", "soundfile", "tifffile"]
DEFECTS = (b"Traceback", b"defect", b"Exception ignored", b"Warning:")
ESCAPE = b"\x1b"


def main() -> None:
    samples, top = Path(sys.argv[1]), Path(sys.argv[2])
    load_program()
    count = 0
    bounds = list(map(int, sys.argv[3:]))
    for number in itertools.chain(*map(range, bounds[::2], bounds[1::2])):
        for wrong in wrongs_of(number, samples, top):
            print(json.dumps({"case": number, "wrong": wrong}), flush=True)
        count += 1
    print(count, flush=True)


def load_program() -> None:
    """Import all that a command may need, so that a forked process begins with its work."""
    import mediaconv

    for module in pkgutil.walk_packages(mediaconv.__path__, "mediaconv."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for name in (
        "av",
        "cv2",
        "matplotlib.pyplot",
        "onnx",
        "onnxruntime",
        "rich.console",
        "soundfile",
        "tifffile",
    ):
        importlib.import_module(name)


def wrongs_of(number: int, samples: Path, top: Path) -> list[str]:
    """What was wrong with a case, in words."""
    folder = top / str(number)
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "home"
    home.mkdir(parents=True)
    case = Case(number, samples)
    case.lay(home)
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.lchown(path, NOBODY, NOBODY)
    own: State = {}
    wrongs: list[str] = []
    for command in case.commands():
        for where, kind in command.lay:
            case.place_one(home, where, kind)
        before = state_of(folder)
        own = {path: facts for path, facts in own.items() if before.get(path) == facts}
        began = time.monotonic()
        status, memory = _run(command, folder)
        seconds = time.monotonic() - began
        after = state_of(folder)
        said = [(folder.parent / f"{folder.name}.{name}").read_bytes() for name in ("stdout", "stderr")]
        found = list(judge(command, before, after, own, status, *said, home))
        if memory > MEGABYTES:
            found.append(f"took {memory} MB")
        shown = f"{command} ({seconds:.1f} s, status {status}): "
        wrongs += [shown + wrong + f"; stderr: {said[1][-600:]!r}" for wrong in found]
        own |= {path: after[path] for path in after if after[path] != before.get(path)}
    if not wrongs:
        shutil.rmtree(folder)
    for name in ("stdout", "stderr"):
        (top / f"{number}.{name}").unlink(missing_ok=True)
    return wrongs


def judge(
    command: Command, before: State, after: State, own: State, status: int, out: bytes, err: bytes, home: Path
) -> list[str]:
    """What a command did that none may do."""
    killed = command.signal is not None and command.signal[0] == signal.SIGKILL and status == -signal.SIGKILL
    named = (
        _named(command, home) if "--overwrite" in command.words and command.words[:1] != ["run"] else set()
    )
    return [
        *_wrong_ending(command, status, out, err),
        *changed(before, after, lambda path: path in own or path in named),
        *([] if killed else _wrong_files(command, added(before, after), status, home)),
    ]


def _wrong_ending(command: Command, status: int, out: bytes, err: bytes) -> Iterator[str]:
    """Of the exit status and what was printed."""
    if status not in (0, 1, 2, 130) and not (command.signal and status == -command.signal[0]):
        yield "an exit status that means nothing"
    said = out + err
    if "--debug" not in command.words:
        yield from (f"said {words.decode()}" for words in DEFECTS if words in said)
    if any(len(line) > LONGEST_LINE for line in err.splitlines()):
        yield "a line without an end"
    if command.words[:1] == ["help"] or "--help" in command.words:
        return
    if ESCAPE in said:
        at = max(0, said.index(ESCAPE) - 60)
        yield f"an escape of a terminal was printed: {said[at:][:200]!r}"
    if (
        status == 0
        and "--json" in command.words
        and command.words[:1] != ["demo"]
        and not command.streams
        and out
    ):
        try:
            json.loads(out)
        except ValueError as error:
            yield f"no JSON: {error}: {out[:200]!r}"


def _wrong_files(command: Command, new: list[str], status: int, home: Path) -> Iterator[str]:
    """Of files that a command made which was not killed."""
    names = "tmp/torchinductor_", ".cache", ".config"  # where torch, numba and matplotlib keep theirs
    caches = tuple(f"{home.parent}/{name}" for name in names)
    new = [path for path in new if not path.startswith(caches)]
    outside = any(".." in word for word in command.words) or "../elsewhere" in (home / "c.yaml").read_text()
    for path in new:
        name = os.path.basename(path)
        if path.startswith(f"{home.parent}/tmp/") or (name.startswith(".") and ".part" in name):
            yield f"left {path}"
        elif not path.startswith(f"{home}/") and not outside:
            yield f"made {path}"
    if status == 2 and new and not _told_by_jobs(new):
        yield f"made {new[:3]} though the command is wrong"


def _told_by_jobs(new: list[str]) -> bool:
    """A run whose inputs all fail by the configuration's fault has a manifest that says so; a comparison a
    report."""
    reports = [path for path in new if os.path.basename(path) == "report.html"]
    names = [Path(path) for path in new if os.path.basename(path) == "manifest.jsonl"]
    return bool(reports) or any(b'"failed"' in path.read_bytes() for path in names)


def _named(command: Command, home: Path) -> set[str]:
    """Files that the command line names, and those beside or below them, which `--overwrite` lets go."""
    found = set()
    for word in command.words:
        path = home / word if word else home
        found.update(str(each) for each in (path, path.with_suffix(".json") if path.name else path))
        with contextlib.suppress(OSError, ValueError):
            if path.is_dir() and not path.is_symlink() and path != home:
                found.update(str(each) for each in path.iterdir())
    default = home / ("out/forecast/forecast.png" if command.words[:1] == ["demo"] else "inspect.html")
    return found | {str(default)}


def _run(command: Command, folder: Path) -> tuple[int, int]:
    """Its status as subprocess tells it, and its memory over that of a program that does nothing, in MB."""
    base = _peak()
    for name in ("stdout", "stderr"):
        Path(f"{folder}.{name}").write_bytes(b"")
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the program begins
    child = os.fork()
    if not child:
        _be_program(command, folder)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    until = time.monotonic() + SECONDS
    at = None if command.signal is None else time.monotonic() + command.signal[1]
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024 - base
        if at is not None and command.signal is not None and time.monotonic() > at:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, command.signal[0])
            at = None
        if time.monotonic() > until:
            os.kill(child, signal.SIGABRT)
        time.sleep(0.005)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _be_program(command: Command, folder: Path) -> None:
    """Become `mediaconv WORDS`; does not return."""
    code = 0
    try:
        os.setpgid(0, 0)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}.{name}", os.O_WRONLY | os.O_APPEND), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if command.streams == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif command.streams == "pipe":
            reading, writing = os.pipe()
            os.close(reading)
            os.dup2(writing, 1)
        elif command.streams == "closed":
            os.close(1)
        become_nobody()
        os.chdir(folder / "home")
        os.environ.update(HOME=str(folder), TMPDIR=f"{folder}/tmp", COLUMNS="120", OMP_NUM_THREADS="1")
        __import__("tempfile").tempdir = None
        if command.open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (command.open_files, command.open_files))
        if command.file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (command.file_bytes, command.file_bytes))
        sys.argv = ["mediaconv", *command.words]
        from mediaconv.cli.main import main as program

        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            program()
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else int(done.code is not None)
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
