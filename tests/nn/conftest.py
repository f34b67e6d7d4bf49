"""Tests of layers use tiny tensors: one thread is quickest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.nn.contract import passed


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random cases went through the contract."""
    if passed:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(passed.items()))
        terminalreporter.write_line(f"contract of exact streaming: {counts}")
