"""Each input's job: where it lies and where its outputs go, before any work. Reads no media."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig
from mediaconv.counted import counted
from mediaconv.errors import UsageError, refuse_shortage
from mediaconv.filesystem import MARK
from mediaconv.lazy_lists import LazyList, PathList
from mediaconv.media.output_names import patterned
from mediaconv.pipeline import Pipeline
from mediaconv.run.jobs.discover import Listing, discover, find_inputs
from mediaconv.run.jobs.folder_search import lies_within
from mediaconv.run.output.folder import KEPT
from mediaconv.run.output.lock import NAME as LOCK_NAME
from mediaconv.run.output.staging import is_unfinished
from mediaconv.run.output.storage import is_remote, join
from mediaconv.run.resume.manifest import NAME as MANIFEST_NAME

_STANDARD_NAMES = (*(f"channel_{c}" for c in range(16)), "rgb", "grid", "tensor")
OWN_NAMES = frozenset({*KEPT, LOCK_NAME})
"""What a run keeps in its output folder beside outputs."""


@dataclass(frozen=True)
class Job:
    """One input and the folder that its outputs go to: OUTPUT/a/b/clip.mp4/ for ROOT/a/b/clip.mp4.

    name: the input's path below the root, with forward slashes; unique in a run.
    output: the run's output folder, on this machine.
    input_url, target_url: where these really lie, when that is other storage; `input` and `target` are then
        where they are while the job runs.
    replaces: names of files in the target that are the run's own, of an earlier run.
    pattern: how outputs are named in the folder that holds the target, flat; "": in the target itself.
    """

    name: str
    input: Path
    output: Path
    input_url: str = ""
    target_url: str = ""
    replaces: tuple[str, ...] = ()
    pattern: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels with its paths as texts: a path takes ten times as long, and the target is made there."""
        paths = str(self.input), str(self.output)
        return _arrived, (self.name, *paths, self.input_url, self.target_url, self.replaces, self.pattern)

    @functools.cached_property
    def target(self) -> Path:
        """The folder of the outputs, or the name that they share by a pattern; made when it is asked for."""
        return self.output / self.name

    @property
    def output_folder(self) -> str:
        """Below the output folder, where its files lie: with a slash at its end, or nothing."""
        return f"{self.name}/" if not self.pattern else self.name[: self.name.rfind("/") + 1]

    @property
    def origin(self) -> str:
        """The input as a user knows it."""
        return self.input_url or str(self.input)

    @property
    def destination(self) -> str:
        """The folder of the outputs as a user knows it."""
        return self.target_url or str(self.target.parent if self.pattern else self.target)


def _arrived(name: str, input: str, output: str, *rest: Any) -> Job:
    return Job(name, Path(input), Path(output), *rest)


class Plan(LazyList[Job]):
    """Jobs of files of this machine, sorted by name, made when they are asked for.

    paths: of the inputs, all below the listing's root.
    """

    def __init__(self, paths: PathList, output: Path, pattern: str) -> None:
        names = paths.names
        if any(after < name for name, after in itertools.pairwise(names)):
            names = sorted(names)
        self.names, self._prefix = names, paths.prefix
        super().__init__(
            len(names), lambda place: Job(names[place], Path(self.input_at(place)), output, pattern=pattern)
        )

    def input_at(self, place: int) -> str:
        """The path of a job's input, as a text."""
        return self._prefix + self.names[place]


def make_plan(
    config: RunConfig, pipeline: Pipeline, *, listing: Listing | None = None, folder: Path | None = None
) -> Sequence[Job]:
    """All jobs of a run, sorted by name.

    listing: the inputs, where they were looked for already.
    folder: where outputs are written on this machine; default: the configuration's `output`.

    Raises UsageError where there is nothing to do or outputs would lie on inputs.
    """
    listing = discover(config, pipeline) if listing is None else listing
    folder = Path(config.output) if folder is None else folder
    local = not is_remote(config.output)
    if local and not listing.url:
        _refuse_hiding(config, pipeline, listing.root)
    if not listing.inputs:
        unwanted = sum(entry.unwanted for entry in listing.left_out)
        patterns = (
            f" that include and exclude leave ({counted(unwanted, 'file')} left out)" if unwanted else ""
        )
        raise UsageError(
            f"input: {config.input} holds nothing for the pipeline {pipeline.name}{patterns}; "
            f"it takes {' '.join(sorted(pipeline.takes(config.read)))}"
        )
    pattern = getattr(config.write, "pattern", None) or ""
    if pattern and not local:
        raise UsageError("write.pattern: flat folders are for outputs on this machine; leave it out")
    jobs = _jobs(config, listing, folder, pattern)
    names = job_names(jobs)
    if local and not listing.url:
        _refuse_overwriting(jobs, names, listing)
    _refuse_own_names(jobs, names)
    _refuse_sharing(jobs, names)
    if pattern:
        _refuse_collisions(jobs, getattr(config.write, "names", None) or _STANDARD_NAMES)
    return jobs


