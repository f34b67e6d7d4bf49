"""Film as `VideoReader` reads it, against the ffmpeg program and against the definitions of YUV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ffmpeg_oracle import decode, ffmpeg, frame_times, make

from mediaconv.errors import ReadError
from mediaconv.media.limits import Limits
from mediaconv.media.video.reader import VideoReader

SOURCE = "testsrc2=s=66x50:r=10:d=0.6"
SHAPE = (50, 66)
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def load(path: Path, chunk: int = 4, **options: object) -> tuple[np.ndarray, list[Fraction], object]:
    with VideoReader(path, **options) as reader:
        chunks = [(part.data, part.times) for part in reader.chunks(chunk)]
    assert all(len(frames) == len(times) == chunk for frames, times in chunks[:-1])
    return np.concatenate([f for f, _ in chunks]), [t for _, times in chunks for t in times], reader.info


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    return make(path, SOURCE, "-c:v", "libx264", "-pix_fmt", "yuv420p")


EIGHT_BIT = {
    "h264.mkv": ("libx264", "yuv420p"),
    "h264_444.mkv": ("libx264", "yuv444p"),
    "gray.mkv": ("ffv1", "gray"),
    "bgra.mkv": ("ffv1", "bgra"),
    "yuva.mkv": ("ffv1", "yuva420p"),
    "mjpeg.mkv": ("mjpeg", "yuvj420p"),
    "pal8.mkv": ("png", "pal8"),
    "bits.nut": ("rawvideo", "monow"),
    "bottom_up.avi": ("rawvideo", "bgr24"),
    "packed.nut": ("rawvideo", "yuyv422"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
}


@pytest.mark.parametrize("name", EIGHT_BIT)
def test_eight_bit_formats_equal_ffmpeg(tmp_path: Path, name: str) -> None:
    codec, pix_fmt = EIGHT_BIT[name]
    path = make(tmp_path / name, SOURCE, "-c:v", codec, "-pix_fmt", pix_fmt)
    rgb, times, info = load(path)
    assert (info.width, info.height, info.channels, info.bit_depth) == (66, 50, 3, 8)
    assert rgb.dtype == np.uint8
    # both decoders call the same scaler, ours with the bilinear setting
    np.testing.assert_array_equal(rgb, decode(path, "rgb24", (*SHAPE, 3), "-sws_flags", "bilinear"))
    assert times == [Fraction(k, 10) for k in range(6)]
    gray, _, _ = load(path, color="gray")
    difference = np.abs(gray.astype(int) - decode(path, "gray", (*SHAPE, 1)))
    assert difference.max() <= (
        1 if codec in ("png", "rawvideo") or pix_fmt == "bgra" else 0
    )  # RGB: rounding
    rgba, _, _ = load(path, color="rgba")
    np.testing.assert_array_equal(rgba[..., 3], 255)


DEEP = {"gray10": "gray10le", "gray16": "gray16le", "rgb10": "gbrp10le", "rgb16": "gbrp16le"}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_fill_sixteen(tmp_path: Path, name: str) -> None:
    """Stored ramps of n bits come out as round(v * 65535 / (2**n - 1)), in every channel."""
    pix_fmt = DEEP[name]
    bits = 10 if "10" in pix_fmt else 16
    path = tmp_path / "deep.mkv"
    stored = np.linspace(0, 2**bits - 1, 64 * 48).astype(np.uint16).reshape(48, 64)
    planes = 3 if pix_fmt.startswith("gbrp") else 1
    raw = tmp_path / "deep.raw"
    raw.write_bytes(stored.tobytes() * planes)
    ffmpeg("-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", "64x48", "-i", raw, "-c:v", "ffv1", path)
    frames, _, info = load(path, color="gray" if planes == 1 else "rgb")
    assert info.bit_depth == 16
    wanted = np.rint(stored.astype(np.float64) * 65535 / (2**bits - 1))
    for channel in range(planes):
        np.testing.assert_array_equal(frames[0, ..., channel], wanted)


def stored_as_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray, matrix: str) -> np.ndarray:
    """By the definition: luma in [0, 1], colour differences in [-0.5, 0.5], shape (..., 3) in [0, 1]."""
    kr, kb = MATRICES[matrix]
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_the_stated_ones(tmp_path: Path, matrix: str, full: bool) -> None:
    path = tmp_path / "yuv.mkv"
    rng = np.random.default_rng(5)
    y, cb, cr = rng.integers(16, 236, (3, 48, 64)).astype(np.float64)
    cb, cr = 128 + (cb - 128) / 4, 128 + (cr - 128) / 4  # mild colours stay within RGB mostly
    stored = np.rint(np.stack([y, cb, cr])).astype(np.uint8)
    raw = tmp_path / "yuv.raw"
    raw.write_bytes(stored.tobytes())
    spaces = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "yuv444p", "-s", "64x48", "-i", raw, "-c:v", "libx264", "-qp", 0),
        *("-colorspace", spaces[matrix], "-color_range", "pc" if full else "tv", path),
    )
    frames, _, _ = load(path)
    luma, blue, red = stored.astype(np.float64)
    luma = luma / 255 if full else (luma - 16) / 219
    blue, red = ((c - 128) / (255 if full else 224) for c in (blue, red))
    wanted = stored_as_rgb(luma, blue, red, matrix) * 255
    assert np.abs(frames[0] - wanted).max() < 2.0  # the scaler's 8-bit arithmetic
    gray, _, _ = load(path, color="gray")
    np.testing.assert_array_equal(gray[0, ..., 0], np.rint(np.clip(luma, 0, 1) * 255))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_deep_yuv_is_rgb_by_the_definition(tmp_path: Path, matrix: str, full: bool, bits: int) -> None:
    """White is white: the scaler's own conversion stops 0.4% below it."""
    step = 1 << (bits - 8)
    stored = np.random.default_rng(5).integers(64 * step, 192 * step, (3, 48, 64))
    stored[0] = np.linspace(16 * step, 235 * step, 64)
    stored[1:, 24:] = 128 * step
    raw, path = tmp_path / "yuv.raw", tmp_path / "yuv.mkv"
    raw.write_bytes(stored.astype("<u2").tobytes())
    spaces = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", f"yuv444p{bits}le", "-s", "64x48", "-i", raw, "-c:v", "ffv1"),
        *("-colorspace", spaces[matrix], "-color_range", "pc" if full else "tv", path),
    )
    luma, blue, red = stored / step
    top = (2**bits - 1) / step
    luma = luma / top if full else (luma - 16) / 219
    blue, red = ((c - 128) / (top if full else 224) for c in (blue, red))
    wanted = stored_as_rgb(luma, blue, red, matrix) * 65535
    found = load(path)[0][0].astype(float)
    # full range is widened to 16 bits by repeating bits, chroma by shifting: a few parts in 65535
    assert np.abs(found - wanted).max() <= (40 if full else 1)
    if not full:
        np.testing.assert_array_equal(found[24:, -1], 65535)


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "yuv420p10le", "yuv420p12le"])
def test_two_columns_share_deep_chroma_as_the_scaler_has_it(tmp_path: Path, pix_fmt: str) -> None:
    options = ("-c:v", "ffv1", "-pix_fmt", pix_fmt, "-frames:v", 1, "-chroma_sample_location", "left")
    path = make(tmp_path / "a.mkv", SOURCE, *options)
    found = load(path)[0][0].astype(float)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        packed = frame.to_ndarray(format="rgb48le").astype(float)
        planes = [np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] for p in frame.planes]
    assert np.abs(found - packed).max() <= 65535 * 1.2 / 255  # the scaler's white is 254 of 255
    if pix_fmt.startswith("yuv422"):
        luma, *chroma = (p.astype(float) for p in planes)
        moved = [0.75 * c + 0.25 * np.concatenate([c[:, 1:], c[:, -1:]], axis=1) for c in chroma]
        blue, red = (np.repeat((c - 512) / 896, 2, axis=1)[:, :66] for c in moved)
        wanted = stored_as_rgb((luma - 64) / 876, blue, red, "bt601") * 65535
        assert np.abs(found - wanted).max() <= 2  # chroma is rounded on its way


