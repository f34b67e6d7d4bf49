"""Which files a run takes and where each one's outputs go, before any work. Reads no media."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaconv.config import RunConfig
from mediaconv.errors import UsageError
from mediaconv.pipeline import Pipeline


@dataclass(frozen=True)
class Job:
    """One input and the folder that its outputs go to: OUTPUT/a/b/clip.mp4/ for ROOT/a/b/clip.mp4.

    name: the input's path below the root, with forward slashes; unique in a run.
    """

    name: str
    input: Path
    target: Path


def make_plan(config: RunConfig, pipeline: Pipeline) -> list[Job]:
    """All jobs of a run, sorted by name. Raises UsageError where there is nothing to do or outputs would
    lie on inputs."""
    given = Path(config.input)
    output = Path(config.output)
    root, inputs = find_inputs(config, pipeline)
    if not inputs:
        raise UsageError(
            f"input: {given} holds nothing for the pipeline {pipeline.name}; "
            f"it takes {' '.join(sorted(pipeline.extensions))}"
        )
    jobs = [_job(path, root, output) for path in inputs]
    jobs.sort(key=lambda job: job.name)
    _refuse_overwriting(jobs)
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
        found = [Path(p) for p in glob.glob(config.input, recursive=True)]
        files = [p for p in found if p.is_file() and not _hidden(p, root) and not _within(p, output)]
        folders = [p for p in found if p.is_dir() and not _hidden(p, root) and not _within(p, output)]
        files += [f for folder in folders for f in _walk(folder, output)]
        files = list(dict.fromkeys(files))
    else:
        raise UsageError(f"input: {given} does not exist (paths are taken from {Path.cwd()})")
    chosen = [f for f in files if _selected(f.relative_to(root).as_posix(), config.include, config.exclude)]
    return root, pipeline.inputs(sorted(chosen), config.read)


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
    if relative == Path():
        relative = Path(path.resolve().name)
    return Job(relative.as_posix(), path, output / relative)


def _walk(root: Path, output: Path) -> Iterator[Path]:
    """Files under a folder in depth, without hidden ones and without the output tree; a linked folder that
    was seen already is not entered again."""
    seen = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        entered = []
        for name in sorted(folders):
            path = Path(folder, name)
            real = os.path.realpath(path)
            if name.startswith(".") or real in seen or _same(path, output):
                continue
            seen.add(real)
            entered.append(name)
        folders[:] = entered
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def _within(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _selected(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    base = name.rsplit("/", 1)[-1]

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(base, p) for p in patterns)

    return (not include or matches(include)) and not matches(exclude)


def _refuse_overwriting(jobs: Sequence[Job]) -> None:
    inputs = {os.path.realpath(job.input): job for job in jobs}
    for job in jobs:
        real = os.path.realpath(job.target)
        if real in inputs or (job.target.exists() and not job.target.is_dir()):
            raise UsageError(
                f"output: the outputs of {job.input} would lie in {job.target}, which is a file; "
                "choose an output folder that is not the input's own"
            )
