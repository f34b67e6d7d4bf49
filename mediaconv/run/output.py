"""An output folder and what a run keeps in it beside outputs: manifest, configuration, lock. Or a URL."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediaconv.errors import WriteError
from mediaconv.run.lock import FolderLock
from mediaconv.run.manifest import NAME as MANIFEST_NAME
from mediaconv.run.staging import remove_unfinished
from mediaconv.run.storage import is_remote, is_unfinished_path, open_store
from mediaconv.run.survey import OutputTree, scan_outputs

RUN_NAME = "run.yaml"
KEPT = (MANIFEST_NAME, RUN_NAME)
SEND_SECONDS = 10.0
"""Time between two copies of the manifest to other storage, which has no appending."""


@dataclass
class Output:
    """Where outputs go. folder: a local folder that holds manifest and run.yaml, and outputs on their way.

    scan: what lies there. remove: takes a leftover away. send: stores manifest and run.yaml where they
    belong; `send(now=False)` may leave it for later.
    """

    folder: Path
    scan: Callable[[], OutputTree]
    remove: Callable[[Path], None]
    send: Callable[..., None]


@contextmanager
def open_output(where: str, *, write: bool) -> Iterator[Output]:
    """Open an output folder to look, or to write: then it is made and locked.

    Other storage has no locks: that only one run writes there is the user's to see to. Raises UsageError
    where another run writes, OSError where it cannot be written.
    """
    if is_remote(where):
        with _open_remote(where) as output:
            yield output
        return
    folder = Path(where)
    output = Output(folder, lambda: scan_outputs(folder), remove_unfinished, lambda now=True: None)
    if not write:
        yield output
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder):
        yield output


@contextmanager
def _open_remote(url: str) -> Iterator[Output]:
    store, root = open_store(url)
    folder = Path(tempfile.mkdtemp(prefix="mediaconv-"))
    sent = 0.0

    def scan() -> OutputTree:
        return _scan(store, root, folder)

    def remove(path: Path) -> None:
        store.rm(f"{root}/{path.relative_to(folder).as_posix()}")

    def send(*, now: bool = True) -> None:
        nonlocal sent
        if not now and time.monotonic() - sent < SEND_SECONDS:
            return
        try:
            store.makedirs(root, exist_ok=True)
            for name in KEPT:
                if (folder / name).exists():
                    store.put_file(str(folder / name), f"{root}/{name}")
        except OSError as error:
            raise WriteError(f"output: cannot write in {url}: {error}") from error
        sent = time.monotonic()

    try:
        for name in KEPT:
            if store.exists(f"{root}/{name}"):
                store.get_file(f"{root}/{name}", str(folder / name))
        yield Output(folder, scan, remove, send)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scan(store: Any, root: str, folder: Path) -> OutputTree:
    """As scan_outputs; paths are told as if the outputs lay in `folder`."""
    tree = OutputTree()
    if not store.exists(root):
        return tree
    for path, info in store.find(root, detail=True).items():
        below = str(path).removeprefix(root).lstrip("/")
        if is_unfinished_path(below):
            tree.leftovers.append(folder / below)
            continue
        parent, _, name = below.rpartition("/")
        tree.files.setdefault(f"{folder}/{parent}" if parent else str(folder), {})[name] = info["size"], None
    return tree
