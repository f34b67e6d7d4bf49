"""kill -9 while a command writes the file that it is told to: the next writes it, and nothing else stays."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.run.running import ROOT

COMMANDS = {
    "receptive": (["receptive", "c.yaml", "-o", "d/r.svg"], (0,)),
    "animate": (["animate", "--kind", "conv1d", "--size", "4", "-o", "d/a.svg"], (0,)),
    "export": (["export", "c.yaml", "--chunk", "4", "--size", "6", "-o", "d/e.onnx"], (0, 1)),
    "inspect": (["inspect", "c.yaml", "-i", "a.png", "-o", "d/i.html", "--png", "d"], (0, 2)),
    "init": (["init", "a.png", "-o", "d/i.yaml"], (0,)),
}
KILL = """
import os, signal, stat, sys
calls = iter(range(int(sys.argv.pop(1))))
def killing(handle):
    if stat.S_ISREG(os.fstat(handle).st_mode) and next(calls, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = killing
from mediaconv.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_next_command_ends_as_if_none_had_been_killed(name, mediaconv, config, tmp_path):
    """It is killed where it syncs a file, as all that is written is."""
    Image.fromarray(np.full((6, 6, 3), 99, np.uint8)).save(tmp_path / "a.png")
    stack = [{"conv": {"out_channels": 2, "kernel_size": 3}}]
    config("c.yaml", pipeline="image", input="a.png", output="out", stack=stack)
    words, calls = COMMANDS[name]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for call in calls:
        command = [sys.executable, "-c", KILL, str(call), *words]
        assert subprocess.run(command, cwd=tmp_path, env=env, capture_output=True).returncode == -9
        left = [path.name for path in (tmp_path / "d").iterdir() if path.name.startswith(".")]
        assert len(left) == 1
    mediaconv(*words)
    assert not list(tmp_path.rglob(".*"))
    assert all((tmp_path / word).exists() for word in words if word.startswith("d/"))
