"""How every command ends."""

from __future__ import annotations

import subprocess
import sys

from tests.program import run_program


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


def test_a_traceback_is_shown_where_it_is_asked_for_and_nowhere_else(tmp_path):
    words = ["validate", "none.yaml"]
    for asked in (["--debug", *words], [*words, "--debug"]):
        assert "Traceback" in run_program(*asked, cwd=tmp_path).stderr
        assert "Traceback" not in run_program(*words, cwd=tmp_path).stderr


def test_windows_is_told_in_one_line():
    code = "import os\nos.name = 'nt'\nfrom mediaconv.__main__ import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("mediaconv runs on Linux and macOS")
    assert "WSL" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_command_takes_debug_and_the_fields_of_its_groups():
    import typer

    from mediaconv.cli.main import app

    commands = typer.main.get_command(app).commands
    for name, command in {**commands, **commands["demo"].commands}.items():
        names = {option for parameter in command.params for option in parameter.opts}
        assert name == "demo" or "--debug" in names
        takers = "run validate compare prove trace animate inspect receptive export"
        assert ("--model" in names) == (name in takers.split())


def test_status_of_a_configuration_says_which_folder_it_takes(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "pipeline: image\ninput: photos\noutput: out/edges\nstack: [{avg_pool: {kernel_size: 3}}]\n"
    )
    done = run_program("status", "c.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "c.yaml: is a file; status takes the output folder of a run" in done.stderr
    assert "this configuration writes to " in done.stderr
    assert done.stderr.rstrip().endswith("out/edges")
    (tmp_path / "notes.txt").write_text("no configuration")
    done = run_program("status", "notes.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("status takes the output folder of a run")
