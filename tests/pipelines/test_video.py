"""Film from file to file, beside torch.nn.functional for values and PyAV and ffmpeg for what was written."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn import functional as F

from mediaconv.errors import UsageError
from tests.pipelines.one_run import run, run_one

RNG = np.random.default_rng(5)
WEIGHT = RNG.uniform(-0.4, 0.4, (2, 3, 3, 3, 3)).round(3)
CONV = {"conv": {"out_channels": 2, "kernel_size": 3, "weight": WEIGHT.tolist(), "bias": [0.1, -0.2]}}


def make_film(
    path: Path, frames: int, *, width: int = 32, height: int = 24, pix_fmt: str = "yuv420p"
) -> None:
    """A film of moving noise by the ffmpeg program, without loss."""
    source = f"testsrc2=size={width}x{height}:rate=25,noise=alls=30:allf=t"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
    subprocess.run([*command, "-c:v", "libx264", "-qp", "0", "-pix_fmt", pix_fmt, str(path)], check=True)


def decoded_rgb(path: Path) -> torch.Tensor:
    """All frames by PyAV, (1, 3, T, H, W) in [0, 1], float64."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.tensor(np.stack(frames)).permute(3, 0, 1, 2)[None].double() / 255


def luma(path: Path) -> np.ndarray:
    """The luma plane of all frames, (T, H, W)."""
    with av.open(str(path)) as container:
        planes = []
        for frame in container.decode(video=0):
            rows = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)
            planes.append(rows[:, : frame.width])
    return np.stack(planes)


def expected(x: torch.Tensor, *, causal: bool, gain: float = 1.0) -> np.ndarray:
    """The stack by torch, quantized: (2, T, H, W)."""
    time = (2, 0) if causal else (1, 1)
    padded = F.pad(x, (1, 1, 1, 1, *time))
    y = F.conv3d(padded, torch.tensor(WEIGHT), torch.tensor([0.1, -0.2], dtype=torch.float64))
    return torch.round(torch.sigmoid(gain * y) * 255).numpy()[0]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("chunk", [1, 4, 100, "auto"])
def test_lossless_luma_is_the_quantized_tensor(tmp_path, causal, chunk):
    make_film(tmp_path / "in.mp4", 9)
    _, folder = run_one(
        tmp_path / "in.mp4",
        tmp_path / "out",
        pipeline="video",
        causal=causal,
        chunk=chunk,
        stack=[CONV],
        normalize={"sigmoid": {"gain": 2}},
        write={"lossless": True},
    )
    wanted = expected(decoded_rgb(tmp_path / "in.mp4"), causal=causal, gain=2)
    for channel in range(2):
        found = luma(folder / f"channel_{channel}.mp4")
        # float32 against float64: one level, and only where the value lies at a rounding tie
        assert np.abs(found - wanted[channel]).max() <= 1
        assert (found != wanted[channel]).mean() < 1e-3


def test_output_is_playable_full_range_faststart_h264(tmp_path):
    make_film(tmp_path / "in.mp4", 5)
    _, folder = run_one(tmp_path / "in.mp4", tmp_path / "out", pipeline="video", stack=[CONV])
    entries = "stream=codec_name,pix_fmt,color_range,width,height,nb_frames,avg_frame_rate"
    probe = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", folder / "channel_0.mp4"]
    told = subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip()
    assert told == "h264,32,24,yuvj420p,pc,25/1,5"
    data = (folder / "channel_0.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_stride_in_time_keeps_the_times_of_the_inputs(tmp_path):
    make_film(tmp_path / "in.mp4", 9)
    strided = {"conv": {"out_channels": 1, "kernel_size": 3, "stride": [2, 1, 1]}}
    result, folder = run_one(
        tmp_path / "in.mp4", tmp_path / "out", pipeline="video", causal=True, stack=[strided]
    )
    with av.open(str(folder / "channel_0.mp4")) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == [Fraction(2 * j, 25) for j in range(5)]
    assert result.output_shape == (1, 5, 24, 32)


def test_the_last_picture_of_a_gif_is_shown_as_long_as_it_was(tmp_path):
    pictures = [PIL.Image.new("RGB", (16, 16), (40 * k, 0, 0)) for k in range(3)]
    delays = [100, 50, 700]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=delays)
    stack = [{"conv": {"kernel": "identity"}}]
    _, folder = run_one(tmp_path / "a.gif", tmp_path / "out", pipeline="video", stack=stack)
    with av.open(str(folder / "channel_0.mp4")) as container:
        assert [f.pts * f.time_base for f in container.decode(video=0)] == [
            0,
            Fraction(1, 10),
            Fraction(3, 20),
        ]
        assert container.duration == sum(delays) * 1000


