"""Looks for files in depth, or by a glob, and says what it passes by. Reads names only, no media."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaconv.errors import refuse_shortage
from mediaconv.run.output.folder import KEPT
from mediaconv.run.output.own_files import OwnFiles

HIDDEN = "hidden"
NO_FILE = "a pipe, a socket or a device"
OWN_OUTPUTS = "outputs of this run"
OTHER_OUTPUTS = "outputs of another run"
COMPARED = "outputs of a comparison"
KNOWN_FOLDER = "a link to a folder that is searched under another name"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a search came by and does not take. path: as a user knows it; a folder's ends with a slash.

    unwanted: include or exclude say so. lost: it could not be read, and may hold inputs.
    """

    path: str
    reason: str
    unwanted: bool = False
    lost: bool = False


def fixed_part(pattern: str) -> Path:
    """The folder before a glob's first wildcard.

    >>> fixed_part("data/*/clip_*.mp4").as_posix()
    'data'
    """
    return Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))


def lies_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or below it, whatever links lead there."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


class FolderSearch:
    """Looks for files in depth, without hidden ones, pipes, devices and outputs. left_out: what it passed by.

    A linked folder is entered once, and not at all where it is one of the tree's own. A link to nothing is
    a file, which then fails by its name.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._own = _inode(output)
        self._visited: set[str] = set()
        self.left_out: dict[str, LeftOut] = {}

    def folder(self, root: str, *, matched: bool = False) -> Iterator[str]:
        """The files in a folder: first all that it holds itself, then what its links lead to.

        matched: a pattern led there; a folder that is named is taken though it holds outputs.
        """
        entered: set[tuple[int, int]] = set()
        links = [root]
        while links:
            waiting, links = sorted(links, reverse=True), []
            while waiting:
                folder = waiting.pop()
                inode = _inode(folder)
                if inode is not None and inode in entered:
                    self._leave(folder + "/", KNOWN_FOLDER)
                elif inode is not None and inode == self._own and folder != root:
                    self._leave(folder + "/", OWN_OUTPUTS)
                else:
                    if inode is not None:
                        entered.add(inode)
                    yield from self._list(folder, waiting, links, named=folder == root and not matched)

    def glob(self, pattern: str, root: Path) -> Iterator[str]:
        """What a glob matches: files, and of the folders what lies in them; each once."""
        seen: set[str] = set()
        for text in self._matches("", Path(pattern).parts, ()):
            path = Path(text)
            if any(part.startswith(".") for part in path.relative_to(root).parts):
                self._leave(str(path), HIDDEN)
            elif lies_within(path, self._output):
                self._leave(str(path), OWN_OUTPUTS)
            elif str(path) in self._visited:
                continue
            elif path.is_dir():
                new = [file for file in self.folder(str(path), matched=True) if file not in seen]
                seen.update(new)
                yield from new
            elif not _may_be_file(path):
                self._leave(str(path), NO_FILE)
            elif str(path) not in seen:
                seen.add(str(path))
                yield str(path)

    def _matches(self, folder: str, parts: tuple[str, ...], above: tuple[object, ...] = ()) -> Iterator[str]:
        """What the parts of a glob match in a folder, as `glob.iglob` has it.

        That function is silent about folders that cannot be read. above: the folders that `**` has come
        through, so that no link leads round in circles.
        """
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._in_depth(folder, parts, above)
        elif glob.has_magic(part):
            for entry in self._entries(folder) or ():
                hidden = entry.name.startswith(".") and not part.startswith(".")
                if hidden or not fnmatch.fnmatchcase(entry.name, part):
                    continue
                path = os.path.join(folder, entry.name)
                if not rest:
                    yield path
                elif _is_folder(entry):
                    yield from self._matches(path, rest)
        elif os.path.lexists(path := os.path.join(folder, part)):
            yield from self._matches(path, rest) if rest else (path,)

    def _in_depth(self, folder: str, parts: tuple[str, ...], above: tuple[object, ...]) -> Iterator[str]:
        """What `**`, the first of the parts, matches: the folder itself, and all in it but hidden names."""
        rest = parts[1:]
        inode = _inode(folder or ".")
        entries = () if inode in above else self._entries(folder) or ()
        if above and self._is_written(folder, entries):
            return
        if rest:
            yield from self._matches(folder, rest)
        elif folder:
            yield folder
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                yield from self._matches(path, parts, (*above, inode))
            elif not rest:
                yield path

    def _entries(self, folder: str, *, there: bool = False) -> list[os.DirEntry[str]] | None:
        """What a folder holds by name; None where it cannot be read, which is noted.

        there: it was seen, so that it is noted too where it is gone.
        """
        try:
            with os.scandir(folder or ".") as listing:
                return sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if there or not isinstance(error, FileNotFoundError | NotADirectoryError):
                refuse_shortage(error)
                self._leave(folder + "/", f"cannot be read: {error.strerror}", lost=True)
            return None

    def _list(self, folder: str, waiting: list[str], links: list[str], *, named: bool) -> Iterator[str]:
        """The files of one folder; its folders are added to those that wait, linked ones to the links."""
        entries = self._entries(folder, there=True)
        if entries is None:
            return
        self._visited.add(folder)
        if not named and self._is_written(folder, entries):
            return
        for entry in entries:
            is_folder = _is_folder(entry)
            if entry.name.startswith("."):
                self._leave(entry.path + "/" * is_folder, HIDDEN)
            elif is_folder and entry.is_symlink():
                links.append(entry.path)
            elif is_folder:
                waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False) or _may_be_file(entry.path):
                yield entry.path
            else:
                self._leave(entry.path, NO_FILE)

    def _is_written(self, folder: str, entries: Sequence[os.DirEntry[str]]) -> bool:
        """Whether a folder holds what a run or a comparison wrote, which is noted."""
        names = {entry.name for entry in entries}
        reason = OTHER_OUTPUTS if set(KEPT) <= names else COMPARED if OwnFiles.NAME in names else None
        if reason is not None:
            self._leave(folder + "/", reason)
        return reason is not None

    def _leave(self, path: str, reason: str, *, lost: bool = False) -> None:
        self.left_out[path] = LeftOut(path, reason, lost=lost)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in circles
        return False


def _inode(path: str | Path) -> tuple[int, int] | None:
    """What a folder is, whatever links lead to it; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _may_be_file(path: str | Path) -> bool:
    """Not a pipe, a socket or a device, which may have no end; a link to nothing fails by its name."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True
