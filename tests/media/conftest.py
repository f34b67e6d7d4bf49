"""Fixtures of the media tests: real files that lie beside the repository on some machines."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

REAL_MEDIA = Path(__file__).parents[2] / ".." / "shared" / "media"


@pytest.fixture
def real_media() -> Callable[[str], Path]:
    """A real file by name; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = REAL_MEDIA / name
        if not path.is_file():
            pytest.skip(f"real media are not on this machine: {name} is absent from ../shared/media")
        return path

    return find


@pytest.fixture
def small_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Within `with small_disk(n):` no file grows past n bytes: the system refuses, as a full disk does."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
