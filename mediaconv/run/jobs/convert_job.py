"""One job, from input to verified outputs: all appear together or none, of an input that did not change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig
from mediaconv.engine.computation import Computations, Converted
from mediaconv.engine.conversion import Progress
from mediaconv.engine.stages import stage
from mediaconv.errors import ReadError, WriteError
from mediaconv.filesystem import NotAFileError, digest
from mediaconv.media.output_names import patterned
from mediaconv.pipeline import Pipeline, Source
from mediaconv.run.jobs.identity import content_hash, input_identity
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import JobResult, OutputFile, clipped_note
from mediaconv.run.output.staging import Staged, Staging
from mediaconv.run.plots.watch import Watched


def convert_job(
    job: Job,
    config: RunConfig,
    pipeline: Pipeline,
    computations: Computations,
    *,
    progress: Progress | None = None,
    holds: bool = False,
) -> JobResult:
    """Run one input from file to files. Raises MediaError with its stage; then nothing of it is left.

    holds: the outputs stay staged: whoever takes the result puts them in place.
    """

    def opened() -> Source:
        return pipeline.open(job.input, config.read, config.limits)

    began = time.monotonic()
    before = _identity(job)
    with stage(ReadError), opened() as source:
        rate = source.info.rate
        with write_outputs(
            source,
            opened,
            job.target,
            config,
            pipeline,
            computations,
            replaces=job.replaces,
            naming=(job.pattern, job.name) if job.pattern else None,
            progress=progress,
            holds=holds,
        ) as written:
            outputs = [_verified(path) for path in written.paths]
            identity = _unchanged(job, before)
    return JobResult(
        outputs=outputs,
        seconds=time.monotonic() - began,
        input_shape=written.input_shape,
        output_shape=written.output_shape,
        media_seconds=float(written.input_shape[1] / rate) if rate else None,
        clipped=written.clipped,
        notes=written.notes,
        input_identity=identity,
        staged=written.staged,
    )


@dataclass(frozen=True)
class Written(Converted):
    """What became of one source. paths: of its files, in channel order, and its figure.

    staged: where they still wait.
    """

    paths: tuple[Path, ...] = ()
    notes: list[str] = field(default_factory=list)
    staged: Staged | None = None


@contextmanager
def write_outputs(
    source: Source,
    reopen: Callable[[], Source],
    target: Path,
    config: RunConfig,
    pipeline: Pipeline,
    computations: Computations,
    *,
    replaces: Collection[str] = (),
    naming: tuple[str, str] | None = None,
    progress: Progress | None = None,
    holds: bool = False,
) -> Iterator[Written]:
    """Convert an open source to complete files, which the end of the block puts in place in `target`, or
    leaves staged where it `holds` them.

    replaces: names of files there that are our own, of an earlier conversion.
    naming: a pattern and the input's name, for files beside the target instead of in it.
    An error, also in the block, leaves nothing. Raises MediaError.
    """
    computation, output = computations.prepare(source.info, reopen)
    with stage(WriteError), Staging(target, replaces, flat=naming is not None) as staging:
        sink = pipeline.create(staging.folder, source.info, output, config.write)
        plot = None
        if getattr(config.write, "plots", False):
            plot = Watched(pipeline, source.info, output, config.write, title=target.name)
            source, sink = plot.source(source), plot.sink(sink)
        try:
            converted = computation.write(source, sink, progress=progress)
            paths = [*sink.finish(), *([] if plot is None else [plot.save(staging.folder)])]
        finally:
            sink.abort()
        if naming is not None:
            paths = [path.rename(path.with_name(patterned(*naming, path.name))) for path in paths]
        notes = [*source.notes(), *computation.notes, *sink.notes()]
        if converted.clipped:
            notes.append(clipped_note(converted.clipped))
        staged = staging.hold() if holds else None
        yield Written(**vars(converted), paths=tuple(paths), notes=notes, staged=staged)
        if not holds:
            staging.commit()


def _identity(job: Job) -> dict[str, Any]:
    """Size and time of the input; a file that is not there is told by the pipeline, in its own words.

    Raises ReadError for what has become a pipe or a device: to open it might never end.
    """
    try:
        return input_identity(job.input)
    except NotAFileError as error:
        raise ReadError(f"{job.input} {error.strerror}") from error
    except OSError:
        return {}


def _unchanged(job: Job, before: dict[str, Any]) -> dict[str, Any]:
    """The identity of the input that was read, with its hash. Raises ReadError where it changed meanwhile."""
    with stage(ReadError):
        content = content_hash(job.input)
        if input_identity(job.input) != before:
            raise ReadError(f"{job.input}: the file changed while it was read; run again once it is complete")
    return {**before, "sha256": content}


def _verified(path: Path) -> OutputFile:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        hashed, status = digest(handle), os.fstat(handle)
    finally:
        os.close(handle)
    return OutputFile(path.name, status.st_size, hashed, status.st_mtime_ns)
