"""The program as tests call it: inside this process by typer's own runner, as quick as its work."""

from __future__ import annotations

import subprocess
from contextlib import chdir
from contextvars import copy_context
from functools import partial
from pathlib import Path

from typer.testing import CliRunner


def run_program(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`mediaconv WORDS` in a folder: its exit status and what it said, as if it were a process."""
    from mediaconv.cli.main import app

    command = list(map(str, words))
    with chdir(cwd):
        begin = partial(CliRunner().invoke, app, command, env={"COLUMNS": "120"}, catch_exceptions=False)
        done = copy_context().run(begin)  # what one command line asks for is not asked for by the next
    return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr)
