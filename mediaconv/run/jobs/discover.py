"""Which files an input gives a run, and which it leaves out and why. Reads names only, no media."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mediaconv.config import RunConfig
from mediaconv.errors import UsageError, refuse_shortage
from mediaconv.pipeline import Pipeline
from mediaconv.run.output.folder import KEPT
from mediaconv.run.output.storage import is_remote, join, list_files, path_below
from mediaconv.run.resume.rows import is_safe_name

HIDDEN = "hidden"
NO_FILE = "a pipe, a socket or a device"
OWN_OUTPUTS = "outputs of this run"
OTHER_OUTPUTS = "outputs of another run"
KNOWN_FOLDER = "a link to a folder that is searched under another name"
NO_PATH = "a key with //, . or .., which no file on this machine can be named by"
NOT_INCLUDED = "matches no include pattern"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a search came by and does not take. path: as a user knows it; a folder's ends with a slash.

    unwanted: include or exclude say so. lost: it could not be read, and may hold inputs.
    """

    path: str
    reason: str
    unwanted: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Found:
    """The inputs in the order of their names, the root of the tree that they lie in, and what is left out.

    folders: the inputs that are folders: sequences of stills.
    url: the root's, where inputs lie on other storage; they are then paths below it.
    """

    root: Path
    inputs: list[Path]
    left_out: list[LeftOut] = field(default_factory=list)
    folders: frozenset[Path] = frozenset()
    url: str = ""

    @property
    def skip(self) -> int:
        """Letters of an input's path that stand before its name: those of the root."""
        return len(os.path.join(self.root, "")) if self.root.parts else 0


def discover(config: RunConfig, pipeline: Pipeline) -> Found:
    """Search a configuration's input, wherever it lies. Raises UsageError where it is not there."""
    return _find_remote(config, pipeline) if is_remote(config.input) else find_inputs(config, pipeline)


def find_inputs(config: RunConfig, pipeline: Pipeline) -> Found:
    """The same on this machine: a file, a folder in depth, or a glob."""
    path = Path(config.input)
    if path.is_file():
        return Found(path.parent, [path])
    search = _Search(Path(config.output))
    if path.is_dir():
        root, files = path, search.folder(str(path))
    elif glob.has_magic(config.input):
        root = fixed_part(config.input)
        files = search.glob(config.input, root)
    else:
        raise UsageError(f"input: {path} does not exist (paths are taken from {Path.cwd()})")
    listing = Found(root, [Path(file) for file in sorted(files)])
    return _taken(listing, list(search.left_out.values()), config, pipeline)


def _find_remote(config: RunConfig, pipeline: Pipeline) -> Found:
    root, names = list_files(config.input)
    folders_with = {KEPT[0]: set[str](), KEPT[1]: set[str]()}
    for name in names:
        folder, _, base = name.rpartition("/")
        if base in folders_with and folder:
            folders_with[base].add(folder)
    outputs = {f"{folder}/": OTHER_OUTPUTS for folder in set.intersection(*folders_with.values())}
    if own := path_below(root, config.output):
        outputs[f"{own}/"] = OWN_OUTPUTS
    files, left_out = [], {}
    for name in names:
        folder = next((folder for folder in outputs if name.startswith(folder)), "")
        if not name or name.endswith("/"):  # a store's mark of a folder
            continue
        if not is_safe_name(name):
            path = f"{root}/{name}"
            left_out[path] = LeftOut(path, NO_PATH, lost=True)
        elif folder or name.startswith(".") or "/." in name:
            path = join(root, folder or name)
            left_out[path] = LeftOut(path, outputs.get(folder, HIDDEN))
        else:
            files.append(Path(name))
    return _taken(Found(Path(), files, url=root), list(left_out.values()), config, pipeline)


def fixed_part(pattern: str) -> Path:
    """The folder before a glob's first wildcard.

    >>> fixed_part("data/*/clip_*.mp4").as_posix()
    'data'
    """
    fixed = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed) if fixed else Path()


def lies_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or below it, whatever links lead there."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _taken(listing: Found, left_out: list[LeftOut], config: RunConfig, pipeline: Pipeline) -> Found:
    """What patterns and the pipeline take of the files that were found, and why not the others."""

    def known(file: Path) -> str:
        return join(listing.url, str(file)) if listing.url else str(file)

    files = listing.inputs
    if config.include or config.exclude:
        chosen = []
        for file in files:
            reason = _refusal(str(file)[listing.skip :], config.include, config.exclude)
            if reason is None:
                chosen.append(file)
            else:
                left_out.append(LeftOut(known(file), reason, unwanted=True))
        files = chosen
    inputs, folders = pipeline.inputs(files, config.read), frozenset[Path]()
    if inputs != files:
        taken, kinds = set(inputs), pipeline.takes(config.read)
        folders = frozenset(taken.difference(files))
        reason = f"no input of the pipeline {pipeline.name}"
        left_out += [LeftOut(known(f), reason) for f in files if not _is_part(f, taken, kinds)]
    left_out.sort(key=lambda entry: entry.path)
    return replace(listing, inputs=inputs, folders=folders, left_out=left_out)


def _is_part(file: Path, taken: Collection[Path], kinds: Collection[str]) -> bool:
    """An input, or a file of an input that is a folder (a sequence of stills)."""
    return file in taken or (file.suffix.lower() in kinds and file.parent in taken)


def _refusal(name: str, include: Sequence[str], exclude: Sequence[str]) -> str | None:
    base = name.rsplit("/", 1)[-1]

    def matches(pattern: str) -> bool:
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(base, pattern)

    if include and not any(map(matches, include)):
        return NOT_INCLUDED
    return next((f"matches exclude {pattern!r}" for pattern in exclude if matches(pattern)), None)


class _Search:
    """Looks for files in depth, without hidden ones, pipes, devices and outputs. left_out: what it passed by.

    A linked folder is entered once, and not at all where it is one of the tree's own. A link to nothing is
    a file, which then fails by its name.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._own = _inode(output)
        self._visited: set[str] = set()
        self.left_out: dict[str, LeftOut] = {}

    def folder(self, root: str) -> Iterator[str]:
        """The files in a folder: first all that it holds itself, then what its links lead to."""
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
                    yield from self._list(folder, waiting, links, named=folder == root)

    def glob(self, pattern: str, root: Path) -> Iterator[str]:
        """What a glob matches: files, and of the folders what lies in them; each once."""
        seen: set[str] = set()
        for text in glob.iglob(pattern, recursive=True):
            path = Path(text)
            if any(part.startswith(".") for part in path.relative_to(root).parts):
                self._leave(str(path), HIDDEN)
            elif lies_within(path, self._output):
                self._leave(str(path), OWN_OUTPUTS)
            elif str(path) in self._visited:
                continue
            elif path.is_dir():
                new = [file for file in self.folder(str(path)) if file not in seen]
                seen.update(new)
                yield from new
            elif not _may_be_file(path):
                self._leave(str(path), NO_FILE)
            elif str(path) not in seen:
                seen.add(str(path))
                yield str(path)

    def _list(self, folder: str, waiting: list[str], links: list[str], *, named: bool) -> Iterator[str]:
        """The files of one folder; its folders are added to those that wait, linked ones to the links."""
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            refuse_shortage(error)
            self._leave(folder + "/", f"cannot be read: {error.strerror}", lost=True)
            return
        self._visited.add(folder)
        if not named and set(KEPT) <= {entry.name for entry in entries}:
            self._leave(folder + "/", OTHER_OUTPUTS)
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
