"""The tutorial's notebook, run by a real Jupyter kernel: every cell runs, and shows what it is for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_notebook_runs_and_shows_its_results(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    from jupyter_client import KernelManager
    from nbconvert.preprocessors import ExecutePreprocessor

    class Kernel(KernelManager):
        """This interpreter, whatever kernels are installed."""

        def format_kernel_cmd(self, extra_arguments=None):
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

    monkeypatch.setenv("MEDIACONV_ROOT", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "docs/tutorial/notebook.ipynb", as_version=4)
    client = ExecutePreprocessor(timeout=250, kernel_manager_class=Kernel)
    client.preprocess(notebook, {"metadata": {"path": os.fspath(tmp_path)}})
    shown = [
        set().union(*(output.get("data", {}) for output in cell.outputs))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert ["text/html" in kinds for kinds in shown] == [False, True, False, True, True, True]
    assert "image/png" in shown[2]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "CausalConv1d" in code[1].outputs[0]["data"]["text/html"]
    assert "causal" in code[4].outputs[-1]["data"]["text/html"]
