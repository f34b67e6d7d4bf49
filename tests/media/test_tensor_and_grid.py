"""Tensors written in pieces, and channels tiled in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mediaconv.errors import WriteError
from mediaconv.media.image.grid import LABEL_HEIGHT, Grid, tile
from mediaconv.media.tensor.writer import TensorWriter


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("outer", [(), (3,), (2, 5)])
@pytest.mark.parametrize("lengths", [(4,), (1, 0, 3), (2, 2, 1, 7)])
def test_chunks_become_one_tensor(
    tmp_path: Path, suffix: str, outer: tuple[int, ...], lengths: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    chunks = [rng.normal(size=(3, n, *outer)).astype(np.float32) for n in lengths]
    path = tmp_path / f"a{suffix}"
    with TensorWriter(path) as writer:
        for chunk in chunks:
            writer.write(chunk)
    wanted = np.concatenate(chunks, axis=1)
    read = np.load(path) if suffix == ".npy" else load_file(path)["output"]
    np.testing.assert_array_equal(read, wanted)
    assert read.dtype == np.float32
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_while_open_waiting_chunks_have_no_name(tmp_path: Path) -> None:
    writer = TensorWriter(tmp_path / "a.npy")
    writer.write(np.zeros((2, 3), np.float32))
    assert list(tmp_path.iterdir()) == []
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_tensor_errors(tmp_path: Path, small_disk) -> None:
    with pytest.raises(WriteError, match=r"expected one of \.npy, \.safetensors"):
        TensorWriter(tmp_path / "a.npz")
    with pytest.raises(WriteError, match="no chunk was written"), TensorWriter(tmp_path / "a.npy"):
        pass
    with TensorWriter(tmp_path / "a.npy") as writer:
        writer.write(np.zeros((2, 3, 4), np.float32))
        with pytest.raises(WriteError, match="all but n as before"):
            writer.write(np.zeros((2, 3, 5), np.float32))
    with small_disk(3000), pytest.raises(WriteError) as failure, TensorWriter(tmp_path / "a.npy") as writer:
        writer.write(np.zeros((2, 5000), np.float32))
    assert isinstance(failure.value.__cause__, OSError)
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_tiles_hold_the_channels_unchanged(kind: type, channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 200, (channels, 2, 11, 70)).astype(kind)
    grid = Grid(channels=channels, height=11, width=70, bits=8 * np.dtype(kind).itemsize)
    picture = grid.tile(frames)
    np.testing.assert_array_equal(picture, tile(frames))
    assert (picture.shape, picture.dtype) == ((2, grid.height, grid.width), kind)
    assert grid.height % 2 == grid.width % 2 == 0
    for channel in range(channels):
        top, left = grid.corner(channel)
        np.testing.assert_array_equal(picture[:, top : top + 11, left : left + 70], frames[channel])
        label = picture[0, top - LABEL_HEIGHT : top, left : left + 70]
        assert label.max() > np.iinfo(kind).max // 2


def test_labels_differ_and_narrow_tiles_cut_them() -> None:
    picture = tile(np.zeros((2, 1, 4, 80), np.uint8), labels=["left", "right"])
    assert not np.array_equal(picture[0, :LABEL_HEIGHT, :80], picture[0, :LABEL_HEIGHT, 82:162])
    assert tile(np.zeros((3, 1, 1, 1), np.uint8)).shape[0] == 1
