"""One file's way: read, stack in chunks, normalize, quantize, write; all outputs appear together or none."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mediaconv.config import RunConfig
from mediaconv.engine.clock import OutputClock
from mediaconv.engine.flow import flow
from mediaconv.errors import ComputeError, MediaconvError, MediaError, ReadError, UsageError, WriteError
from mediaconv.model.binding import Model, Models
from mediaconv.pipeline import Chunk, OutputInfo, Pipeline, Sink, Source, SourceInfo
from mediaconv.run.executors.protocol import Advance
from mediaconv.run.jobs.identity import content_hash, input_identity
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import JobResult, OutputFile
from mediaconv.run.output.staging import Staging


def run_job(
    job: Job, config: RunConfig, pipeline: Pipeline, models: Models, *, progress: Advance | None = None
) -> JobResult:
    """Run one input from file to files. Raises MediaError with its stage; then nothing of it is left."""
    began = time.monotonic()
    before = _identity(job)
    with stage(ReadError), pipeline.open(job.input, config.read, config.limits) as source:
        with stage(ComputeError):
            model = models.for_source(source.info)
            output = output_info(model, source.info)
            if model.needs_range:
                _observe(job, config, pipeline, model)
        with stage(WriteError), Staging(job.target) as staging:
            sink = pipeline.create(staging.folder, source.info, output, config.write)
            try:
                passage = _Passage(source, model, sink, config, progress)
                passage.run()
                paths = sink.finish()
            finally:
                sink.abort()
            outputs = [_verified(path) for path in paths]
            identity = _unchanged(job, before)
            staging.commit()
    notes = [*source.notes(), *sink.notes()]
    if passage.clipped:
        notes.append(f"{passage.clipped} values lay outside the range of the file and were clipped")
    rate = source.info.rate
    return JobResult(
        outputs=outputs,
        seconds=time.monotonic() - began,
        input_shape=passage.input_shape,
        output_shape=passage.output_shape,
        media_seconds=float(passage.input_shape[1] / rate) if rate else None,
        clipped=passage.clipped,
        notes=notes,
        input_identity=identity,
    )


class _Passage:
    """The chunks of one input on their way through the three stages."""

    def __init__(
        self, source: Source, model: Model, sink: Sink, config: RunConfig, progress: Advance | None
    ) -> None:
        info = source.info
        self._source, self._sink, self._progress = source, sink, progress
        self._chunk = model.chunk(info, config.chunk)
        self._step = model.step(info, sink.format)
        self._clock = OutputClock(model.stride, 1 / info.rate if info.rate else Fraction(1))
        self._timed = False
        self._total = info.shape[0]
        self._rate = info.rate
        self.input_shape: tuple[int, ...] = (info.channels, 0)
        self.output_shape: tuple[int, ...] = ()

    @property
    def clipped(self) -> int:
        """Values clipped so far."""
        return self._step.clipped

    def run(self) -> None:
        """Everything, from the first chunk to the last."""
        flow(self._read(), self._compute, self._end, self._write)

    def _read(self) -> Iterator[Chunk]:
        with stage(ReadError):
            yield from self._source.chunks(self._chunk)

    def _compute(self, chunk: Chunk) -> tuple[np.ndarray, list[Fraction] | None]:
        with stage(ComputeError):
            steps = self.input_shape[1] + len(chunk.data)
            self.input_shape = (chunk.data.shape[-1], steps, *chunk.data.shape[1:-1])
            if chunk.times is not None:
                self._timed = True
                self._clock.push(chunk.times)
            samples = self._step.push(chunk.data)
            if self._progress is not None:
                self._progress(steps, self._total, float(steps / self._rate) if self._rate else None)
            return self._timestamped(samples)

    def _end(self) -> tuple[np.ndarray, list[Fraction] | None]:
        with stage(ComputeError):
            return self._timestamped(self._step.flush())

    def _timestamped(self, samples: np.ndarray) -> tuple[np.ndarray, list[Fraction] | None]:
        return samples, self._clock.take(samples.shape[1]) if self._timed else None

    def _write(self, item: tuple[np.ndarray, list[Fraction] | None]) -> None:
        with stage(WriteError):
            samples, times = item
            before = self.output_shape[1] if self.output_shape else 0
            self.output_shape = (samples.shape[0], before + samples.shape[1], *samples.shape[2:])
            if samples.size:
                self._sink.write(samples, times)


def output_info(model: Model, info: SourceInfo) -> OutputInfo:
    """What a model makes of an input. Raises ComputeError where nothing would be left of it."""
    maps = model.maps
    shape = tuple(None if n is None else m.output_length(n) for m, n in zip(maps, info.shape, strict=True))
    if 0 in shape:
        raise ComputeError(
            f"an input of {' x '.join(str(n) for n in info.shape)} leaves no output; "
            "the stack's kernels are larger than it: use padding: same"
        )
    return OutputInfo(model.output_channels, shape, tuple(1 / m.stride for m in maps))


def _observe(job: Job, config: RunConfig, pipeline: Pipeline, model: Model) -> None:
    """The first pass of a normalizer that needs the whole file's range."""
    with pipeline.open(job.input, config.read, config.limits) as source:
        observer = model.observer(source.info)
        for chunk in source.chunks(model.chunk(source.info, config.chunk)):
            observer.push(chunk.data)
        observer.flush()


def _identity(job: Job) -> dict[str, Any]:
    """Size and time of the input; a file that is not there is told by the pipeline, in its own words."""
    try:
        return input_identity(job.input)
    except OSError:
        return {}


def _unchanged(job: Job, before: dict[str, Any]) -> dict[str, Any]:
    """The identity of the input that was read, with its hash. Raises ReadError where it changed meanwhile."""
    with stage(ReadError):
        digest = content_hash(job.input)
        if input_identity(job.input) != before:
            raise ReadError(f"{job.input}: the file changed while it was read; run again once it is complete")
    return {**before, "sha256": digest}


def _verified(path: Path) -> OutputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stat = path.stat()
    return OutputFile(path.name, stat.st_size, digest, stat.st_mtime_ns)


@contextmanager
def stage(kind: type[ReadError | ComputeError | WriteError]) -> Iterator[None]:
    """Errors of libraries inside become errors of this stage; ours, which tell theirs, pass."""
    try:
        yield
    except MediaError:
        raise
    except UsageError as error:
        raise kind(str(error)) from error
    except MediaconvError as error:
        raise kind(str(error)) from error
    except MemoryError as error:
        raise kind("out of memory: give a smaller chunk, or limits that refuse this file") from error
    except Exception as error:
        text = str(error).strip().splitlines()
        raise kind(f"{type(error).__name__}: {text[0] if text else 'no message'}") from error
