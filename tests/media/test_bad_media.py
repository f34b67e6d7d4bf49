"""Bad input: each reader refuses it in one line that names the file, and nothing is written to stderr."""

from __future__ import annotations

import os
import re
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import soundfile
import tifffile
from ffmpeg_oracle import ffmpeg, make

from mediaconv.errors import ReadError
from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.image.decoders import needed_bytes
from mediaconv.media.image.reader import read_image
from mediaconv.media.limits import Limits
from mediaconv.media.video.reader import VideoReader


def read_sound(path: Path) -> int:
    with AudioReader(path) as reader:
        return sum(len(part.data) for part in reader.chunks(999))


def read_film(path: Path) -> int:
    with VideoReader(path) as reader:
        return sum(len(part.data) for part in reader.chunks(3))


READERS: dict[str, Callable[[Path], object]] = {"sound": read_sound, "image": read_image, "film": read_film}


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return READERS[request.param]


def refused(read: Callable[[Path], object], path: Path, capfd: pytest.CaptureFixture) -> str:
    """The message; one line, with the file's name, and no other word on the terminal."""
    with pytest.raises(ReadError) as failure:
        read(path)
    message = str(failure.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert failure.value.stage == "read"
    assert capfd.readouterr() == ("", "")
    return message


def test_missing_empty_folder_text(tmp_path: Path, read: Callable, capfd: pytest.CaptureFixture) -> None:
    assert "no such file" in refused(read, tmp_path / "none.mp4", capfd)
    assert "directory" in refused(read, tmp_path, capfd)
    (tmp_path / "empty.wav").touch()
    assert "empty (0 bytes)" in refused(read, tmp_path / "empty.wav", capfd)
    for name in ("a.png", "a.mp4", "a.wav", "a.txt", "a.mp3", "a.tif"):
        (tmp_path / name).write_text("Some notes.\nNothing to see or hear.\n" * 40)
        assert "looks like text" in refused(read, tmp_path / name, capfd)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(read, tmp_path / "noise.mp4", capfd)
    assert "not a regular file" in refused(read, Path("/dev/null"), capfd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable(tmp_path: Path, read: Callable, capfd: pytest.CaptureFixture) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("L", (4, 4)).save(path)
    path.chmod(0)
    assert "permission denied" in refused(read, path, capfd)


def test_unreadable_as_the_system_tells_it(
    tmp_path: Path, read: Callable, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, where the tests run as root: the call that opens the file is refused."""
    (tmp_path / "a.png").write_bytes(b"x")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("mediaconv.filesystem.os.open", refuse)
        with pytest.raises(ReadError, match="permission denied"):
            read(tmp_path / "a.png")


def test_another_kind_of_media(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    soundfile.write(tmp_path / "a.mp4", np.zeros(100), 8000, format="WAV")
    assert "no pictures" in refused(read_film, tmp_path / "a.mp4", capfd)
    assert "no image" in refused(read_image, tmp_path / "a.mp4", capfd)
    film = make(tmp_path / "a.wav", "testsrc2=s=32x32:r=10:d=0.2", "-c:v", "libx264", "-f", "mp4")
    assert "no sound" in refused(read_sound, film, capfd)
    assert "no image" in refused(read_image, film, capfd)


def cut(path: Path, fraction: float) -> Path:
    content = path.read_bytes()
    shorter = path.with_name(f"cut_{path.name}")
    shorter.write_bytes(content[: int(len(content) * fraction)])
    return shorter


FILMS = {
    "a.mp4": ("-c:v", "libx264"),
    "fast.mp4": ("-c:v", "libx264", "-movflags", "faststart"),
    "a.mkv": ("-c:v", "libx264"),
    "a.webm": ("-c:v", "libvpx-vp9"),
    "a.avi": ("-c:v", "mpeg4"),
    "a.gif": (),
    "a.ts": ("-c:v", "libx264"),
    "a.mpg": ("-c:v", "mpeg1video", "-r", "25"),
    "a.vob": ("-c:v", "mpeg2video", "-r", "25"),
    "a.ivf": ("-c:v", "libvpx"),
}


@pytest.mark.parametrize("fraction", [0.3, 0.71, 0.99])
@pytest.mark.parametrize("name", FILMS)
def test_cut_films(tmp_path: Path, name: str, fraction: float, capfd: pytest.CaptureFixture) -> None:
    path = make(tmp_path / name, "testsrc2=s=66x50:r=10:d=0.6", *FILMS[name])
    assert read_film(path) == (15 if name in ("a.mpg", "a.vob") else 6)
    message = refused(read_film, cut(path, fraction), capfd)
    assert "cut off" in message
    assert "bytes" in message or name == "a.ivf"


SOUNDS = ["a.mp3", "a.wav", "a.flac", "a.aiff", "a.ogg", "a.m4a", "a.mka", "a.caf", "a.au", "a.w64", "a.voc"]
SOUNDS += ["a.ac3", "a.eac3", "a.tta", "a.aac"]


@pytest.mark.parametrize("fraction", [0.3, 0.71, 0.99])
@pytest.mark.parametrize("name", SOUNDS)
def test_cut_sounds(tmp_path: Path, name: str, fraction: float, capfd: pytest.CaptureFixture) -> None:
    path = make(tmp_path / name, "aevalsrc='random(0)-0.5':s=44100:d=1")
    assert read_sound(path) > 43000
    refused(read_sound, cut(path, fraction), capfd)


@pytest.mark.parametrize(("rate", "kbps"), [(32000, 64), (44100, 96), (44100, 448), (48000, 640)])
def test_whole_ac3_is_whole(tmp_path: Path, rate: int, kbps: int) -> None:
    path = make(tmp_path / "a.ac3", f"aevalsrc='random(0)-0.5':s={rate}:d=1", "-b:a", f"{kbps}k")
    assert read_sound(path) >= rate


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.97])
@pytest.mark.parametrize(
    "name", ["a.png", "a16.png", "a.jpg", "a.webp", "a.avif", "a.bmp", "a.jp2", "a.tif", "z.tif"]
)
def test_cut_images(tmp_path: Path, name: str, fraction: float, capfd: pytest.CaptureFixture) -> None:
    data = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    path = tmp_path / name
    if name == "a16.png":
        cv2.imwrite(str(path), data.astype(np.uint16) * 257)
    elif name == "z.tif":
        tifffile.imwrite(path, data.astype(np.uint16), photometric="rgb", compression="zlib")
    else:
        PIL.Image.fromarray(data).save(path)
    assert read_image(path).data.shape == (60, 60, 3)
    refused(read_image, cut(path, fraction), capfd)


def test_damage_in_the_middle(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    film = make(tmp_path / "a.mkv", "testsrc2=s=128x96:r=10:d=2", "-c:v", "libx264", "-g", 5)
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = bytes(1500)
    film.write_bytes(content)
    assert "damaged" in refused(read_film, film, capfd)
    rng = np.random.default_rng(0)
    PIL.Image.fromarray(rng.integers(0, 256, (60, 60, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[5000:5100] = bytes(100)
    (tmp_path / "a.png").write_bytes(content)
    assert "damaged" in refused(read_image, tmp_path / "a.png", capfd)


@pytest.mark.parametrize("codec", ["libvorbis", "libopus", "flac"])
def test_a_damaged_ogg_page(tmp_path: Path, codec: str, capfd: pytest.CaptureFixture) -> None:
    """Decoders pass over a page whose checksum fails: sound would be missing without a word."""
    path = make(tmp_path / "a.ogg", "sine=d=3", "-c:a", codec)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    path.write_bytes(content)
    assert "does not match its checksum" in refused(read_sound, path, capfd)


def test_streams_of_unknown_length_are_whole(tmp_path: Path) -> None:
    """What a pipe writes states no length: that is no damage."""
    film = tmp_path / "live.mkv"
    film.write_bytes(
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=66x50:r=10:d=0.6", "-c:v", "libx264", "-f", "matroska", "-")
    )
    assert read_film(film) == 6
    sound = tmp_path / "live.wav"
    sound.write_bytes(ffmpeg("-f", "lavfi", "-i", "sine=r=8000:d=0.5", "-f", "wav", "-"))
    assert read_sound(sound) == 4000


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_sound_that_is_no_number_is_laid_to_the_file(
    tmp_path: Path, value: float, capfd: pytest.CaptureFixture
) -> None:
    path = tmp_path / "broken.wav"
    x = np.zeros((100_000, 2), np.float32)
    x[70_000, 1] = value
    soundfile.write(path, x, 8000, subtype="FLOAT")
    assert "the first at sample 70000 (8.750 s)" in refused(read_sound, path, capfd)
    with AudioReader(path, duration_seconds=8.75) as reader:
        assert sum(len(part.data) for part in reader.chunks(999)) == 70_000
    with AudioReader(path, mono=True, start_seconds=8.7) as reader, pytest.raises(ReadError, match="70000"):
        list(reader.chunks(999))


def stated_png(path: Path, width: int, height: int, depth: int, color: int) -> Path:
    """A PNG of some hundred bytes that states a size; its data end early."""
    parts = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0), zlib.compress(bytes(1000)), b""
    content = b"\x89PNG\r\n\x1a\n"
    for kind, part in zip((b"IHDR", b"IDAT", b"IEND"), parts, strict=True):
        content += len(part).to_bytes(4, "big") + kind + part + zlib.crc32(kind + part).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def test_a_picture_that_would_take_too_much_memory_is_refused_by_its_header(tmp_path: Path) -> None:
    few = Limits(max_memory=2 * 2**30)
    png = stated_png(tmp_path / "a.png", 16384, 16384, 16, 6)
    tiff = tmp_path / "a.tif"
    tifffile.imwrite(tiff, np.zeros((4, 4, 4), np.uint16), photometric="rgb")
    content = tiff.read_bytes()
    for tag in (256, 257):  # width and height
        at = re.search(struct.pack("<H", tag) + rb"[\x03\x04]\0\x01\0\0\0", content).end()  # type: ignore[union-attr]
        content = content[:at] + struct.pack("<I", 16384) + content[at + 4 :]
    tiff.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in (png, tiff):
        # 16384 x 16384 x 4 bands x 2 bytes are 2 GiB, of which three are held
        with pytest.raises(
            ReadError, match=r"need about 6\.00 GiB of memory, more than limits\.max_memory: 2\.00"
        ):
            read_image(path, limits=few)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert needed_bytes(png) == 6 * 2**30
    assert needed_bytes(tmp_path / "none.png") == 0
    small = tmp_path / "small.png"
    PIL.Image.new("RGB", (10, 20)).save(small)
    assert needed_bytes(small) == 3 * 10 * 20 * 3
    read_image(small, limits=Limits(max_memory=1800))
    with pytest.raises(ReadError, match="max_memory"):
        read_image(small, limits=Limits(max_memory=1799))


def test_a_pipe_that_comes_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    for reader, name in ((read_image, "a.png"), (VideoReader, "a.mp4"), (AudioReader, "a.wav")):
        os.mkfifo(tmp_path / name)
        with pytest.raises(ReadError, match="not a regular file"):
            reader(tmp_path / name)
