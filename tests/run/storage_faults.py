"""A disk that fails at the n-th call, and one whose power is cut: only what was synced is sure to survive.

Both stand between the program and the system's calls on one folder, in this process.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediaconv.run.output import staging

CHANGING = ("write", "pwrite", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "ftruncate")
CALLS = (*CHANGING, "open", "pread", "scandir")
Tree = dict[str, bytes | None]
"""Files by their paths with what they hold; None for folders."""


@contextmanager
def calls_on(folder: Path, before: Callable[[str], None], after: Callable[[str], None]) -> Iterator[None]:
    """Inside, both are told of every call on the folder; an OSError of `before` is the call's."""
    root = str(folder)

    def concerns(given: Any) -> bool:
        if isinstance(given, int):
            try:
                given = os.readlink(f"/proc/self/fd/{given}")
            except OSError:
                return False
        return isinstance(given, str | Path) and str(given).startswith(root)

    def watched(name: str, call: Callable) -> Callable:
        def act(*args: Any, **keys: Any) -> Any:
            own = bool(args) and (concerns(args[0]) or ("dir_fd" in keys and concerns(keys["dir_fd"])))
            if own:
                before(name)
            result = call(*args, **keys)
            if own:
                after(name)
            return result

        return act

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, watched(name, getattr(os, name)))
        opened = watched("open", io.open)
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        patch.setattr(staging, "exchange", watched("rename", staging.exchange))
        yield


class FailingDisk:
    """Fails at the n-th call on a folder, counted from 1, and from then on where `lasting`."""

    def __init__(self, at: int, number: int = errno.EIO, *, lasting: bool = False) -> None:
        self.calls = 0
        self._at, self._number, self._lasting = at, number, lasting

    def __call__(self, name: str) -> None:
        self.calls += 1
        if self.calls == self._at or (self._lasting and self.calls > self._at):
            raise OSError(self._number, os.strerror(self._number))


class PowerCut:
    """Keeps what is durable of a folder, call by call, and what may be there after a cut.

    A file's bytes are durable as they were at its last fsync, a folder's names likewise. Of all else any part
    may have reached the disk, in any order.
    """

    def __init__(self, folder: Path, looks: Callable[[Tree], None], seed: int = 0) -> None:
        self._folder, self._looks, self._dice = folder, looks, random.Random(seed)
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._folders: set[int] = set()
        self._busy = False
        self._held: dict[int, int] = {}
        for where, _, files in os.walk(folder):  # what was there before is durable
            self._keep(where)
            for name in files:
                self._keep(os.path.join(where, name))

    def after(self, name: str) -> None:
        """One more call has been made; the power may be cut now."""
        if name not in CHANGING or self._busy:
            return
        self._busy = True
        try:
            for chosen in ("all names", "durable names", "any"):
                self._looks(self.state(chosen))
        finally:
            self._busy = False

    def synced(self, handle: int) -> None:
        """An fsync has come back."""
        self._keep(os.readlink(f"/proc/self/fd/{handle}"))

    def _keep(self, path: str) -> None:
        number = os.stat(path).st_ino
        if os.path.isdir(path):
            self._folders.add(number)
            self._names[number] = {e.name: e.inode() for e in os.scandir(path)}
        else:
            self._bytes[number] = Path(path).read_bytes()

    def state(self, chosen: str) -> Tree:
        """A tree that a cut could leave. Bytes that were not synced are lost, or torn."""
        tree: Tree = {}
        self._fill(tree, "", self._folder.stat().st_ino, chosen, self._inodes())
        return tree

    def close(self) -> None:
        """Let go of the files that were held so that no number of theirs is used twice."""
        for handle in self._held.values():
            os.close(handle)

    def _inodes(self) -> dict[int, Path]:
        found = {path.lstat().st_ino: path for path in [self._folder, *self._folder.rglob("*")]}
        for number, path in found.items():
            if number not in self._held:
                self._held[number] = os.open(path, os.O_RDONLY)
        return found

    def _fill(self, tree: Tree, above: str, number: int, chosen: str, paths: dict[int, Path]) -> None:
        durable = self._names.get(number, {})
        path = paths.get(number)
        now = {e.name: e.inode() for e in os.scandir(path)} if path is not None else {}
        for name in {**durable, **now}:
            options = [names.get(name) for names in (durable, now)]
            pick = {"all names": options[1], "durable names": options[0]}.get(
                chosen, options[self._dice.random() < 0.5]
            )
            if pick is None:
                continue
            there = paths.get(pick)
            if pick in self._folders or (there is not None and there.is_dir()):
                tree[above + name] = None
                self._fill(tree, f"{above}{name}/", pick, chosen, paths)
            else:
                tree[above + name] = self._content(pick, there)

    def _content(self, number: int, path: Path | None) -> bytes:
        durable = self._bytes.get(number, b"")
        now = path.read_bytes() if path is not None else durable
        if now == durable:
            return durable
        if now.startswith(durable):
            return now[: self._dice.randint(len(durable), len(now))]
        return durable


def lay(tree: Tree, folder: Path) -> None:
    """Make a tree."""
    folder.mkdir(parents=True)
    for name, content in tree.items():
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
