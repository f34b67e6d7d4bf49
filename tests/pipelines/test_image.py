"""Images from file to file, beside torch.nn.functional and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from torch.nn import functional as F

from tests.pipelines.one_run import run, run_one

RNG = np.random.default_rng(7)
WEIGHT = RNG.uniform(-0.4, 0.4, (2, 3, 3, 3)).round(3)


def raster(weight: np.ndarray, kind: str) -> np.ndarray:
    """The weight with taps after (A: and at) the centre in reading order zero, by plain loops."""
    masked = weight.copy()
    centre = (weight.shape[2] // 2, weight.shape[3] // 2)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            if (row, column) > centre or (kind == "A" and (row, column) == centre):
                masked[:, :, row, column] = 0
    return masked


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("causal", [False, True, {"raster": "A"}])
def test_stored_pixels_are_the_rounded_stack(tmp_path, dtype, causal):
    top = np.iinfo(dtype).max
    picture = RNG.integers(0, top, (21, 17, 3), endpoint=True).astype(dtype)
    cv2.imwrite(str(tmp_path / "in.png"), picture[..., ::-1])
    conv = {"conv": {"out_channels": 2, "kernel_size": 3, "weight": WEIGHT.tolist(), "bias": [0.3, 0.0]}}
    _, folder = run_one(
        tmp_path / "in.png", tmp_path / "out", pipeline="image", causal=causal, chunk=4, stack=[conv]
    )
    weight = WEIGHT if causal is False else raster(WEIGHT, "A" if causal == {"raster": "A"} else "B")
    x = torch.tensor(np.moveaxis(picture, -1, 0)[None] / float(top))
    bias = torch.tensor([0.3, 0.0], dtype=torch.float64)
    y = torch.sigmoid(F.conv2d(x, torch.tensor(weight), bias, padding=1))[0].numpy()
    for channel in range(2):
        found = cv2.imread(str(folder / f"channel_{channel}.png"), cv2.IMREAD_UNCHANGED)
        assert found.dtype == dtype
        # float32 against float64: one level of 8 or 16 bits, at a rounding tie
        assert np.abs(found.astype(int) - np.round(y[channel] * top)).max() <= 1


def test_columns_as_time_see_nothing_to_the_right(tmp_path):
    picture = RNG.integers(0, 255, (8, 20), endpoint=True).astype(np.uint8)
    changed = picture.copy()
    changed[:, 12:] = 255 - changed[:, 12:]
    outputs = []
    for name, data in (("a.png", picture), ("b.png", changed)):
        cv2.imwrite(str(tmp_path / name), data)
        conv = {"conv": {"out_channels": 1, "kernel_size": 5, "causal": "pad", "time_axis": 1}}
        _, folder = run_one(
            tmp_path / name,
            tmp_path / "out",
            pipeline="image",
            stack=[conv],
            normalize={"sigmoid": {"gain": 9}},
        )
        outputs.append(cv2.imread(str(folder / "channel_0.png"), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(outputs[0][:, :12], outputs[1][:, :12])
    assert not np.array_equal(outputs[0][:, 12:], outputs[1][:, 12:])


def test_in_channels_follow_each_file(tmp_path):
    (tmp_path / "in").mkdir()
    for name, channels in (("gray.png", 1), ("colour.png", 3), ("alpha.png", 4)):
        cv2.imwrite(str(tmp_path / "in" / name), RNG.integers(0, 255, (9, 9, channels)).astype(np.uint8))
    stack = [{"conv": {"out_channels": 2, "kernel_size": 3}}]
    results = run(pipeline="image", input=str(tmp_path / "in"), output=str(tmp_path / "out"), stack=stack)
    assert {name: r.input_shape[0] for name, r in results.items()} == {
        "alpha.png": 4,
        "colour.png": 3,
        "gray.png": 1,
    }


def test_minmax_fills_the_range(tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), RNG.integers(90, 120, (30, 30)).astype(np.uint8))
    _, folder = run_one(
        tmp_path / "in.png",
        tmp_path / "out",
        pipeline="image",
        chunk=7,
        stack=[{"conv": {"out_channels": 2, "kernel_size": 3}}],
        normalize="minmax",
    )
    planes = [cv2.imread(str(folder / f"channel_{c}.png"), cv2.IMREAD_UNCHANGED) for c in range(2)]
    assert np.min(planes) == 0
    assert np.max(planes) == 255


def test_grid_holds_every_channel(tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), RNG.integers(0, 255, (40, 60)).astype(np.uint8))
    common = {"pipeline": "image", "stack": [{"conv": {"out_channels": 3, "kernel_size": 3}}]}
    _, single = run_one(tmp_path / "in.png", tmp_path / "single", **common)
    _, tiled = run_one(tmp_path / "in.png", tmp_path / "tiled", write={"layout": "grid"}, chunk=9, **common)
    grid = cv2.imread(str(tiled / "grid.png"), cv2.IMREAD_UNCHANGED)
    for channel in range(3):
        plane = cv2.imread(str(single / f"channel_{channel}.png"), cv2.IMREAD_UNCHANGED)
        windows = np.lib.stride_tricks.sliding_window_view(grid, plane.shape)
        assert (windows == plane).all(axis=(2, 3)).any()


def test_further_pages_and_frames_are_told(tmp_path):
    pages = RNG.integers(0, 256, (3, 8, 9)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    frames = [PIL.Image.fromarray(page) for page in pages]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with tifffile.TiffWriter(tmp_path / "copies.tif") as file:
        file.write(pages[0])
        file.write(pages[0, ::2, ::2], subfiletype=1)  # a smaller copy, as viewers like it
    told = {"pages.tif": 3, "moving.gif": 3, "copies.tif": 1}
    for name, count in told.items():
        result, _ = run_one(
            tmp_path / name,
            tmp_path / "out",
            pipeline="image",
            stack=[{"conv": {"out_channels": 1, "kernel_size": 1}}],
        )
        note = f"the file holds {count} pictures, of which the first was read"
        assert (note in result.notes) == (count > 1)
