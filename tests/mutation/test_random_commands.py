"""Command lines and `write:` sections of every kind, in folders full of anybody's files, with what happens
to a program meanwhile (signals, kills, few open files, small files, streams that break).

Each case ends within a limit with 0, 1, 2 or 130 and no traceback; nothing that was there is changed or gone,
and no temporary file stays. Sixty by default; MEDIACONV_COMMANDS=2000 (`make torture`) makes as many, from
another seed with MEDIACONV_MUTANTS_FROM. A case is told by its number; what was
wrong once has a test of its own (test_names_without_text, test_killed_commands, test_other_users).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.command_inputs import make_inputs

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("MEDIACONV_COMMANDS", "60"))
FIRST = int(os.environ.get("MEDIACONV_MUTANTS_FROM", "0"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 60 * COUNT)]


def test_no_command_harms_anybodys_files(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    make_inputs(samples)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):  # the cases run as another user
        folder.chmod(0o755)
    command = [sys.executable, "-m", "tests.mutation.command_worker", str(samples), str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, str(FIRST), str(FIRST + COUNT)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, count = done.stdout.splitlines()
    wrong = [json.loads(line) for line in lines]
    assert not wrong, "\n".join(f"case {row['case']}: {row['wrong']}" for row in wrong[:40])
    assert int(count) == COUNT
