"""An output folder and what a run keeps in it beside outputs: manifest, configuration, lock. Or a URL."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mediaconv.errors import UsageError, WriteError, refuse_shortage
from mediaconv.filesystem import bears_mark, make_folders
from mediaconv.media.output_names import stem_for_pattern, stem_in_pattern
from mediaconv.run.output.lock import NAME as LOCK_NAME
from mediaconv.run.output.lock import FolderLock, lock_content, read_claims
from mediaconv.run.output.staging import remove_unfinished
from mediaconv.run.output.storage import is_remote, open_store
from mediaconv.run.resume.manifest import NAME as MANIFEST_NAME
from mediaconv.temporary_folder import temporary_folder

RUN_NAME = "run.yaml"
KEPT = (MANIFEST_NAME, RUN_NAME)
SEND_SECONDS = 10.0
"""Time between two copies of the manifest to other storage, which has no appending."""


Found = tuple[list[int], list[int | None], bool]
"""Bytes of outputs, their times, and whether their folder is closed: it holds no folder, and nothing came
into it after the last of them was written."""


class Output(Protocol):
    """Where outputs go. folder: a local one that holds manifest and run.yaml, and outputs on their way.

    claimed: inputs of a killed run, whose outputs may be there without a row. unsettled:
    those, and this run's, that have no row yet. naming: a flat folder's pattern, and names of outputs.
    """

    folder: Path
    is_local: bool
    claimed: frozenset[str]
    unsettled: set[str]
    naming: tuple[str, Sequence[str] | None] = ("", None)

    def entries(self, name: str) -> list[tuple[str, bool]]:
        """What lies in an input's target: names, and whether they are regular files; no folders, nor hidden
        names. The target itself counts, under the name "", where it is no folder."""

    def claim(self, names: Iterable[str]) -> None:
        """Say durably which inputs' outputs are about to be put in place. Raises OSError."""

    def find(self, path: str) -> tuple[int, int | None] | None:
        """Bytes and time in ns of an output, by its path below the folder; None where it is not there.

        A store has no time of its own.
        """

    def find_all(self, folder: str, names: Sequence[str]) -> Found | None:
        """The same of outputs in a folder, whose path ends with a slash; None where one is not there."""
        found = [stored for name in names if (stored := self.find(folder + name)) is not None]
        if len(found) < len(names):
            return None
        return [size for size, _ in found], [time for _, time in found], False

    def leftovers(self, closed: Container[str] = ()) -> list[Path]:
        """What killed runs left behind. Raises UsageError where another run writes inside the folder.

        closed: folders that `find_all` said to be so, by their paths: they are not searched, unless a run
        was killed here.
        """

    def remove(self, path: Path) -> None:
        """Take a leftover away."""

    def send(self, *, now: bool = True) -> None:
        """Store manifest and run.yaml where they belong; without `now` it may be left for later.

        Raises WriteError.
        """

    def release(self) -> None:
        """Let others write here. May be called twice."""


