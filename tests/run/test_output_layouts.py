"""`write: {names, groups, pattern, plots}`: how outputs are called, what is refused, the figures."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import soundfile

from mediaconv.config import load_config
from mediaconv.media.output_names import stem_in_pattern
from mediaconv.run.plots import chart
from mediaconv.run.plots.gather import Gathered
from tests.program import run_program

KERNELS = [{"conv": {"out_channels": 3, "kernel_size": 3, "bias": False}}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sounds, two of one name in different folders."""
    rng = np.random.default_rng(0)
    for name in ("in/a.wav", "in/b.wav", "in/deep/a.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, (2000, 2)), 8000)
    return tmp_path


def run(
    folder: Path, *words: Any, code: int = 0, stack: Any = KERNELS, pipeline: str = "audio", **write: Any
) -> str:
    keys = {"pipeline": pipeline, "input": "in", "output": "out", "stack": stack, "write": write}
    (folder / "c.yaml").write_text(json.dumps(keys))
    done = run_program("run", "c.yaml", "--executor", "serial", *words, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(folder: Path) -> set[str]:
    out = folder / "out"
    kept = ("run.yaml", "manifest.jsonl")
    return {
        p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")
    } - set(kept)


def test_channels_have_names_of_ones_own(folder: Path) -> None:
    run(folder, names=["low", "mid", "high"])
    assert {n for n in files(folder) if n.startswith("a.wav/")} == {
        f"a.wav/{n}.wav" for n in ("low", "mid", "high")
    }
    assert "3 skipped" in run(folder, names=["low", "mid", "high"])


def test_names_are_checked_before_work(folder: Path) -> None:
    said = run(folder, names=["low", "high"], code=2)
    assert "got 2 names, the stack gives 3 channels" in said
    for wrong in (["a", "A", "b"], ["a/b", "c", "d"], ["", "c", "d"], [".a", "c", "d"], ["plot", "c", "d"]):
        assert "c.yaml:1: write.names" in run(folder, names=wrong, code=2)
    assert "names: are for layout channels" in run(folder, names=["a"], layout="tensor", code=2)
    assert not files(folder)


def test_groups_are_files_of_several_channels(folder: Path) -> None:
    run(folder)
    single = [soundfile.read(folder / f"out/a.wav/channel_{c}.wav", dtype="int16")[0] for c in range(3)]
    run(folder, groups=[[0, 2], [1]], names=["outer", "inner"])
    assert {n for n in files(folder) if n.startswith("a.wav/")} == {"a.wav/outer.wav", "a.wav/inner.wav"}
    outer, inner = (
        soundfile.read(folder / f"out/a.wav/{n}.wav", dtype="int16")[0] for n in ("outer", "inner")
    )
    assert np.array_equal(outer, np.stack([single[0], single[2]], 1))
    assert np.array_equal(inner, single[1])
    run(folder, groups=[[0, 1]])
    assert "a.wav/channels_0_1.wav" in files(folder)
    assert "got channel 3, the stack gives channels 0 to 2" in run(folder, groups=[[0, 3]], code=2)
    assert "2 names for 1 groups" in run(folder, groups=[[0, 1]], names=["a", "b"], code=2)


def test_a_pattern_makes_flat_folders(folder: Path) -> None:
    run(folder, names=["x", "y", "z"], pattern="{stem}_{name}{suffix}")
    expected = {f"{stem}_{n}.wav" for stem in ("a", "b", "deep/a") for n in ("x", "y", "z")}
    assert files(folder) == expected
    assert "3 skipped" in run(folder, names=["x", "y", "z"], pattern="{stem}_{name}{suffix}")
    (folder / "out/a_x.wav").unlink()
    said = run(folder, names=["x", "y", "z"], pattern="{stem}_{name}{suffix}")
    assert "1 file" in said
    assert files(folder) == expected
    told = json.loads(run_program("status", "out", "--json", cwd=folder).stdout)
    assert told["counts"] == {"done": 3, "failed": 0, "missing": 0, "stale": 0}
    # other weights: the run's own files are replaced, and those of names no longer used go
    run(folder, "--set", "seed=1", names=["x", "y", "w"], pattern="{stem}_{name}{suffix}")
    assert files(folder) == {name.replace("_z", "_w") for name in expected}


def test_collisions_and_foreign_files_are_refused_before_work(folder: Path) -> None:
    soundfile.write(folder / "in/a.flac", np.zeros(100), 8000)
    said = run(folder, pattern="{stem}_{name}{suffix}", code=2)
    assert "names outputs of in/a.flac and in/a.wav alike: a_channel_0" in said
    (folder / "in/a.flac").unlink()
    assert "alike" in run(folder, pattern="{name}{suffix}", code=2)
    assert not files(folder)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out/b_channel_1.wav").write_bytes(b"mine")
    assert "b_channel_1.wav is in the way" in run(folder, pattern="{stem}_{name}{suffix}", code=2)
    assert (folder / "out/b_channel_1.wav").read_bytes() == b"mine"
    assert files(folder) == {"b_channel_1.wav"}
    (folder / "out/b_channel_1.wav").rename(folder / "out/notes.wav")
    run(folder, pattern="{stem}_{name}{suffix}")
    assert (folder / "out/notes.wav").read_bytes() == b"mine"


def test_another_layout_needs_another_folder(folder: Path) -> None:
    run(folder)
    assert "written with another layout" in run(folder, pattern="{stem}_{name}{suffix}", code=2)


WRONG = ["{name}", "{stem}{suffix}", "a/{name}{suffix}", "{size}_{name}{suffix}", "{name!r}{suffix}", "{"]


@pytest.mark.parametrize("pattern", WRONG)
def test_patterns_that_name_no_files_are_refused(folder: Path, pattern: str) -> None:
    assert "write.pattern" in run(folder, pattern=pattern, code=2)


def test_names_that_become_too_long_fail_in_words_and_leave_nothing(folder: Path) -> None:
    pattern = "x" * 245 + "{stem}_{name}{suffix}"
    said = run(folder, pattern=pattern, code=1)
    assert "ile name too long" in said
    assert not [path for path in (folder / "out").rglob("*") if path.name.startswith(".")]


def test_flat_outputs_do_not_depend_on_workers(folder: Path) -> None:
    for i in range(3):
        soundfile.write(folder / f"in/n{i}.wav", np.full(500, i / 20), 8000)
    run(folder, "--executor", "process", "-j", 2, pattern="{stem}-{name}{suffix}", plots=True)
    found = {n: hashlib.sha256((folder / "out" / n).read_bytes()).hexdigest() for n in files(folder)}
    assert len(found) == 6 * 4
    run(folder, "--output", "out2", pattern="{stem}-{name}{suffix}", plots=True)
    assert found == {n: hashlib.sha256((folder / "out2" / n).read_bytes()).hexdigest() for n in found}


def test_stems_are_told_from_flat_names() -> None:
    assert stem_in_pattern("a_b_channel_0.wav", "{stem}_{name}{suffix}") == "a_b"
    assert stem_in_pattern("low of clip.mp4", "{name} of {stem}{suffix}", ["low"]) == "clip"
    assert stem_in_pattern("other.wav", "{stem}_{name}{suffix}") is None
    assert stem_in_pattern("two\nlines_rgb.png", "{stem}_{name}{suffix}") == "two\nlines"


def test_every_kind_has_a_figure(folder: Path) -> None:
    run(folder, "--plots")
    assert "a.wav/plot.png" in files(folder)
    picture = cv2.imread(str(folder / "out/a.wav/plot.png"))
    assert picture.shape[1] == 1400
    rows = [json.loads(line) for line in (folder / "out/manifest.jsonl").read_text().splitlines()]
    assert any(file["path"] == "a.wav/plot.png" for file in rows[-1]["outputs"] + rows[0]["outputs"])
    assert load_config(folder / "out/run.yaml").write.plots is True
    assert "3 skipped" in run(folder, "--plots")


def test_a_film_shows_the_same_times_in_all_rows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with av.open(str(tmp_path / "in/f.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "crf": "1"})
        stream.width, stream.height = 64, 64
        for i in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 6 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    stack = [{"conv": {"out_channels": 2, "kernel_size": 3, "stride": [2, 1, 1]}}]
    run(tmp_path, "--plots", stack=stack, pipeline="video")
    assert cv2.imread(str(tmp_path / "out/f.mp4/plot.png")).shape[1] == 1400


@pytest.mark.parametrize("frames", [1, 2, 7, 48, 500])
def test_the_frames_of_a_figure_are_as_far_apart_as_each_other(frames: int) -> None:
    film = Gathered(3, (frames, 4, 4))
    for i in range(frames):
        film.add(np.full((1, 1, 4, 4), i / frames))
    figure = chart.films(film, film, ["channel_0"], 10.0, merged=False)
    times = [re.search(r"frame (\d+)", ax.get_title("left")) for ax in figure.axes]
    drawn = [int(time[1]) for time in times if time]
    assert len(drawn) == min(frames, len(drawn)) <= chart.COLUMNS
    assert drawn[0] == 0
    assert len(set(np.diff(drawn).tolist())) <= 1
    assert drawn[-1] >= 0.6 * (frames - 1)


def test_words_of_a_figure_have_twelve_pixels() -> None:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    sound = Gathered(1, (3000,))
    sound.add(np.sin(np.arange(6000.0)).reshape(2, 3000))
    figure = Figure(figsize=(chart.WIDTH, 6))
    chart.sounds(figure, sound, sound, ["low", "high"], 8000.0, 1.0)
    figure.savefig(io.BytesIO())
    sizes = [t.get_fontsize() * chart.DPI / 72 for t in figure.findobj(Text) if t.get_text().strip()]
    assert len(sizes) > 30
    assert min(sizes) >= 12


def test_an_image_is_shown_in_its_colours(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[...] = (10, 20, 240)  # BGR
    cv2.imwrite(str(tmp_path / "in/p.png"), picture)
    run(tmp_path, "--plots", pipeline="image")
    plot = cv2.imread(str(tmp_path / "out/p.png/plot.png")).reshape(-1, 3)
    assert (plot == (10, 20, 240)).all(1).sum() > 5000
