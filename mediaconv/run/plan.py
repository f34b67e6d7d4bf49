"""Which files a run takes and where each one's outputs go, before any work. Reads no media."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mediaconv.config import RunConfig
from mediaconv.errors import UsageError
from mediaconv.pipeline import Pipeline
from mediaconv.run.manifest import NAME as MANIFEST_NAME
from mediaconv.run.storage import is_remote, list_files


@dataclass(frozen=True)
class Job:
    """One input and the folder that its outputs go to: OUTPUT/a/b/clip.mp4/ for ROOT/a/b/clip.mp4.

    name: the input's path below the root, with forward slashes; unique in a run.
    input_url, target_url: where these really lie, when that is other storage; `input` and `target` are then
        where they are while the job runs.
    """

    name: str
    input: Path
    target: Path
    input_url: str = ""
    target_url: str = ""

    @property
    def origin(self) -> str:
        """The input as a user knows it."""
        return self.input_url or str(self.input)

    @property
    def destination(self) -> str:
        """The folder of the outputs as a user knows it."""
        return self.target_url or str(self.target)


def make_plan(config: RunConfig, pipeline: Pipeline, *, folder: Path | None = None) -> list[Job]:
    """All jobs of a run, sorted by name.

    folder: where outputs are written on this machine; default: the configuration's `output`.

    Raises UsageError where there is nothing to do or outputs would lie on inputs.
    """
    folder = Path(config.output) if folder is None else folder
    if is_remote(config.input):
        jobs = [_remote_job(path, url, folder) for path, url in _find_remote(config, pipeline)]
    else:
        root, inputs = find_inputs(config, pipeline)
        if not is_remote(config.output):
            _refuse_hiding(config, pipeline, root)
        jobs = [_job(path, root, folder) for path in inputs]
    if not jobs:
        raise UsageError(
            f"input: {config.input} holds nothing for the pipeline {pipeline.name}; "
            f"it takes {' '.join(sorted(pipeline.takes(config.read)))}"
        )
    jobs.sort(key=lambda job: job.name)
    if is_remote(config.output):
        base = config.output.rstrip("/")
        jobs = [replace(job, target_url=f"{base}/{job.name}") for job in jobs]
    elif not is_remote(config.input):
        _refuse_overwriting(jobs)
    _refuse_sharing(jobs)
    return jobs


def find_inputs(config: RunConfig, pipeline: Pipeline) -> tuple[Path, list[Path]]:
    """The root of the mirrored tree and the inputs under it. Raises UsageError for a missing input."""
    given = Path(config.input)
    output = Path(config.output)
    if given.is_file():
        return given.parent, [given]
    if given.is_dir():
        root, files = given, list(_walk(given, output))
    elif glob.has_magic(config.input):
        root = fixed_part(config.input)
        files = list(_globbed(config.input, root, output))
    else:
        raise UsageError(f"input: {given} does not exist (paths are taken from {Path.cwd()})")
    if config.include or config.exclude:
        files = [
            f for f in files if _selected(f.relative_to(root).as_posix(), config.include, config.exclude)
        ]
    return root, pipeline.inputs(sorted(files, key=os.fspath), config.read)


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


def _job(path: Path, root: Path, output: Path) -> Job:
    relative = path.relative_to(root)
    if relative == Path():  # the root itself, as a sequence of stills
        relative = Path(path.resolve().name)
    return Job(relative.as_posix(), path, output / relative)


def _find_remote(config: RunConfig, pipeline: Pipeline) -> Iterator[tuple[Path, str]]:
    """Inputs on other storage: each one's path below the root, and its URL."""
    root, names = list_files(config.input)
    own = config.output.rstrip("/").removeprefix(root + "/") + "/"
    names = [name for name in names if not name.startswith(own)]
    chosen = [Path(name) for name in names if _selected(name, config.include, config.exclude)]
    for path in pipeline.inputs(chosen, config.read):
        yield path, root if path == Path() else f"{root}/{path.as_posix()}"


