"""One run inside the test's process, from keys to result: quicker than the program, the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mediaconv.config import RunConfig, parse_config
from mediaconv.engine.computation import Computations
from mediaconv.pipeline import find
from mediaconv.run.jobs.convert_job import convert_job
from mediaconv.run.jobs.plan import make_plan
from mediaconv.run.jobs.result import JobResult


def parsed(**keys: Any) -> RunConfig:
    """The configuration of these keys."""
    return parse_config(yaml.safe_dump(keys, sort_keys=False))


def run(**keys: Any) -> dict[str, JobResult]:
    """Every input's result by name."""
    config = parsed(**keys)
    pipeline = find(config.pipeline)
    computations = Computations(config, pipeline)
    return {job.name: convert_job(job, config, pipeline, computations) for job in make_plan(config, pipeline)}


def run_one(source: Path, output: Path, **keys: Any) -> tuple[JobResult, Path]:
    """One file's result and the folder of its outputs."""
    (result,) = run(input=str(source), output=str(output), **keys).values()
    return result, output / source.name
