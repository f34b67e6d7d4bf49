"""`mediaconv run`: a configuration over its inputs."""

from __future__ import annotations

import sys
from pathlib import Path

from mediaconv.cli.options import (
    ConfigArgument,
    DebugOption,
    InputOption,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
)


def run(
    config: ConfigArgument,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Run a configuration over its inputs: one image, WAV or MP4 per output channel."""
    from mediaconv.config import load_config

    resolved = load_config(Path(config), overrides=set or [], input=input, output=output)
    from mediaconv.errors import MediaError
    from mediaconv.pipeline import find
    from mediaconv.run.engine import run_job
    from mediaconv.run.models import Models
    from mediaconv.run.plan import make_plan

    pipeline = find(resolved.pipeline)
    jobs = make_plan(resolved, pipeline)
    models = Models(resolved, pipeline)
    failed = 0
    for job in jobs:
        try:
            result = run_job(job, resolved, pipeline, models)
            print(job.name, result)
        except MediaError as error:
            failed += 1
            print(f"{job.name}: {error.stage}: {error}", file=sys.stderr)
    return 1 if failed else 0
