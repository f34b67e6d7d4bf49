"""Jobs whose inputs or outputs lie on other storage: inputs fetched before, outputs sent after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mediaconv.errors import ReadError, WriteError
from mediaconv.filesystem import temporary_name
from mediaconv.run.jobs.identity import content_hash, input_identity
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.storage import fetch, send, stat_of


def identity_of(job: Job) -> dict[str, Any]:
    """Size and time (or tag) of a job's input, wherever it lies. Raises OSError."""
    return stat_of(job.input_url) if job.input_url else input_identity(job.input)


def content_of(job: Job) -> str:
    """sha256 of a job's input, wherever it lies. Raises OSError."""
    if not job.input_url:
        return content_hash(job.input)
    with _fetched(job) as path:
        return content_hash(path)


@contextmanager
def localized(job: Job) -> Iterator[Job]:
    """The job with its input at hand; outputs that are in its target when the block ends are sent away.

    Raises ReadError, WriteError.
    """
    if not job.input_url and not job.target_url:
        yield job
        return
    try:
        if job.input_url:
            with _fetched(job) as path:
                yield replace(job, input=path)
        else:
            yield job
        if job.target_url:
            try:
                send(job.target, job.target_url, job.replaces)
            except OSError as error:
                raise WriteError(f"{job.target_url}: cannot be written: {error}") from error
    finally:
        if job.target_url:
            shutil.rmtree(job.target, ignore_errors=True)


@contextmanager
def _fetched(job: Job) -> Iterator[Path]:
    """A local copy of the input, under its own name, in a temporary folder beside the target."""
    folder = job.target.with_name(f"{temporary_name(job.target)}-input")
    local = folder / Path(job.name).name
    try:
        try:
            fetch(job.input_url, local)
        except OSError as error:
            raise ReadError(f"{job.input_url}: cannot be fetched: {error}") from error
        yield local
    finally:
        shutil.rmtree(folder, ignore_errors=True)
