"""How an animation looks for a slide: its title, theme, size and numbers, and its PDF."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.made_layers import demo_input, demo_layer, numbers_of
from mediaconv.errors import UsageError
from tests.program import run_program

ARGS = ("animate", "--kind", "conv1d", "--kernel", "1 2 -1", "--values", "4 0 3 5 1", "--padding", "valid")


def test_kernel_and_values_are_the_numbers_drawn(tmp_path):
    done = run_program(
        *ARGS, "--title", "An edge & <more>", "-o", tmp_path / "a.svg", "--step", "1", cwd=tmp_path
    )
    assert done.returncode == 0
    text = (tmp_path / "a.svg").read_text()
    expected = torch.nn.functional.conv1d(
        torch.tensor([[[4.0, 0, 3, 5, 1]]]), torch.tensor([[[1.0, 2, -1]]])
    ).flatten()
    assert f"= {int(expected[1])}" in re.sub(r"<[^>]+>", " ", text).replace("−", "-")
    assert "An edge &amp; &lt;more&gt;" in text


@pytest.mark.parametrize("other", [("--kernel-size", "3"), ("--size", "5")])
def test_two_sizes_are_refused(tmp_path, other):
    done = run_program(*ARGS, *other, "-o", tmp_path / "a.svg", cwd=tmp_path)
    assert done.returncode == 2
    assert "whose numbers have a size" in done.stderr


@pytest.mark.parametrize("text", ["", "1 x", "1 2; 3", "nan 1"])
def test_numbers_are_whole_tables(text):
    with pytest.raises(UsageError, match="expected rows of numbers"):
        numbers_of(text, 2, "kernel")


def test_size_and_theme(tmp_path):
    animation = animate(
        demo_layer("conv1d"), demo_input(1, (5,)), width=640, aspect=16 / 9, theme="dark", frames=2
    )
    assert animation.image(0).shape == (360, 640, 3)
    assert animation.image(0)[2, 2].tolist() == [0x14, 0x18, 0x1D]
    for width in range(320, 1300, 160):
        wide = animate(demo_layer("conv1d"), demo_input(1, (5,)), width=width, aspect=16 / 9)
        assert wide.image(0).shape == (width * 9 // 16, width, 3)
    with Image.open(animation.save(tmp_path / "a.gif")) as gif:
        assert gif.size == (640, 360)
        assert np.asarray(gif.convert("RGB"))[2, 2].tolist() == [0x14, 0x18, 0x1D]
    for wrong in ({"width": 0}, {"aspect": float("nan")}, {"theme": "blue"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            animate(demo_layer("conv1d"), demo_input(1, (5,)), **wrong)


def test_a_pdf_has_a_page_a_frame_and_real_text(tmp_path):
    animation = animate(demo_layer("conv1d"), demo_input(1, (5,)), title="Slides")
    data = animation.save(tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", data)) == len(animation)
    assert data == animation.save(tmp_path / "b.pdf").read_bytes()
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", tmp_path / "a.pdf", "-"], capture_output=True, text=True).stdout
        assert text.count("Slides") == len(animation)
