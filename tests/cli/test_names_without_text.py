"""File names that are no text (bytes that are no UTF-8), and half characters on the command line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

NAME = "n\udcff"
STACK = [{"conv": {"out_channels": 2, "kernel_size": 3}}]


@pytest.fixture
def folder(config, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((6, 6, 3), 99, np.uint8)).save(tmp_path / "in" / f"{NAME}.png")
    config(f"{NAME}.yaml", pipeline="image", input="in", output=NAME, stack=STACK, executor="serial")
    return tmp_path


def test_an_output_folder_is_resumed_and_its_status_told(folder, mediaconv):
    mediaconv("run", f"{NAME}.yaml", "--plots")
    assert {path.name for path in (folder / NAME / f"{NAME}.png").iterdir()} == {
        "channel_0.png",
        "channel_1.png",
        "plot.png",
    }
    assert "1 skipped" in mediaconv("run", f"{NAME}.yaml", "--plots").stdout
    assert "1 done" in mediaconv("status", NAME).stdout
    assert "1 skipped" in mediaconv("run", f"{NAME}/run.yaml").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["receptive", f"{NAME}.yaml", "-o", f"{NAME}.svg"],
        ["animate", f"{NAME}.yaml", "--title", NAME, "-o", f"{NAME}.svg"],
        ["animate", f"{NAME}.yaml", "--title", NAME, "--frames", "2", "-o", f"{NAME}.pdf"],
        ["animate", f"{NAME}.yaml", "--title", NAME, "--frames", "2", "-o", f"{NAME}.html"],
        ["export", f"{NAME}.yaml", "--chunk", "4", "--size", "6", "-o", f"{NAME}.onnx"],
        ["inspect", f"{NAME}.yaml", "-i", f"in/{NAME}.png", "-o", f"{NAME}.html"],
        ["init", f"in/{NAME}.png", "-o", f"{NAME}.yml"],
        pytest.param(["compare", f"{NAME}.yaml", "-o", f"{NAME}-c"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0] + words[-1][-5:],
)
def test_what_is_written_is_there(words, folder, mediaconv):
    mediaconv(*words)
    assert (folder / words[-1]).exists()
    if words[0] == "init":
        mediaconv("validate", words[-1])


@pytest.mark.parametrize("option", ["--timeout-seconds", "--stack", "--workers", "--set=seed"])
def test_an_option_of_half_a_character_is_told(option, folder, mediaconv):
    name, _, key = option.partition("=")
    told = mediaconv("run", f"{NAME}.yaml", name, f"{key}=\udcff" if key else "\udcff", code=2).stderr
    assert "not text that YAML allows" in told


def test_a_name_cannot_command_the_terminal_by_compare_or_a_plot(config, mediaconv, tmp_path, recwarn):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((6, 6, 3), 99, np.uint8)).save(tmp_path / "in" / "a\x1b[31m.png")
    (tmp_path / "in" / "b\x1b[31m.png").write_bytes(b"no picture")
    config("c.yaml", pipeline="image", input="in", output="out", stack=STACK, executor="serial")
    told = [mediaconv("compare", "c.yaml", "-o", "c", code=1), mediaconv("run", "c.yaml", "--plots", code=1)]
    assert all("\x1b" not in done.stdout + done.stderr for done in told)
    assert all("b\\x1b[31m.png: read" in done.stderr for done in told)
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_name_cannot_command_the_terminal_by_an_error(mediaconv):
    told = mediaconv("run", "\x1b]0;x\x07.yaml", code=2).stderr
    assert told.startswith("error: \\x1b]0;x\\x07.yaml: no such file")
