"""What the documents say is so: code runs, links lead somewhere, pages made from it are up to date."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch
import yaml

from mediaconv.config import parse_config

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(path: Path, language: str) -> list[str]:
    """The fenced code of a language in a page."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)


def test_the_readme_code_streams_exactly():
    for code in blocks(ROOT / "README.md", "python"):
        names: dict = {}
        exec(code, names)
        assert torch.allclose(
            names["y"], names["conv"](names["x"]), atol=1e-6
        )  # float32 sums in another order


def test_the_readme_configuration_is_valid():
    (text,) = blocks(ROOT / "README.md", "yaml")
    assert parse_config(text).pipeline == yaml.safe_load(text)["pipeline"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_configuration_page_is_what_the_program_says():
    made = runpy.run_path(str(ROOT / "docs/make_configuration.py"))["page"]()
    assert made == (ROOT / "docs/configuration.md").read_text(), "run: python docs/make_configuration.py"


def test_every_command_is_in_the_readme():
    from mediaconv.cli.main import COMMANDS

    readme = (ROOT / "README.md").read_text()
    assert [c.__name__ for c in COMMANDS if f"`mediaconv {c.__name__}" not in readme] == []