def _remote_job(path: Path, url: str, output: Path) -> Job:
    relative = Path(url.rpartition("/")[2]) if path == Path() else path
    return Job(relative.as_posix(), path, output / relative, input_url=url)


def _globbed(pattern: str, root: Path, output: Path) -> Iterator[Path]:
    """What a glob matches: files, and of the folders what lies in them; each once, hidden ones left out, and
    nothing but files."""
    seen: set[Path] = set()
    for text in glob.iglob(pattern, recursive=True):
        path = Path(text)
        if any(part.startswith(".") for part in path.relative_to(root).parts) or _within(path, output):
            continue
        for file in _walk(path, output) if path.is_dir() else [path]:
            if file not in seen and _may_be_file(file):
                seen.add(file)
                yield file


def _walk(root: Path, output: Path) -> Iterator[Path]:
    """Files under a folder in depth, without hidden ones, pipes, devices and the output tree. A linked folder
    is entered once, and not at all where it is one of the tree's own."""
    own = _inode(output)
    real = {_inode(Path(folder)) for folder, _, _ in _visible(root, links=False)}
    entered = {_inode(root)}
    for folder, folders, files in _visible(root, links=True):
        for name in list(folders):
            path = Path(folder, name)
            inode = _inode(path)
            known = inode is None or inode in entered or (path.is_symlink() and inode in real)
            if known or inode == own or _holds_outputs(path):
                folders.remove(name)
            else:
                entered.add(inode)
        paths = (Path(folder, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if _may_be_file(path))


def _holds_outputs(folder: Path) -> bool:
    """A run has written here: what lies there came from inputs. It is one only where a user names it."""
    from mediaconv.run.output import KEPT

    return all((folder / name).is_file() for name in KEPT)


def _visible(root: Path, *, links: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk in order of names, without hidden folders; what is removed from the folders is not entered."""
    for folder, folders, files in os.walk(root, followlinks=links):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, folders, files


def _inode(path: Path) -> tuple[int, int] | None:
    """What a folder is, whatever links lead to it; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _may_be_file(path: Path) -> bool:
    """Not a pipe, a socket or a device, which may have no end; a link to nothing fails by its name."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _within(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _selected(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    base = name.rsplit("/", 1)[-1]

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(base, p) for p in patterns)

    return (not include or matches(include)) and not matches(exclude)


def _refuse_hiding(config: RunConfig, pipeline: Pipeline, root: Path) -> None:
    """What lies in the output folder is no input: before a first run, inputs there would be passed over."""
    output = Path(config.output)
    if not output.is_dir() or (output / MANIFEST_NAME).exists() or not _within(output, root):
        return
    if os.path.samefile(output, root) or Path(config.input).is_file():
        return
    hidden = pipeline.inputs(sorted(_walk(output, output / MANIFEST_NAME), key=os.fspath), config.read)
    if hidden:
        raise UsageError(
            f"output: {output} lies inside the input and holds inputs itself, such as {hidden[0]}; "
            "choose a folder that holds none"
        )


def _refuse_overwriting(jobs: Sequence[Job]) -> None:
    """Outputs never lie on a file, nor in a folder whose stills are an input."""
    folders = {os.path.realpath(job.input) for job in jobs if job.input.is_dir()}
    for job in jobs:
        if os.path.isfile(job.target):
            kind = "which is a file"
        elif folders and os.path.realpath(job.target) in folders:
            kind = "which is an input"
        else:
            continue
        raise UsageError(
            f"output: the outputs of {job.input} would lie in {job.target}, {kind}; "
            "choose an output folder that is not the input's own"
        )


def _refuse_sharing(jobs: Sequence[Job]) -> None:
    for one, other in itertools.pairwise(jobs):
        if one.target == other.target:
            raise UsageError(
                f"input: the outputs of {one.input} and {other.input} would lie in the same folder "
                f"{one.target}; give the folder above as input, or rename one"
            )
