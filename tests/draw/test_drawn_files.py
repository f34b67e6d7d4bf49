"""The files that an animation becomes: they decode, with the promised frames, size and colours."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from mediaconv.draw.animate.animation import FORMATS, animate
from mediaconv.draw.animate.gallery import GALLERY, gallery, gallery_animation
from mediaconv.draw.animate.made_layers import demo_input, demo_layer
from mediaconv.draw.panels.cells import LEGEND
from mediaconv.draw.scene.palette import LIGHT, rgb
from mediaconv.draw.scene.scene import Polygon
from mediaconv.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def animation():
    return animate(demo_layer("conv2d", causal="raster"), demo_input(1, (3, 3)))


def known_cells(scene):
    """Pixel and colour of every cell: in the middle, near the upper edge."""
    for shape in scene.shapes:
        if isinstance(shape, Polygon) and shape.fill in LEGEND:
            (left, top), (right, bottom) = shape.points[0], shape.points[2]
            yield int(top + 0.15 * (bottom - top)), int((left + right) / 2), rgb(LIGHT[shape.fill])


def test_gif(animation, tmp_path):
    image = Image.open(animation.save(tmp_path / "a.gif"))
    assert image.n_frames == len(animation) == 9
    assert image.size == animation.image(0).shape[1::-1]
    assert image.info["loop"] == 0
    stays = []
    for index, frame in enumerate(ImageSequence.Iterator(image)):
        stays.append(frame.info["duration"] / 1000)
        pixels = np.asarray(frame.convert("RGB"))
        for y, x, colour in known_cells(animation.picture.scene(index)):
            assert tuple(pixels[y, x]) == colour
    assert stays == animation.seconds


def test_mp4(animation, tmp_path):
    with av.open(str(animation.save(tmp_path / "a.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        frames = list(container.decode(stream))
    assert len(frames) == len(animation)
    starts = np.cumsum([0.0, *animation.seconds[:-1]])
    assert [f.time for f in frames] == pytest.approx(starts.tolist(), abs=1e-3)
    for index, frame in enumerate(frames):
        pixels = frame.to_ndarray(format="rgb24")
        assert pixels.shape == animation.image(index).shape
        for y, x, colour in known_cells(animation.picture.scene(index)):
            # H.264 with half the colour resolution: within some levels inside a flat cell.
            assert np.abs(pixels[y, x].astype(int) - colour).max() <= 24


def test_png_is_the_step_asked_for(animation, tmp_path):
    pixels = np.asarray(Image.open(animation.save(tmp_path / "a.png", step=4)))
    assert np.array_equal(pixels, animation.image(4, scale=2.0))
    assert not np.array_equal(pixels, animation.image(5, scale=2.0))
    with pytest.raises(UsageError, match="expected 0 to 8"):
        animation.save(tmp_path / "b.png", step=9)


def test_svg_is_a_filmstrip(animation, tmp_path):
    root = ET.parse(animation.save(tmp_path / "a.svg")).getroot()
    space = "{http://www.w3.org/2000/svg}"
    groups = list(root.iter(f"{space}g"))
    assert [g.get("id") for g in groups] == [f"frame-{n}" for n in range(6)]
    sums = [t.text for g in groups for t in g.iter(f"{space}text") if t.text.startswith("y[")]
    assert len(sums) == 6
    assert len(set(sums)) == 6
    colours = {p.get("fill") for p in root.iter(f"{space}polygon")}
    assert {LIGHT["used"], LIGHT["masked"], LIGHT["future"], LIGHT["current"]} <= colours


def test_html_needs_no_network(animation, tmp_path):
    text = animation.save(tmp_path / "a.html").read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(?!data:)", text)
    assert "@" not in re.sub(r"@media", "", text)


@pytest.mark.parametrize("extension", FORMATS)
def test_same_bytes_each_time(extension, tmp_path):
    def made(name):
        moving = animate(demo_layer("conv1d", causal="pad"), demo_input(1, (5,)))
        return moving.save(tmp_path / f"{name}{extension}").read_bytes()

    assert made("one") == made("two")


def test_unknown_extension_and_unwritable_folder(animation, tmp_path):
    with pytest.raises(UsageError, match=re.escape(".gif, .mp4, .svg, .html, .png")):
        animation.save(tmp_path / "a.webm")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is in the way"):
        animation.save(tmp_path / "file" / "a.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_film_animation_is_made_within_seconds(tmp_path):
    """The 4x4x4 animation with a 3x3x3 kernel: 64 frames, promised in under 20 seconds on two cores."""
    began = time.process_time()
    path = animate(demo_layer("conv3d", causal="mask"), demo_input(1, (4, 4, 4))).save(tmp_path / "a.gif")
    assert time.process_time() - began < 20
    assert Image.open(path).n_frames == 64


def test_gallery(tmp_path):
    seen = []
    paths = gallery(tmp_path / "g", frames=2, progress=seen.append)
    assert paths == seen == sorted(paths, key=lambda p: list(GALLERY).index(p.stem))
    assert len(paths) == 7
    assert all(Image.open(p).n_frames == 2 for p in paths)


@pytest.mark.parametrize("name", GALLERY)
def test_the_documentation_shows_the_gallery(name):
    """As many frames of the same size; what is on them is tested above."""
    shown = Image.open(DOCS / f"{name}.gif")
    made = gallery_animation(name)
    assert shown.n_frames == len(made)
    assert shown.size == made.image(0).shape[1::-1]


def test_a_notebook_shows_the_page(animation):
    assert animation._repr_html_().startswith("<iframe srcdoc=")