@pytest.mark.parametrize("width", [17, 18, 33, 51, 66])
def test_rgba_of_odd_widths_has_no_rubbish_at_its_edge(tmp_path: Path, width: int) -> None:
    path = make(tmp_path / "c.mkv", f"color=red:s={width}x6:d=0.1", "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    frames, _, _ = load(path, color="rgba")
    assert len(np.unique(frames.reshape(-1, 4), axis=0)) == 1


def test_ten_bit_real_file_equals_its_luma(real_media) -> None:
    path = real_media("h264_10bits.mp4")
    frames, _, info = load(path, color="gray")
    assert (info.bit_depth, info.frames, len(frames)) == (16, 30, 30)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        luma = np.frombuffer(first.planes[0], np.uint16).reshape(200, -1)[:, :200].astype(np.float64)
    wanted = np.clip(np.rint((luma - 64) * 65535 / 876), 0, 65535)
    np.testing.assert_array_equal(frames[0, ..., 0], wanted)


def test_real_film_takes_the_best_stream(real_media) -> None:
    path = real_media("nasa_13013.mp4")
    with VideoReader(path) as reader:
        part = next(reader.chunks(5))
        frames, times = part.data, part.times
    info = reader.info
    assert (info.width, info.height, info.frames, info.rate) == (480, 270, 390, Fraction(30000, 1001))
    assert info.audio is not None
    assert times == [k * Fraction(1001, 30000) for k in range(5)]
    wanted = decode(path, "rgb24", (270, 480, 3), "-sws_flags", "bilinear", "-frames:v", 5)
    np.testing.assert_array_equal(frames, wanted)


def test_of_streams_alike_the_largest_unless_one_is_the_default(tmp_path: Path) -> None:
    sources = [f"testsrc2=s={size}:r=10:d=0.3" for size in ("32x18", "64x36", "48x28")]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    maps = ["-map", 0, "-map", 1, "-map", 2, "-c:v", "libx264"]
    for default, size in ((None, (64, 36)), (0, (32, 18)), (2, (48, 28))):
        path = tmp_path / f"{default}.mkv"
        marks = [x for k in range(3) for x in (f"-disposition:v:{k}", "default" if k == default else "0")]
        ffmpeg(*inputs, *maps, *marks, path)
        with VideoReader(path) as reader:
            assert (reader.info.width, reader.info.height) == size


def test_cover_art_is_no_film(tmp_path: Path, clip: Path) -> None:
    cover = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=300x300:d=0.1", "-frames:v", 1, cover)
    path = tmp_path / "film.mp4"
    ffmpeg(
        *("-i", clip, "-i", cover, "-map", 1, "-map", 0, "-c", "copy"),
        *("-disposition:v:0", "attached_pic", path),
    )
    frames, _, _ = load(path)
    np.testing.assert_array_equal(frames, load(clip)[0])


def test_frames_that_avi_stores_out_of_order_have_even_times(tmp_path: Path) -> None:
    path = make(tmp_path / "b.avi", "testsrc2=s=32x32:r=10:d=2", "-c:v", "libx264", "-bf", 3)
    frames, times, info = load(path)
    assert times == [Fraction(k, 10) for k in range(20)]
    assert info.rate == 10
    np.testing.assert_array_equal(frames, decode(path, "rgb24", (32, 32, 3), "-sws_flags", "bilinear"))


@pytest.mark.parametrize(("degrees", "quarter_turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_is_applied(tmp_path: Path, clip: Path, degrees: int, quarter_turns: int) -> None:
    path = tmp_path / "turned.mp4"
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", path)
    frames, _, info = load(path)
    upright, _, _ = load(clip)
    np.testing.assert_array_equal(frames, np.rot90(upright, quarter_turns, axes=(1, 2)))
    shape = (50, 66) if degrees == 180 else (66, 50)
    assert (info.height, info.width) == shape
    np.testing.assert_array_equal(frames, decode(path, "rgb24", (*shape, 3), "-sws_flags", "bilinear"))
    scaled, _, scaled_info = load(path, size=(20, 40))
    assert scaled.shape[1:3] == (40, 20)
    assert (scaled_info.width, scaled_info.height) == (20, 40)


def test_mirrored_display_matrix(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "mirrored.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.set_display_rotation(0, hflip=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    np.testing.assert_array_equal(load(path)[0], load(clip)[0][:, :, ::-1])


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path = make(
        tmp_path / "vfr.mp4",
        "testsrc2=s=32x32:r=30:d=1",
        *("-vf", "select='eq(n,0)+eq(n,1)+eq(n,20)',settb=1/90000", "-fps_mode", "passthrough"),
        *("-c:v", "libx264"),
    )
    _, times, _ = load(path)
    assert [float(t) for t in times] == pytest.approx(frame_times(path), abs=1e-6)  # ffprobe prints 6 digits
    assert len(times) == 3


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", "testsrc2=s=32x32:r=10:d=5", "-c:v", "libx264", "-g", 50)
    path = tmp_path / "part.mp4"
    ffmpeg("-ss", 2.35, "-i", whole, "-c", "copy", "-t", 1, path)
    _, times, info = load(path)
    assert info.frames is None
    assert [float(t) for t in times] == pytest.approx(frame_times(path), abs=1e-6)  # ffprobe prints 6 digits


def test_fps_shows_the_last_frame_at_or_before_each_tick(tmp_path: Path, clip: Path) -> None:
    every, _, _ = load(clip)
    frames, times, info = load(clip, fps=25)
    assert (info.rate, info.time_base, info.frames) == (25, Fraction(1, 25), None)
    assert times == [Fraction(k, 25) for k in range(15)]
    np.testing.assert_array_equal(frames, every[[k * 10 // 25 for k in range(15)]])
    slower, times, _ = load(clip, fps=Fraction(5), chunk=2)
    np.testing.assert_array_equal(slower, every[[0, 2, 4]])


def test_window_starts_and_ends_at_the_given_seconds(clip: Path) -> None:
    every, _, _ = load(clip)
    frames, times, _ = load(clip, start_seconds=0.25, duration_seconds=0.2)
    np.testing.assert_array_equal(frames, every[3:5])
    assert times == [Fraction(1, 20), Fraction(3, 20)]
    with pytest.raises(ReadError, match="no frame can be decoded from 9"):
        VideoReader(clip, start_seconds=9)


def test_scaling_gives_the_size_and_the_picture(tmp_path: Path) -> None:
    path = make(
        tmp_path / "ramp.mkv", "color=s=66x50:r=10:d=0.2,geq=lum='16+3*X':cb=128:cr=128", "-c:v", "ffv1"
    )
    frames, _, info = load(path, size=(33, 25))
    assert (info.width, info.height, frames.shape[1:]) == (33, 25, (25, 33, 3))
    assert info.sample_aspect_ratio == 1
    ramp = (3 * (2 * np.arange(33) + 0.5)) * 255 / 219  # each pixel lies midway between two of the source's
    assert np.abs(frames[..., 3:-3, :] - ramp[3:-3, None]).max() <= 2  # 8-bit arithmetic; edges repeat


def test_animated_gif_one_frame_and_streams_without_times(tmp_path: Path) -> None:
    gif = make(tmp_path / "a.gif", SOURCE)
    frames, times, _ = load(gif)
    assert times == [Fraction(k, 10) for k in range(6)]
    np.testing.assert_array_equal(frames, decode(gif, "rgb24", (*SHAPE, 3)))
    one = make(tmp_path / "one.mp4", "testsrc2=s=66x50:r=10:d=0.1", "-c:v", "libx264")
    assert load(one)[0].shape == (1, 50, 66, 3)
    raw = make(tmp_path / "raw.h264", SOURCE, "-c:v", "libx264")
    _, times, info = load(raw)
    assert times == [Fraction(k, 25) for k in range(6)]  # no times are stored: the format's own 25 a second
    assert info.frames is None


def test_times_before_zero_are_kept(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "early.mkv"
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", "-0.15", "-avoid_negative_ts", "disabled", path)
    assert load(path)[1] == [Fraction(-3, 20) + Fraction(k, 10) for k in range(6)]


def test_transport_stream_counts_from_its_start(tmp_path: Path) -> None:
    path = make(tmp_path / "t.ts", SOURCE, "-c:v", "libx264")
    assert load(path)[1] == [Fraction(k, 10) for k in range(6)]


def test_a_size_change_is_scaled_to_the_first_size(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{w}.h264", f"testsrc2=s={w}x32:r=10:d=0.3", "-c:v", "libx264") for w in (64, 32)
    ]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _, _ = load(path)
    assert frames.shape == (6, 32, 64, 3)


def test_chunks_of_any_size_are_the_same_frames(clip: Path) -> None:
    every, times, _ = load(clip)
    for size in (1, 5, 6, 1000):
        with VideoReader(clip) as reader:
            chunks = [(part.data, part.times) for part in reader.chunks(size)]
        np.testing.assert_array_equal(np.concatenate([frames for frames, _ in chunks]), every)
        assert [t for _, part in chunks for t in part] == times


def test_limit_on_pixels(clip: Path) -> None:
    with pytest.raises(ReadError, match="66x50 pixels are more than the limit of 3299"):
        VideoReader(clip, limits=Limits(max_pixels=3299))
