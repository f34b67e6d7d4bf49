"""What an installation contains: every package of the tree, and the data files that they read."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_installed() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {".".join(f.parent.relative_to(ROOT).parts) for f in ROOT.glob("mediaconv/**/__init__.py")}
    assert set(told["packages"]) == there | set(told["package-dir"])


def test_every_file_beside_the_code_is_installed() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = told["package-data"]["*"]
    beside = [f for f in (ROOT / "mediaconv").rglob("*.*") if f.is_file() and f.parent.name != "__pycache__"]
    files = [f for f in beside if f.suffix != ".py"]
    assert [f.name for f in files if not any(f.match(pattern) for pattern in patterns)] == []
