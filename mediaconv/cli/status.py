"""`mediaconv status`: what is done in an output folder, what failed, what is missing, what is stale."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated

import typer

from mediaconv.cli.options import DebugOption, JsonOption


def status(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="the output folder of a run")],
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Tell what is done in an output folder, what failed, what is missing and what is stale."""
    from mediaconv.run.resume.status import read_status

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    report = read_status(output)
    print(jsonlib.dumps(report.as_json(), indent=2) if json else "\n".join(report.lines()))
    return 0
