"""The wheel, installed where nothing of this repository is seen: its commands run, its data are in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("mediaconv", "pipelines", "configs", "pyproject.toml", "README.md", "LICENSE")
DATA = {".html", ".css", ".js", ".yaml", ".typed"}

pytestmark = pytest.mark.long


def done(*words: object, cwd: Path) -> str:
    """What a command prints, outside this repository's own paths. Fails the test where the command does."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ran = subprocess.run([str(w) for w in words], cwd=cwd, env=kept, capture_output=True, text=True)
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, made from a copy: what an earlier build left beside the sources would hide a lack."""
    base = tmp_path_factory.mktemp("wheel")
    (base / "source").mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, base / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, base / "source")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-index")
    done(*pip, "--no-build-isolation", "-w", base / "dist", base / "source", cwd=base)
    (made,) = (base / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory) -> Path:
    """The folder of programs of an environment that holds the wheel, and sees what it depends on."""
    home = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(seen) + "\n")
    pip = (home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--no-deps")
    done(*pip, "--no-index", "--ignore-installed", wheel, cwd=home)
    where = done(home / "bin" / "python", "-c", "import mediaconv; print(mediaconv.__file__)", cwd=home)
    assert Path(where.strip()).is_relative_to(home)
    return home / "bin"


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    files = [
        path.relative_to(ROOT)
        for folder in ("mediaconv", "pipelines", "configs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in DATA | {".py"}
    ]
    expected = {
        str(path if path.parts[0] == "mediaconv" else Path("mediaconv") / path).replace(os.sep, "/")
        for path in files
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert len(expected) > 300
    assert sorted(expected ^ held) == []


def test_the_installed_program_runs_in_an_empty_folder(programs, tmp_path):
    program = programs / "mediaconv"
    assert "validate" in done(program, "--help", cwd=tmp_path)
    listed = done(program, "init", "--list", cwd=tmp_path)
    assert [path.stem for path in (ROOT / "configs").glob("*.yaml") if path.stem not in listed] == []
    schema = json.loads(done(program, "schema", cwd=tmp_path))
    assert schema == json.loads((ROOT / "docs" / "schema.json").read_text())

    picture = np.random.default_rng(0).integers(0, 256, (12, 16), np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), picture)
    done(program, "run", "in.png", "--kernel", "sobel", cwd=tmp_path)
    (made,) = [path for path in tmp_path.rglob("*.png") if path.name != "in.png"]
    shown = cv2.imread(str(made), cv2.IMREAD_UNCHANGED)
    assert shown.shape[:2] == picture.shape
    assert shown.std() > 0


def test_the_installed_program_writes_pages(programs, tmp_path):
    """Templates, styles and scripts of the pages are read from the package."""
    cv2.imwrite(str(tmp_path / "in.png"), np.arange(64, dtype=np.uint8).reshape(8, 8))
    (tmp_path / "c.yaml").write_text(
        "pipeline: image\ninput: in.png\noutput: out\nstack:\n  - conv: {out_channels: 2, kernel_size: 3}\n"
    )
    done(programs / "mediaconv", "inspect", "c.yaml", "-o", "page.html", cwd=tmp_path)
    page = (tmp_path / "page.html").read_text()
    for name in ("web/core.css", "web/core.js", "draw/inspect/page.css", "draw/inspect/page.js"):
        assert (ROOT / "mediaconv" / name).read_text().strip() in page
    done(programs / "mediaconv", "compare", "c.yaml", cwd=tmp_path)
    assert (tmp_path / "out-compare" / "report.html").stat().st_size > 10_000
