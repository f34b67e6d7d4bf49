"""Files that a command is told to write: its own earlier product is replaced, a user's file refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MINE = b"a file of mine"
COMMANDS = {
    "inspect": (["inspect", "c.yaml", "-i", "a.png"], "inspect.html"),
    "inspect -o": (["inspect", "c.yaml", "-i", "a.png", "-o", "p.html"], "p.html"),
    "inspect --png": (["inspect", "c.yaml", "-i", "a.png", "--png", "d"], "d/00_input_maps.png"),
    "receptive svg": (["receptive", "c.yaml", "-o", "r.svg"], "r.svg"),
    "receptive png": (["receptive", "c.yaml", "-o", "r.png"], "r.png"),
    "gallery": (["animate", "--gallery", "g", "--frames", "1"], "g/conv3d_causal.gif"),
    "demo": (["demo", "forecast", "-o", "f", "-q"], "f/forecast.png"),
}
for _suffix in ("gif", "mp4", "svg", "html", "png", "pdf"):
    _words = ["animate", "--kind", "conv1d", "--size", "4", "-o", f"w.{_suffix}"]
    COMMANDS[f"animate {_suffix}"] = _words, f"w.{_suffix}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_users_file_of_the_name_is_refused_and_stays(name, mediaconv, config, tmp_path):
    words, target = COMMANDS[name]
    Image.fromarray(np.full((6, 6, 3), 99, np.uint8)).save(tmp_path / "a.png")
    stack = [{"conv": {"out_channels": 2, "kernel_size": 3}}]
    config("c.yaml", pipeline="image", input="a.png", output="out", stack=stack)
    path = tmp_path / target
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MINE)
    before = sorted(tmp_path.rglob("*"))
    assert f"{target} is in the way" in mediaconv(*words, code=2).stderr
    assert path.read_bytes() == MINE
    assert sorted(tmp_path.rglob("*")) == before
    if name in ("demo", "gallery"):  # slow, and the same function
        return
    mediaconv(*words, "--overwrite")
    made = path.read_bytes()
    assert made != MINE
    mediaconv(*words)  # its own earlier product goes
    assert path.read_bytes() == made
    path.write_bytes(made[:40] + b"?" + made[41:])  # one that was edited since does not
    assert f"{target} is in the way" in mediaconv(*words, code=2).stderr
    path.unlink()
    shutil.copy(tmp_path / "a.png", tmp_path / "elsewhere")
    for make in (lambda: path.symlink_to(tmp_path / "elsewhere"), lambda: os.mkfifo(path)):
        make()
        assert "is in the way" in mediaconv(*words, "--overwrite", code=2).stderr
        path.unlink()
    assert Path(tmp_path / "elsewhere").read_bytes() == (tmp_path / "a.png").read_bytes()