@contextmanager
def open_output(where: str, *, write: bool) -> Iterator[Output]:
    """Open an output folder to look, or to write: then it is made and locked.

    Other storage has no locks: that only one run writes there is the user's to see to. Raises UsageError
    where another run writes, OSError where it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        output: _RemoteOutput | _LocalOutput
        if not is_remote(where):
            output = _LocalOutput(Path(where), write=write)
        elif write:  # whoever writes cleans up after a signal
            output = _RemoteOutput(where, Path(tempfile.mkdtemp(prefix="mediaconv-")))
        else:
            output = _RemoteOutput(where, stack.enter_context(temporary_folder()))
        stack.callback(output.release)
        yield output


class _LocalOutput(Output):
    """A folder of this machine."""

    is_local = True

    def __init__(self, folder: Path, *, write: bool) -> None:
        self.folder = folder
        self._base = f"{folder}/"
        self._lock: FolderLock | None = None
        self._handle: int | None = None
        if write:
            make_folders(folder)
            self._lock = FolderLock(folder)
        self.claimed = self._lock.claimed if self._lock is not None else read_claims(folder)
        self.unsettled = set(self.claimed)

    def find(self, path: str) -> tuple[int, int | None] | None:
        try:
            status = os.lstat(self._base + path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return -1, status.st_mtime_ns
        return status.st_size, status.st_mtime_ns

    def find_all(self, folder: str, names: Sequence[str]) -> Found | None:
        sizes, times, is_file, look = list[int](), list[int | None](), stat.S_ISREG, os.stat
        newest = 0
        try:
            if self._handle is None:
                self._handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            base = self._handle
            for name in names:
                status = look(folder + name, dir_fd=base, follow_symlinks=False)
                sizes.append(status.st_size if is_file(status.st_mode) else -1)
                time = status.st_mtime_ns
                times.append(time)
                if time > newest:
                    newest = time
            status = look(folder, dir_fd=base, follow_symlinks=False)
        except OSError:
            return None
        return sizes, times, status.st_nlink == 2 and status.st_mtime_ns <= newest

    def entries(self, name: str) -> list[tuple[str, bool]]:
        try:
            if stat.S_ISLNK(os.lstat(self._base + name).st_mode):
                return [("", False)]
            with os.scandir(self._base + name) as listing:
                return [
                    (entry.name, entry.is_file(follow_symlinks=False))
                    for entry in listing
                    if not entry.name.startswith(".") and not entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            return [("", False)]
        except OSError as error:
            raise UsageError(f"{self._base}{name}: cannot be read: {error.strerror}") from error

    def claim(self, names: Iterable[str]) -> None:
        if self._lock is not None:
            self._lock.claim(names)

    def leftovers(self, closed: Container[str] = ()) -> list[Path]:
        # each folder is read once; hidden folders and links are not entered
        left: list[Path] = []
        if self.claimed:
            closed = ()
        skip = len(self._base)
        waiting = [str(self.folder)]
        while waiting:
            folder = waiting.pop()
            try:
                entries = os.scandir(folder)
            except OSError as error:  # gone, or not ours to look into
                refuse_shortage(error)
                continue
            with entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        if bears_mark(name) and not entry.is_symlink():
                            left.append(Path(entry.path))
                        elif name == LOCK_NAME and self._lock is not None:
                            self._lock.refuse_beside(Path(entry.path))
                    elif entry.is_dir(follow_symlinks=False) and entry.path[skip:] not in closed:
                        waiting.append(entry.path)
        return left

    def remove(self, path: Path) -> None:
        remove_unfinished(path)

    def send(self, *, now: bool = True) -> None:
        return  # they lie where they belong

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._lock is not None:
            self._lock.release(keep=self._there(self.unsettled))

    def _there(self, inputs: Iterable[str]) -> list[str]:
        """The inputs of which something lies where their outputs go."""
        pattern, names = self.naming
        if not pattern:
            return [name for name in inputs if os.path.lexists(self._base + name)]
        stems: dict[str, set[str | None]] = {}
        there = []
        for name in inputs:
            folder = name[: name.rfind("/") + 1]
            if folder not in stems:
                with contextlib.suppress(UsageError):
                    files = self.entries(folder.rstrip("/"))
                    stems[folder] = {stem_in_pattern(file, pattern, names) for file, _ in files}
            if folder not in stems or stem_for_pattern(pattern, name) in stems[folder]:
                there.append(name)
        return there


class _RemoteOutput(Output):
    """A URL; while it is open, a local folder stands for it. Claims lie under the lock's name."""

    is_local = False

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self._url = url
        self._sent = 0.0
        self._listed: dict[str, dict[str, Any]] | None = None
        self._claims = False
        try:
            self._store, self._root = open_store(url)
            for name in (*KEPT, LOCK_NAME):
                if self._store.exists(f"{self._root}/{name}"):
                    self._store.get_file(f"{self._root}/{name}", str(self.folder / name))
            self.claimed = read_claims(self.folder)
            self.unsettled = set(self.claimed)
        except BaseException:
            self.release()
            raise

    def find(self, path: str) -> tuple[int, int | None] | None:
        info = self._files().get(path)
        return None if info is None else (info["size"], None)

    def leftovers(self, closed: Container[str] = ()) -> list[Path]:
        # paths are told as if the outputs lay in `folder`
        return [self.folder / path for path in self._files() if any(map(bears_mark, path.split("/")))]

    def entries(self, name: str) -> list[tuple[str, bool]]:
        if name in self._files():
            return [("", False)]
        names = [path.removeprefix(f"{name}/") for path in self._files() if path.startswith(f"{name}/")]
        return [(file, True) for file in names if "/" not in file and not file.startswith(".")]

    def claim(self, names: Iterable[str]) -> None:
        path = self.folder / LOCK_NAME
        path.write_bytes(lock_content(names))
        self._store.makedirs(self._root, exist_ok=True)
        self._store.put_file(str(path), f"{self._root}/{LOCK_NAME}")
        self._claims = True

    def remove(self, path: Path) -> None:
        self._store.rm(f"{self._root}/{path.relative_to(self.folder).as_posix()}")
        self._listed = None

    def send(self, *, now: bool = True) -> None:
        if not now and time.monotonic() - self._sent < SEND_SECONDS:
            return
        try:
            self._store.makedirs(self._root, exist_ok=True)
            for name in KEPT:
                if (self.folder / name).exists():
                    self._store.put_file(str(self.folder / name), f"{self._root}/{name}")
        except OSError as error:
            raise WriteError(f"output: cannot write in {self._url}: {error}") from error
        self._sent = time.monotonic()

    def release(self) -> None:
        if self._claims and not self.unsettled:
            self._claims = False
            with contextlib.suppress(OSError):
                self._store.rm(f"{self._root}/{LOCK_NAME}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> dict[str, dict[str, Any]]:
        """What lies there, by its path below the root; listed once."""
        if self._listed is None:
            there = self._store.find(self._root, detail=True) if self._store.exists(self._root) else {}
            self._listed = {str(p).removeprefix(self._root).lstrip("/"): info for p, info in there.items()}
        return self._listed