def _jobs(config: RunConfig, listing: Listing, folder: Path, pattern: str) -> Sequence[Job]:
    paths, local = listing.inputs, not is_remote(config.output)
    if local and not listing.url and isinstance(paths, PathList) and paths.prefix == listing.prefix:
        return Plan(paths, folder, pattern)
    jobs = [job_of(path, listing, folder, pattern=pattern) for path in paths]
    jobs.sort(key=lambda job: job.name)
    return jobs if local else [replace(job, target_url=join(config.output, job.name)) for job in jobs]


def job_names(jobs: Sequence[Job]) -> Sequence[str]:
    """Their names, in their order."""
    return jobs.names if isinstance(jobs, Plan) else [job.name for job in jobs]


def job_of(path: Path, listing: Listing, output: Path, *, pattern: str = "") -> Job:
    """The job of an input below the root of those that were found. output: the folder, on this machine."""
    name = str(path)[listing.skip :]
    if listing.folders and path in listing.folders and path == listing.root:  # as a sequence of stills
        name = listing.url.rpartition("/")[2] if listing.url else path.resolve().name
    url = join(listing.url, path.as_posix()) if listing.url and path.parts else listing.url
    return Job(name, path, output, input_url=url, pattern=pattern)


def _refuse_hiding(config: RunConfig, pipeline: Pipeline, root: Path) -> None:
    """What lies in the output folder is no input: before a first run, inputs there would be passed over."""
    output = Path(config.output)
    if not output.is_dir() or (output / MANIFEST_NAME).exists() or not lies_within(output, root):
        return
    if os.path.samefile(output, root) or Path(config.input).is_file():
        return
    everything = {"input": str(output), "output": str(output / MANIFEST_NAME), "include": (), "exclude": ()}
    hidden = find_inputs(config.model_copy(update=everything), pipeline).inputs
    if hidden:
        raise UsageError(
            f"output: {output} lies inside the input and holds inputs itself, such as {hidden[0]}; "
            "choose a folder that holds none"
        )


def _refuse_overwriting(jobs: Sequence[Job], names: Sequence[str], listing: Listing) -> None:
    """Outputs never lie on a file, nor in a folder whose stills are an input."""
    folders = {os.path.realpath(path) for path in listing.folders}
    files: dict[str, set[str]] = {}
    for place, path in enumerate(names):
        folder, _, name = path.rpartition("/")
        if folder not in files:
            files[folder] = _files_in(jobs[place].target.parent)
        if name in files[folder]:
            kind = "which is a file"
        elif folders and os.path.realpath(jobs[place].target) in folders:
            kind = "which is an input"
        else:
            continue
        job = jobs[place]
        raise UsageError(
            f"output: the outputs of {job.input} would lie in {job.target}, {kind}; "
            "choose an output folder that is not the input's own"
        )


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:  # not there yet
        refuse_shortage(error)
        return set()


def _refuse_own_names(jobs: Sequence[Job], names: Sequence[str]) -> None:
    """Outputs never lie where a run keeps its own files, nor under names that it removes as leftovers."""
    for place, name in enumerate(names):
        first = name.partition("/")[0]
        if first in OWN_NAMES:
            kind = f"{first} in the output folder is the run's own"
        elif MARK in name and any(map(is_unfinished, name.split("/"))):
            kind = "a name that starts with a dot and contains .part is that of an unfinished output"
        else:
            continue
        job = jobs[place]
        raise UsageError(
            f"input: the outputs of {job.origin} would lie in {job.destination}, but {kind}; "
            "rename it, or leave it out with exclude"
        )


def _refuse_collisions(jobs: Sequence[Job], names: Sequence[str]) -> None:
    """No two inputs' outputs get one name by a pattern; upper and lower case are one."""
    known: dict[str, Job] = {}
    for job in jobs:
        for name in (*names, "plot"):
            file = patterned(job.pattern, job.name, f"{name}.x").removesuffix(".x")
            other = known.setdefault(f"{job.output_folder}{file}".casefold(), job)
            if other is not job:
                raise UsageError(
                    f"write.pattern: {job.pattern} names outputs of {other.origin} and {job.origin} alike: "
                    f"{job.output_folder}{file}; leave the pattern out, or rename one"
                )


def _refuse_sharing(jobs: Sequence[Job], names: Sequence[str]) -> None:
    for place, (name, after) in enumerate(itertools.pairwise(names)):
        if name == after:
            one, other = jobs[place], jobs[place + 1]
            raise UsageError(
                f"input: the outputs of {one.input} and {other.input} would lie in the same folder "
                f"{one.target}; give the folder above as input, or rename one"
            )
