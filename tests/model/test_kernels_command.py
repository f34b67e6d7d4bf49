"""What `mediaconv kernels` lists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mediaconv.cli.kernels import kernels
from mediaconv.layers.filters.fill import KERNELS
from mediaconv.layers.keys.initializers import INITIALIZERS


@pytest.fixture
def listed():
    app = typer.Typer()
    app.command()(kernels)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_table_names_every_kernel_and_initializer_with_its_options(listed):
    done = listed()
    assert done.exit_code == 0
    words = done.stdout.split()
    assert set(KERNELS) | set(INITIALIZERS) <= set(words)
    assert {"sigma=1.0", "cutoff_hz", "(required)", "orientations=4"} <= set(words)
    assert "[a, b]" in " ".join(words)


def test_json_is_for_programs(listed):
    found = json.loads(listed("--json").stdout)
    assert {row["name"]: row["dims"] for row in found["kernels"]} == {
        n: list(r.spec.dims) for n, r in KERNELS.items()
    }
    assert [row["name"] for row in found["initializers"]] == list(INITIALIZERS)
    options = {row["name"]: row["options"] for row in found["kernels"]}
    assert options["low_pass"]["cutoff_hz"]["required"] is True
    assert options["gaussian"]["sigma"]["default"] == 1.0


def test_the_page_names_each_kernel_and_shows_pictures_that_exist():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "reference" / "kernels.md").read_text()
    assert all(
        f"`{name}`" in page and all(f"`{o}`" in page for o in rule.spec.model_fields if o != "mix")
        for name, rule in KERNELS.items()
    )
    shown = re.findall(r"!\[.*\]\((.*)\)", page)
    assert sorted(shown) == sorted(
        f"../images/{path.name}" for path in (docs / "images").glob("kernels-*.png")
    )


def test_listing_does_not_import_torch():
    code = (
        "import sys; from mediaconv.cli.kernels import kernels; kernels(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
