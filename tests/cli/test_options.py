"""How every command ends."""

from __future__ import annotations

import subprocess
import sys


def test_a_reader_that_leaves_is_no_defect():
    command = f"{sys.executable} -m mediaconv.cli.main schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{"
    assert done.stderr == ""
