"""How every command ends."""

from __future__ import annotations

import subprocess
import sys


def test_a_reader_that_leaves_is_no_defect():
    command = f"{sys.executable} -m mediaconv.cli.main schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{"
    assert done.stderr == ""


def test_ctrl_c_while_the_program_is_still_loading_is_quiet():
    code = (
        "import importlib.abc, sys\n"
        "class Interrupted(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.startswith('mediaconv.cli'): raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from mediaconv.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "mediaconv", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("mediaconv ")