def test_every_layout(tmp_path):
    make_film(tmp_path / "in.mp4", 4)
    three = [{"conv": {"out_channels": 3, "kernel_size": 1}}]
    names = {}
    for layout in ("channels", "rgb", "grid", "tensor"):
        _, folder = run_one(
            tmp_path / "in.mp4", tmp_path / layout, pipeline="video", stack=three, write={"layout": layout}
        )
        names[layout] = sorted(p.name for p in folder.iterdir())
    assert names == {
        "channels": ["channel_0.mp4", "channel_1.mp4", "channel_2.mp4"],
        "rgb": ["rgb.mp4"],
        "grid": ["grid.mp4"],
        "tensor": ["tensor.npy"],
    }
    values = np.load(tmp_path / "tensor/in.mp4/tensor.npy")
    assert values.shape == (3, 4, 24, 32)
    assert values.dtype == np.float32
    assert 0 < values.min() < values.max() < 1


def test_rgb_layout_of_the_identity_gives_the_film_back(tmp_path):
    make_film(tmp_path / "in.mp4", 3, pix_fmt="yuv444p")
    identity = [{"conv": {"kernel": "identity"}}]
    write = {"layout": "rgb", "lossless": True}
    _, folder = run_one(
        tmp_path / "in.mp4", tmp_path / "out", pipeline="video", stack=identity, normalize="none", write=write
    )
    assert torch.equal(decoded_rgb(folder / "rgb.mp4"), decoded_rgb(tmp_path / "in.mp4"))


def test_sound_is_carried_over_without_encoding_it_again(tmp_path, root):
    _, folder = run_one(
        root / "data/video/lightning.mp4",
        tmp_path / "out",
        pipeline="video",
        read={"size": [32, 18]},
        stack=[{"conv": {"out_channels": 1, "kernel_size": 1}}],
        write={"audio": "keep"},
    )

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    kept = packets(folder / "channel_0.mp4")
    assert kept == packets(root / "data/video/lightning.mp4")[: len(kept)]
    assert len(kept) > 80


def test_sound_left_out_is_noted_once_whatever_the_number_of_films(tmp_path, root):
    result, _ = run_one(
        root / "data/video/lightning.mp4",
        tmp_path / "out",
        pipeline="video",
        read={"size": [32, 18], "duration_seconds": 0.2},
        stack=[{"conv": {"out_channels": 2, "kernel_size": 1}}],
        write={"audio": "keep", "format": "webm"},
    )
    assert result.notes == ["sound left out: webm files do not hold aac; write .mkv"]


def test_stills_in_natural_order_are_a_clip(tmp_path):
    import cv2

    (tmp_path / "stills").mkdir()
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"stills/frame{number}.png"), np.full((8, 8, 3), number, np.uint8))
    result, folder = run_one(
        tmp_path / "stills",
        tmp_path / "out",
        pipeline="video",
        read={"sequence": True, "fps": 5},
        stack=[{"conv": {"kernel": "identity"}}],
        normalize="none",
        write={"lossless": True},
    )
    assert [int(plane[0, 0]) for plane in luma(folder / "channel_0.mp4")] == [1, 2, 10]
    assert result.media_seconds == pytest.approx(0.6)


def shades(folder: Path, source: str, **read: object) -> list[int]:
    """The clip that a sequence becomes: the first pixel of each frame."""
    results = run(
        input=source,
        output=str(folder / "out"),
        pipeline="video",
        read={"sequence": True, **read},
        stack=[{"conv": {"kernel": "identity"}}],
        normalize="none",
        write={"lossless": True},
    )
    (name,) = results
    return [int(plane[0, 0]) for plane in luma(folder / "out" / name / "channel_0.mp4")]


def test_a_sequence_is_all_images_of_a_folder_those_of_a_pattern_or_one_file(tmp_path):
    (tmp_path / "stills").mkdir()
    for number, name in enumerate(["mask.png", "f1.png", "f2.png"]):
        PIL.Image.fromarray(np.full((8, 8), 50 * number, np.uint8)).save(tmp_path / "stills" / name)
    assert shades(tmp_path / "a", f"{tmp_path}/stills/*.png") == [50, 100, 0]
    assert shades(tmp_path / "b", f"{tmp_path}/stills", sequence="f?.png") == [50, 100]
    assert shades(tmp_path / "c", f"{tmp_path}/stills/f2.png") == [100]
    with pytest.raises(UsageError, match=r"leave out .*mask\.png; choose by name with a pattern"):
        shades(tmp_path / "d", f"{tmp_path}/stills/f*.png")
    with pytest.raises(UsageError, match="expected true, false, or a pattern of names"):
        shades(tmp_path / "e", f"{tmp_path}/stills", sequence="yes")


def test_real_films_of_several_streams_and_ten_bits(tmp_path, real_media):
    for name, shape in (("nasa_13013.mp4", (1, 4, 270, 480)), ("h264_10bits.mp4", None)):
        result, folder = run_one(
            real_media / name,
            tmp_path / "out",
            pipeline="video",
            causal=True,
            read={"duration_seconds": 0.13},
            stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}],
        )
        assert luma(folder / "channel_0.mp4").shape == result.output_shape[1:]
        if shape:
            assert result.output_shape == shape
