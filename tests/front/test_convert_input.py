"""convert: any model over a file, an array or chunks of one, against torch on the whole."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import mediaconv
from mediaconv.errors import ComputeError, ReadError, UsageError
from mediaconv.media.image.writer import write_image

TOLERANCE = 1e-6
"""Relative: float32 sums of at most 200 products in another order."""


def audio_model() -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Conv1d(2, 6, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(6), nn.Conv1d(6, 3, 4, stride=2)
    return nn.Sequential(*layers).eval()


def image_model() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 2, 3, stride=2, padding=1)
    ).eval()


def video_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv3d(3, 4, 3, padding=1), nn.ELU(), nn.ConvTranspose3d(4, 2, 2, stride=2)
    ).eval()


CASES = {
    "audio": (audio_model, (2, 301)),
    "image": (image_model, (3, 33, 20)),
    "video": (video_model, (3, 9, 10, 12)),
}


def on_the_whole(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x.astype(np.float32))[None])[0].numpy()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def made(kind: str) -> tuple[nn.Module, np.ndarray]:
    make, shape = CASES[kind]
    return make(), np.random.default_rng(5).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("chunk", [1, 7, "auto"])
def test_an_array_gives_what_the_model_gives_on_the_whole(kind, chunk):
    model, x = made(kind)
    found = mediaconv.convert(model, x, normalize="none", chunk=chunk, device="cpu")
    assert_close(found, on_the_whole(model, x))


@pytest.mark.parametrize("kind", CASES)
def test_chunks_of_an_iterator_give_the_same_as_they_come(kind):
    model, x = made(kind)
    asked: list[int] = []

    def chunks():
        for start, stop in [(0, 1), (1, 1), (1, 6), (6, x.shape[1])]:
            asked.append(stop)
            yield x[:, start:stop]

    outputs = mediaconv.convert(model, chunks(), normalize="none", device="cpu")
    parts = [next(outputs)]
    assert kind == "image" or asked[-1] < x.shape[1]  # an output came before the input ended
    assert_close(np.concatenate([*parts, *outputs], axis=1), on_the_whole(model, x))


def test_a_tensor_comes_back_as_a_tensor_and_the_model_stays_as_it_was():
    model, x = made("audio")
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = mediaconv.convert(model, torch.from_numpy(x), normalize="none")
    assert isinstance(found, torch.Tensor)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 32768), (np.float64, 1)]
)
def test_integers_stand_for_the_range_of_their_type(dtype, scale):
    x = np.array([[0, 1, 0, 1]], np.float64) if dtype is np.float64 else np.array([[0, 1, 77, 127]], dtype)
    found = mediaconv.convert(nn.Identity(), x, normalize="none")
    assert np.array_equal(found, (x / scale).astype(np.float32))


def test_normalizing_is_the_configurations():
    x = np.random.default_rng(1).uniform(-4, 4, (1, 50)).astype(np.float32)
    assert np.abs(mediaconv.convert(nn.Identity(), x) - np.tanh(x / 2)).max() < 1e-6  # float32 tanh
    scaled = mediaconv.convert(nn.Identity(), x, normalize="minmax")
    assert (scaled.min(), scaled.max()) == (-1, 1)
    with pytest.raises(UsageError, match="an iterator can be read once"):
        next(mediaconv.convert(nn.Identity(), iter([x]), normalize="minmax"))


def test_a_stack_is_a_model_too():
    x = np.random.default_rng(1).uniform(-1, 1, (2, 40)).astype(np.float32)
    stack = [{"conv": {"out_channels": 3, "kernel_size": 5}}, "relu"]
    found = mediaconv.convert(stack, x, normalize="none", causal=True, seed=4)
    config = {"pipeline": "audio", "input": "a", "output": "b", "stack": stack, "causal": True, "seed": 4}
    assert_close(found, on_the_whole(mediaconv.load_stack(config, channels=2), x))
    same = mediaconv.convert({**config, "normalize": "none"}, x)
    assert np.array_equal(found, same)


def test_a_file_becomes_files_or_values(tmp_path):
    model, x = made("audio")
    soundfile.write(tmp_path / "in.wav", x.T, 8000, subtype="FLOAT")
    expected = on_the_whole(model, x)
    assert_close(mediaconv.convert(model, tmp_path / "in.wav", normalize="none"), expected)
    done = mediaconv.convert(
        model, tmp_path / "in.wav", tmp_path / "out", normalize="none", write={"bit_depth": "float"}
    )
    assert [path.name for path in done.paths] == [f"channel_{i}.wav" for i in range(3)]
    assert (done.input_shape, done.output_shape) == (x.shape, expected.shape)
    stored = [soundfile.read(path, dtype="float32") for path in done.paths]
    assert {rate for _, rate in stored} == {4000}
    assert_close(np.stack([values for values, _ in stored]), expected)


def test_an_image_file_and_a_tensor_layout(tmp_path):
    model, _ = made("image")
    pixels = np.random.default_rng(2).integers(0, 256, (33, 20, 3), np.uint8)
    write_image(tmp_path / "in.png", pixels)
    expected = on_the_whole(model, np.moveaxis(pixels, -1, 0) / 255)
    done = mediaconv.convert(
        model, tmp_path / "in.png", tmp_path / "out", normalize="none", write={"layout": "tensor"}
    )
    assert_close(np.load(done.paths[0]), expected)


def test_an_array_becomes_files_where_its_rate_is_given(tmp_path):
    model, x = made("audio")
    with pytest.raises(UsageError, match="rate: got none"):
        mediaconv.convert(model, x, tmp_path / "out")
    done = mediaconv.convert(model, iter(np.array_split(x, 4, axis=1)), tmp_path / "out", rate=16000)
    values, rate = soundfile.read(done.paths[1])
    assert (len(values), rate) == (done.output_shape[1], 8000)


def test_what_lies_in_the_output_folder_is_not_touched_unasked(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    (tmp_path / "out/channel_0.png").write_text("older")
    x = np.zeros((3, 8, 8), np.uint8)
    with pytest.raises(UsageError, match="give a new folder, or overwrite=True"):
        mediaconv.convert(image_model(), x, tmp_path / "out")
    assert (tmp_path / "out/channel_0.png").read_text() == "older"
    mediaconv.convert(image_model(), x, tmp_path / "out", overwrite=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "channel_0.png",
        "channel_1.png",
        "mine.txt",
    ]
    assert (tmp_path / "out/channel_0.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": np.zeros((2, 3, 4, 5, 6))}, "expected .C, T. audio"),
        ({"input": np.zeros((2, 9), bool)}, "got bool, expected floats or integers"),
        ({"input": 7}, "expected a path, an array or an iterator"),
        ({"input": iter([])}, "gave no chunk"),
        ({"input": Path("a.xyz")}, "no pipeline takes a.xyz; give pipeline"),
        ({"pipeline": "video"}, "video takes .C, time, height, width."),
        ({"normalize": "nnone"}, "normalize: got"),
        ({"causal": True}, "causal: belongs to a stack of layers"),
        ({"write": {"bit_depth": 16}}, "give an output folder too"),
        ({"read": {"start_seconds": 1.0}}, "read.start_seconds: says how a file is read"),
        ({"model": nn.Sequential(nn.LSTM(2, 2))}, "model: "),
        ({"chunk": 0}, "chunk: got 0"),
    ],
)
def test_what_does_not_fit_is_told(change, message):
    call = {"model": audio_model(), "input": np.zeros((2, 30), np.float32), **change}
    with pytest.raises(UsageError, match=message) as caught:
        mediaconv.convert(**call)
    assert "config:" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("shape", [(1, 2, 400), (5, 2, 400), (1, 2, 3, 40)])
def test_an_array_with_a_batch_axis_is_told_how_its_axes_were_read(shape):
    with pytest.raises((UsageError, ComputeError), match="without a batch axis") as caught:
        mediaconv.convert(audio_model(), torch.zeros(shape), normalize="none")
    assert str(shape) in str(caught.value)
    assert "ValueError" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_read_error(tmp_path):
    with pytest.raises(ReadError, match="no such file"):
        mediaconv.convert(audio_model(), tmp_path / "none.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Skipped(nn.Module):
    """A model with a forward of its own, which no list of layers describes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 4, 5, padding=2), nn.Conv1d(4, 2, 3, padding=1)

    def forward(self, x):
        return x + 0.5 * self.b(torch.relu(self.a(x)))


@pytest.mark.parametrize("chunk", [13, "auto"])
def test_a_model_with_a_forward_of_its_own_is_captured(chunk):
    torch.manual_seed(6)
    model, x = Skipped().eval(), made("audio")[1]
    found = mediaconv.convert(model, x, normalize="none", chunk=chunk, device="cpu")
    assert_close(found, on_the_whole(model, x))


def test_frames_become_a_video(tmp_path):
    model, _ = made("video")
    x = np.random.default_rng(2).integers(0, 256, (3, 9, 10, 12), np.uint8)
    expected = on_the_whole(model, x / 255)
    write = {"lossless": True}
    done = mediaconv.convert(model, x, tmp_path / "out", rate=12, normalize="none", write=write)
    assert done.output_shape == expected.shape
    with av.open(str(done.paths[1])) as video:
        frames = np.stack([frame.to_ndarray(format="gray") for frame in video.decode(video=0)])
        assert video.streams.video[0].average_rate == 24  # the model doubles the frames
    # float32 at the rounding of 8 bits
    assert np.abs(frames - np.clip(np.rint(expected[1] * 255), 0, 255)).max() <= 1
