"""About how long a run would take and how much it would write.

Told from files that the same configuration made before, or from the beginning of one input, run in a
temporary folder. Files count by their bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mediaconv.config import RunConfig
from mediaconv.counted import counted
from mediaconv.errors import ComputeError, MediaconvError, MediaError
from mediaconv.pipeline import Chunk, Pipeline, Source, find
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.transfer import localized
from mediaconv.run.resume.rows import DONE, Row
from mediaconv.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from mediaconv.engine.computation import Computations

TRIAL_SECONDS = 3.0
"""How long one input is tried, once the stack is built and its loops are compiled."""
MOST_PRODUCTS = 10**11
"""Multiply-adds of one chunk up to which an input is tried: some seconds on two cores."""
TRIED = 3
"""How many inputs are tried until one can be read."""


@dataclass(frozen=True)
class Rate:
    """What a byte of input costs: one worker's seconds, and bytes written.

    start_seconds: before the first file. basis: what that is known from.
    """

    seconds: float
    bytes: float
    start_seconds: float
    basis: str


def rate_of_rows(rows: Iterable[Row], identity: dict[str, str]) -> Rate | None:
    """From files that the same configuration made before, where there are any."""
    count, weight, written, spent = 0, 0, 0, 0.0
    for row in rows:
        if row.status == DONE and row.identity.get("config") == identity["config"]:
            count += 1
            weight += row.identity.get("size", 0)
            written += sum(file["bytes"] for file in row.outputs)
            spent += row.seconds
    if not weight:
        return None
    return Rate(spent / weight, written / weight, 0.0, f"{counted(count, 'file')} done before")


def rate_of_trial(config: RunConfig, jobs: Sequence[Job], weights: dict[str, int]) -> Rate:
    """From an input of middle size, as far as it comes in `TRIAL_SECONDS`. Raises what the job raises."""
    began = time.monotonic()  # before the libraries are loaded, as in every worker
    from mediaconv.engine.computation import Computations

    pipeline = find(config.pipeline)
    computations = Computations(config, pipeline)
    middle = sorted(weights[job.name] for job in jobs)[len(jobs) // 2]
    for job in sorted(jobs, key=lambda job: abs(weights[job.name] - middle))[:TRIED]:
        try:
            _refuse_long_chunk(job, config, pipeline, computations)
            _try(job, config, pipeline, computations, seconds=0.0)
        except MediaError as error:
            failure: MediaconvError = error
            continue
        start = time.monotonic() - began
        spent, written = _try(job, config, pipeline, computations, seconds=TRIAL_SECONDS)
        weight = max(1, weights[job.name])
        return Rate(spent / weight, written / weight, start, f"a trial of {job.name}")
    raise failure


def _refuse_long_chunk(job: Job, config: RunConfig, pipeline: Pipeline, computations: Computations) -> None:
    """Raise MediaconvError where one chunk alone computes for longer than a trial may take."""
    if job.input_url:
        return
    from mediaconv.engine.stages import stage
    from mediaconv.nn.summary.trace import trace

    with pipeline.open(job.input, config.read, config.limits) as source, stage(ComputeError):
        info = source.info
        computation = computations.for_source(info)
        shape = (info.channels, computation.chunk_size(info), *(n or 1 for n in info.shape[1:]))
        products = trace(computation.module, shape).total.multiply_adds
    if products > MOST_PRODUCTS:
        raise MediaconvError(
            f"a chunk of {job.name} takes {products:,} multiply-adds, too many to try (more than 10**11)"
        )


def _try(
    job: Job, config: RunConfig, pipeline: Pipeline, computations: Computations, *, seconds: float
) -> tuple[float, float]:
    """Run the beginning of an input, at least one chunk; seconds and bytes of the whole, in proportion."""
    from mediaconv.run.jobs.convert_job import convert_job

    beginnings = _Beginnings(pipeline, seconds)
    with temporary_folder() as folder:
        trial = replace(job, output=folder / "trial", target_url="")
        with localized(trial) as local:
            result = convert_job(local, config, beginnings, computations)  # type: ignore[arg-type]
    ends = [*(source.began for source in beginnings.sources[1:]), time.monotonic()]
    spent = sum(
        (end - source.began) / source.fraction for source, end in zip(beginnings.sources, ends, strict=True)
    )
    return spent, sum(file.bytes for file in result.outputs) / beginnings.sources[-1].fraction


PHASE, LONG_PHASE, LONG = 64, 960, 100_000
"""Of an input so many steps, or of one longer than that, a multiple is left out of a trial."""


class _Beginnings:
    """A pipeline whose sources end early. sources: one for each pass over the input."""

    def __init__(self, pipeline: Pipeline, seconds: float) -> None:
        self._pipeline, self._seconds = pipeline, seconds
        self.sources: list[_Beginning] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def open(self, *options: Any) -> Source:
        self.sources.append(_Beginning(self._pipeline.open(*options), self._seconds))
        return self.sources[-1]


class _Beginning(Source):
    """What can be read of a source in a time. fraction: how much of it that was, 0 to 1."""

    def __init__(self, source: Source, seconds: float) -> None:
        self._source, self._seconds = source, seconds
        self.info = source.info
        self.began = time.monotonic()
        self._steps = 0
        self._cut = False

    @property
    def fraction(self) -> float:
        total = self.info.shape[0]
        if self._cut and not total:
            raise MediaconvError("the length of the input that was tried is not known before its end")
        return min(1.0, self._steps / total) if self._cut and total else 1.0

    def chunks(self, size: int) -> Iterator[Chunk]:
        for chunk in self._source.chunks(size):
            if self._steps and time.monotonic() - self.began >= self._seconds:
                rest = self._to_phase()
                if rest <= len(chunk.data):
                    self._cut = True
                    if rest:
                        self._steps += rest
                        yield Chunk(chunk.data[:rest], None if chunk.times is None else chunk.times[:rest])
                    return
            self._steps += len(chunk.data)
            yield chunk

    def _to_phase(self) -> int:
        """Steps to a length that divides as the whole does: padding of models may follow from it."""
        total = self.info.shape[0]
        return (total - self._steps) % (LONG_PHASE if total > LONG else PHASE) if total else 0

    def close(self) -> None:
        self._source.close()
