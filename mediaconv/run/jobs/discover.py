"""Which files an input gives a run, and which it leaves out and why. Reads names only, no media."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mediaconv.config import RunConfig
from mediaconv.errors import UsageError
from mediaconv.lazy_lists import PathList, suffix_of
from mediaconv.pipeline import Pipeline
from mediaconv.run.jobs.folder_search import (
    HIDDEN,
    OTHER_OUTPUTS,
    OWN_OUTPUTS,
    FolderSearch,
    LeftOut,
    fixed_part,
)
from mediaconv.run.output.folder import KEPT
from mediaconv.run.output.storage import is_remote, join, list_files, path_below
from mediaconv.run.resume.safe_name import is_safe_name

NO_PATH = "a key with //, . or .., which no file on this machine can be named by"
NOT_INCLUDED = "matches no include pattern"


@dataclass(frozen=True)
class Listing:
    """The inputs in the order of their names, the root of the tree that they lie in, and what is left out.

    folders: the inputs that are folders: sequences of stills.
    url: the root's, where inputs lie on other storage; they are then paths below it.
    """

    root: Path
    inputs: Sequence[Path]
    left_out: list[LeftOut] = field(default_factory=list)
    folders: frozenset[Path] = frozenset()
    url: str = ""

    @functools.cached_property
    def prefix(self) -> str:
        """What stands in an input's path before its name: the root."""
        return os.path.join(self.root, "") if self.root.parts else ""

    @property
    def skip(self) -> int:
        """How many letters that are."""
        return len(self.prefix)


def discover(config: RunConfig, pipeline: Pipeline) -> Listing:
    """Search a configuration's input, wherever it lies. Raises UsageError where it is not there."""
    return _find_remote(config, pipeline) if is_remote(config.input) else find_inputs(config, pipeline)


def first_file(config: RunConfig, pipeline: Pipeline, path: Path) -> Path:
    """A file, or of a folder or glob the first input by name. Raises UsageError for a folder without one."""
    if path.is_file():
        return path
    inputs = find_inputs(config.model_copy(update={"input": str(path)}), pipeline).inputs
    if not inputs:
        raise UsageError(f"input: {path} holds nothing for the pipeline {pipeline.name}; give a file")
    return inputs[0]


def find_inputs(config: RunConfig, pipeline: Pipeline) -> Listing:
    """The same on this machine: a file, a folder in depth, or a glob."""
    path = Path(config.input)
    if path.is_file():
        return Listing(path.parent, [path])
    search = FolderSearch(Path(config.output))
    if path.is_dir():
        root, files = path, search.folder(str(path))
    elif glob.has_magic(config.input):
        root = fixed_part(config.input)
        files = search.glob(config.input, root)
    else:
        raise UsageError(f"input: {path} does not exist (paths are taken from {Path.cwd()})")
    if not root.parts:
        files = (file.removeprefix("./") for file in files)
    listing = Listing(root, [])
    listing = replace(listing, inputs=PathList.of(sorted(files), listing.prefix))
    return _taken(listing, list(search.left_out.values()), config, pipeline)


def _find_remote(config: RunConfig, pipeline: Pipeline) -> Listing:
    root, names = list_files(config.input)
    folders_with = {KEPT[0]: set[str](), KEPT[1]: set[str]()}
    for name in names:
        folder, _, base = name.rpartition("/")
        if base in folders_with and folder:
            folders_with[base].add(folder)
    outputs = {f"{folder}/": OTHER_OUTPUTS for folder in set.intersection(*folders_with.values())}
    if own := path_below(root, config.output):
        outputs[f"{own}/"] = OWN_OUTPUTS
    files, left_out = list[str](), dict[str, LeftOut]()
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
            files.append(name)
    return _taken(Listing(Path(), PathList("", files), url=root), list(left_out.values()), config, pipeline)


def _taken(listing: Listing, left_out: list[LeftOut], config: RunConfig, pipeline: Pipeline) -> Listing:
    """What patterns and the pipeline take of the files that were found, and why not the others."""

    def known(file: str) -> str:
        return join(listing.url, file) if listing.url else file

    files = listing.inputs
    if config.include or config.exclude:
        chosen = []
        for file in _texts(files):
            reason = _refusal(file[listing.skip :], config.include, config.exclude)
            if reason is None:
                chosen.append(file)
            else:
                left_out.append(LeftOut(known(file), reason, unwanted=True))
        files = PathList.of(chosen, listing.prefix)
    inputs, folders = pipeline.inputs(files, config.read), frozenset[Path]()
    if inputs is not files:
        taken, kinds = set(_texts(inputs)), pipeline.takes(config.read)
        folders = frozenset(map(Path, taken.difference(_texts(files))))
        reason = f"no input of the pipeline {pipeline.name}"
        others = (text for text in _texts(files) if text not in taken)
        left_out += [LeftOut(known(text), reason) for text in others if not _is_part(text, taken, kinds)]
    left_out.sort(key=lambda entry: entry.path)
    return replace(listing, inputs=inputs, folders=folders, left_out=left_out)


def _texts(files: Sequence[Path]) -> Iterable[str]:
    return files.texts() if isinstance(files, PathList) else map(str, files)


def _is_part(file: str, folders: Collection[str], kinds: Collection[str]) -> bool:
    """Whether it is a file of an input that is a folder (a sequence of stills)."""
    return suffix_of(file) in kinds and (os.path.dirname(file) or ".") in folders


def _refusal(name: str, include: Sequence[str], exclude: Sequence[str]) -> str | None:
    base = name.rsplit("/", 1)[-1]

    def matches(pattern: str) -> bool:
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(base, pattern)

    if include and not any(map(matches, include)):
        return NOT_INCLUDED
    return next((f"matches exclude {pattern!r}" for pattern in exclude if matches(pattern)), None)
