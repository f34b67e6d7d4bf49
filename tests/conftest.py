"""What tests of every room share: where things are, the program, configurations written in place."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser import browser  # noqa: F401
from tests.program import run_program
from tests.tally import passed

ROOT = Path(__file__).parents[1]
MEDIA = ROOT.parent / "shared" / "media"

# what a shell starts in its background ignores Ctrl-C, and so would the programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--renew-golden` writes golden texts anew instead of comparing with them."""
    parser.addoption("--renew-golden", action="store_true", help="write golden texts anew")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs some of the tests for another one tells it what it counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["contract"] = dict(passed)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what such a process counted; one that died tells nothing."""
    passed.update(getattr(node, "workeroutput", {}).get("contract", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random cases went through the contract of exact streaming."""
    if passed:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(passed.items()))
        terminalreporter.write_line(f"contract of exact streaming: {counts}")


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    """Tests compute as on a machine of two cores; those that load no torch are not made to."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(2)


@pytest.fixture
def renew_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden texts are to be written anew."""
    return bool(request.config.getoption("--renew-golden"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def real_media() -> Path:
    """Real files, where they are at hand."""
    if not MEDIA.is_dir():
        pytest.skip("the folder of real media beside the repository is absent")
    return MEDIA


@pytest.fixture
def mediaconv(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The program, run in tmp_path inside this process; `code` is the exit status that it must end with."""

    def call(*words: object, code: int = 0, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        done = run_program(*words, cwd=cwd)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration to tmp_path and gives its path."""

    def write(name: str = "config.yaml", **keys: Any) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(json.loads(json.dumps(keys)), sort_keys=False))
        return path

    return write
