"""The line that says that something still goes on."""

from __future__ import annotations

import time

import pytest

import mediaconv.cli.waiting as waiting_module
from mediaconv.cli.trace import trace
from mediaconv.cli.waiting import waiting


def test_what_is_quick_says_nothing(capsys):
    with waiting("looking"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("quiet", "told"), [(False, "looking ...\n"), (True, "")])
def test_what_takes_longer_says_so_once_on_standard_error(capsys, monkeypatch, quiet, told):
    monkeypatch.setattr(waiting_module, "AFTER_SECONDS", 0.01)
    with waiting("looking", quiet=quiet):
        time.sleep(0.3)
    assert capsys.readouterr() == ("", told)


def test_a_long_trace_says_so_and_its_table_stays_clean(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(waiting_module, "AFTER_SECONDS", 0.0)
    config = tmp_path / "a.yaml"
    config.write_text("pipeline: audio\nstack:\n  - conv: {out_channels: 1, kernel_size: 3}\n")
    trace(str(config), shape="1,100")
    printed = capsys.readouterr()
    assert printed.err == "tracing ...\n"
    assert printed.out.startswith("input: channels 1, time 100")
