"""Runs over a folder inside the test's process, and programs that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from mediaconv.config import RunConfig, parse_config
from mediaconv.run.report.summary import Summary
from mediaconv.run.runner import Selection, run_folder
from tests.run.trees import STACK, unfinished

ROOT = Path(__file__).parents[2]


def parsed(source: Path | str, output: Path | str, **keys: Any) -> RunConfig:
    """A configuration over a folder of images, unless keys say otherwise."""
    given = {"pipeline": "image", "input": str(source), "output": str(output), "stack": STACK, **keys}
    return parse_config(yaml.safe_dump(given))


def run(
    source: Path | str, output: Path | str, *, selection: Selection | None = None, **keys: Any
) -> Summary:
    """Run a folder, serially unless keys say otherwise."""
    keys = {"executor": "serial", **keys}
    return run_folder(parsed(source, output, **keys), selection=selection or Selection())


def rows(output: Path) -> dict[str, dict[str, Any]]:
    """The last row of every input, read by other code than the program's."""
    text = (output / "manifest.jsonl").read_text()
    assert text.endswith("\n")
    return {row["input"]: row for row in map(json.loads, text.splitlines())}


def start(config: Path, *options: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`mediaconv run CONFIG`, begun."""
    return begin("run", str(config), *options, cwd=cwd)


def begin(*words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`mediaconv WORDS`, begun."""
    command = [sys.executable, "-m", "mediaconv.cli.main", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=cwd or ROOT,
        env=env,
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=_hangs_up,  # tests begun by nohup ignore this signal, and their children would
    )


def _hangs_up() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def write_config(path: Path, source: Path, output: Path, **keys: Any) -> Path:
    """The same as `parsed`, as a file."""
    given = {"pipeline": "image", "input": str(source), "output": str(output), "stack": STACK, **keys}
    path.write_text(yaml.safe_dump(given))
    return path


def wait_for_work(output: Path, process: subprocess.Popen[str]) -> None:
    """Until an output is begun; run.yaml is unfinished for a moment too, before there are workers."""
    until = time.monotonic() + 60
    while not any("run.yaml" not in path for path in unfinished(output)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
