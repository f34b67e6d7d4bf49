"""Entry points are read once, and those of a package that is installed meanwhile are seen all the same."""

import importlib.metadata
import os
from pathlib import Path

import pytest

from mediaconv import installed as module
from mediaconv.installed import installed


def put(site: Path, name: str, group: str) -> None:
    """What pip writes for a package."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}:it\n")
    os.utime(site, ns=(0, site.stat().st_mtime_ns + 1))  # file systems may count time in coarse steps


@pytest.fixture
def readings(monkeypatch):
    """How often the packages were looked through."""
    counted = []

    def entry_points():
        counted.append(1)
        return importlib.metadata.entry_points()

    monkeypatch.setattr(module, "entry_points", entry_points)
    module._all.cache_clear()
    yield counted
    module._all.cache_clear()


def test_packages_are_looked_through_once_until_something_changes(tmp_path, monkeypatch, readings):
    monkeypatch.syspath_prepend(tmp_path)
    for group in ("mediaconv.pipelines", "mediaconv.layers", "some.group"):
        found, expected = installed(group), importlib.metadata.entry_points(group=group)
        assert sorted(map(str, found)) == sorted(map(str, expected))
    assert len(readings) == 1
    put(tmp_path, "later", "some.group")
    assert [(entry.name, entry.value) for entry in installed("some.group")] == [("later", "later:it")]
    assert not list(installed("some.other"))
    assert len(readings) == 2
