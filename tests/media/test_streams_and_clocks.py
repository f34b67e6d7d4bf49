"""Several sounds and films in a file, late starts, holes, names of channels: chosen, and told."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import decode_sound, ffmpeg, make, probe
from numpy.testing import assert_array_equal

import mediaconv
from mediaconv.errors import ReadError, UsageError
from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.video.reader import VideoReader


def sound(path: Path, **options: object) -> tuple[np.ndarray, list[str]]:
    with AudioReader(path, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(5000)]), reader.notes()


def film(path: Path, **options: object) -> tuple[np.ndarray, list[str]]:
    with VideoReader(path, color="gray", **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(64)]), reader.notes()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films and three sounds, in languages."""
    path = tmp_path_factory.mktemp("several") / "a.mkv"
    sources = [f"-f lavfi -i sine=f={hz}:r=8000:d=1".split() for hz in (300, 600, 900)]
    films = [f"-f lavfi -i color={c}:s=32x32:r=10:d=1".split() for c in ("black", "white")]
    maps = [word for k in range(5) for word in ("-map", str(k))]
    languages = [f"-metadata:s:a:{k} language={name}".split() for k, name in enumerate(("eng", "fra", "eng"))]
    languages += [f"-metadata:s:v:{k} language={name}".split() for k, name in enumerate(("eng", "deu"))]
    codecs = ["-c:v", "ffv1", "-c:a", "pcm_s16le"]
    ffmpeg(*itertools.chain(*films, *sources), *maps, *codecs, *itertools.chain(*languages), path)
    return path


def hz(data: np.ndarray) -> int:
    return int(np.abs(np.fft.rfft(data[:, 0])).argmax())


@pytest.mark.parametrize(
    ("wish", "expected"), [(None, 300), (0, 300), (1, 600), (2, 900), ("fra", 600), ("ENG", 300)]
)
def test_one_of_several_sounds(several: Path, wish: object, expected: int) -> None:
    data, notes = sound(several, stream=wish)
    assert hz(data) == expected
    there = "0 (eng, pcm_s16le), 1 (fra, pcm_s16le), 2 (eng, pcm_s16le)"
    told = f"sound: there are streams {there}, of which 0 was taken"
    assert [note.partition(";")[0] for note in notes] == ([told] if wish is None else [])


@pytest.mark.parametrize(("wish", "value"), [(None, 0), (0, 0), (1, 255), ("deu", 255)])
def test_one_of_several_films(several: Path, wish: object, value: int) -> None:
    data, notes = film(several, stream=wish)
    assert (data == value).all()
    assert bool(notes) == (wish is None)


@pytest.mark.parametrize("wish", [3, "deu"])
def test_a_stream_that_is_not_there(several: Path, wish: object) -> None:
    with pytest.raises(ReadError, match=r"stream: got .*1 \(fra, pcm_s16le\)"):
        sound(several, stream=wish)


@pytest.mark.parametrize(("wish", "expected"), [(None, 300), ("fra", 600), (2, 900)])
def test_the_sound_that_is_kept(several: Path, tmp_path: Path, wish: object, expected: int) -> None:
    write = {"audio": "keep", "format": "mkv", "audio_stream": wish}
    written = mediaconv.convert(["identity"], several, tmp_path / "out", read={"color": "gray"}, write=write)
    kept = probe(written.paths[0], "stream=index", "-select_streams", "a")
    assert len(kept["streams"]) == 1
    assert hz(decode_sound(written.paths[0], 1)) == expected
    assert any("was taken; choose by write.audio_stream" in note for note in written.notes) == (wish is None)


@pytest.fixture
def late(tmp_path: Path) -> Path:
    words = "-f lavfi -i color=black:s=32x32:r=10:d=3 -itsoffset 1.5 -f lavfi -i aevalsrc=0.5:s=8000:d=1"
    ffmpeg(*words.split(), "-c:v", "ffv1", "-c:a", "pcm_s16le", tmp_path / "late.mkv")
    return tmp_path / "late.mkv"


def test_a_late_start_is_told_and_kept_on_request(late: Path) -> None:
    data, notes = sound(late)
    assert len(data) == 8000
    assert notes == ["the sound begins 1.500 s after the file; read.late_start: keep keeps that"]
    data, notes = sound(late, keep_late_start=True)
    assert len(data) == 20000
    assert not data[:12000].any()
    assert (data[12000:] > 0.49).all()
    assert notes == ["the sound begins 1.500 s after the file; silence comes before it"]
    assert_array_equal(sound(late, keep_late_start=True, start_seconds=1)[0], data[8000:])
    assert_array_equal(sound(late, start_seconds=1)[0], data[8000:])


@pytest.fixture
def hole(tmp_path: Path) -> Path:
    full = make(tmp_path / "full.mka", "sine=r=16000:d=4", "-af", "asetnsamples=1000", "-c:a", "pcm_s16le")
    path = tmp_path / "hole.mka"
    ffmpeg("-i", full, "-c", "copy", "-bsf:a", "noise=drop='between(pts*tb,1,1.999)'", path)
    return path


def test_a_hole_is_closed_on_request(hole: Path) -> None:
    filled, _ = sound(hole)
    closed, notes = sound(hole, holes="close")
    assert (len(filled), len(closed)) == (64000, 48000)
    assert_array_equal(closed, np.concatenate([filled[:16000], filled[32000:]]))
    assert notes == ["holes in the sound are closed, overlaps kept: +1.000 s at 1.000 s"]


def test_hours_of_holes_are_refused(tmp_path: Path) -> None:
    full = make(tmp_path / "full.mka", "sine=r=8000:d=2", "-af", "asetnsamples=800", "-c:a", "pcm_s16le")
    ffmpeg("-i", full, "-c", "copy", "-bsf:a", "setts=ts='N*500000'", tmp_path / "bomb.mka")
    with pytest.raises(ReadError, match="holes: close"):
        sound(tmp_path / "bomb.mka")
    assert len(sound(tmp_path / "bomb.mka", holes="close")[0]) == 16000


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.asf", "wmv2 wmav2"),
        ("a.ogv", "libtheora libvorbis"),
        ("a.ts", "libx264 mp2"),
        ("a.mkv", "ffv1 aac"),
        ("a.mp4", "libx264 aac"),
        ("a.avi", "mpeg4 libmp3lame"),
    ],
)
@pytest.mark.parametrize(("film_late", "sound_late"), [(0, 0), (0.72, 0), (1.32, 2.04)])
def test_film_and_sound_share_the_clock_of_their_file(
    tmp_path: Path, name: str, codecs: str, film_late: float, sound_late: float
) -> None:
    """White and loud from one second of the source on, as far apart in the file, which AVI cannot state."""
    if name == "a.avi" and sound_late != film_late:
        sound_late = film_late = 0
    path = tmp_path / name
    picture = "color=black:s=64x48:r=25:d=4,format=gray,geq=lum='if(gte(T,3),235,16)'"
    tone = "aevalsrc='0.4*sin(2*PI*440*t)*gte(t,3)+0.001*sin(2*PI*440*t)':s=48000:d=4"
    words = ["-c:v", codecs.split()[0], "-c:a", codecs.split()[1], "-pix_fmt", "yuv420p", "-b:a", "128k"]
    inputs = ["-itsoffset", film_late, "-f", "lavfi", "-i", picture, "-itsoffset", sound_late, "-f", "lavfi"]
    ffmpeg(*inputs, "-i", tone, *words, path)
    with VideoReader(path, color="gray") as reader:
        parts = list(reader.chunks(50))
    frames = np.concatenate([part.data for part in parts]).mean(axis=(1, 2, 3))
    white = [time for part in parts for time in part.times or []][int(np.argmax(frames > 128))]
    data, notes = sound(path, keep_late_start=True)
    loud = int(np.argmax(np.abs(data[:, 0]) > 0.1)) / 48000
    assert abs(float(white) - loud - (film_late - sound_late)) < 0.03  # codecs spread an onset
    assert not any("holes" in note for note in notes)
    window = sound(path, start_seconds=2.5, duration_seconds=0.5)[0]
    assert_array_equal(window, data[120000:144000])


SURROUND = "aevalsrc=0.1|0.2|0.3|0.4|0.5|0.6:c=5.1:s=8000:d=0.1"
NAMES = ["FL", "FR", "FC", "LFE", "BL", "BR"]
DEPTHWISE = {"conv": {"out_channels": 6, "kernel_size": 3, "groups": 6}}


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mka", "a.ogg"])
def test_speakers_in_names_trace_and_notes(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, SURROUND)
    write = {"channel_names": True}
    keys = {"normalize": "none", "write": write}
    written = mediaconv.convert(["identity", DEPTHWISE], path, tmp_path / "out", pipeline="audio", **keys)
    assert [p.name for p in written.paths] == [f"channel_{k}_{n}.wav" for k, n in enumerate(NAMES)]
    assert "channels: FL FR FC LFE BL BR" in written.notes
    config = {"pipeline": "audio", "input": str(path), "output": str(tmp_path / "o"), "stack": [DEPTHWISE]}
    made = mediaconv.trace(config, input=path)
    assert "(FL FR FC LFE BL BR)" in str(made)


def test_outputs_that_mix_channels_have_no_speaker(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", SURROUND)
    mixing = {"conv": {"out_channels": 2, "kernel_size": 3}}
    keys = {"pipeline": "audio", "write": {"channel_names": True}}
    written = mediaconv.convert([mixing], path, tmp_path / "out", **keys)
    assert [p.name for p in written.paths] == ["channel_0.wav", "channel_1.wav"]
    assert any("mixes channels" in note for note in written.notes)
    bank = {"conv": {"out_channels": 12, "kernel_size": 3, "groups": 6}}
    written = mediaconv.convert([bank], path, tmp_path / "bank", **keys)
    assert written.paths[3].name == "channel_3_FR.wav"


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize(
    ("name", "codecs", "pictures", "tone"),
    [
        ("a.mkv", "libx264 aac", (b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC"), (b"A_AAC", b"A_XYZ")),
        ("a.mov", "libx264 pcm_s16le", (b"avc1", b"xyz9"), (b"sowt", b"q#7z")),
        ("a.avi", "mpeg4 libmp3lame", (b"FMP4", b"XQZ4"), (b"\x55\0\1\0", b"\x99\x77\1\0")),
    ],
)
def test_a_codec_without_a_decoder(
    tmp_path: Path, kind: str, name: str, codecs: str, pictures: tuple, tone: tuple
) -> None:
    film_codec, sound_codec = codecs.split()
    sine = ["-f", "lavfi", "-i", "sine=d=1"] if kind == "audio" else []
    words = ["-c:v", film_codec, "-c:a", sound_codec]
    path = make(tmp_path / name, "testsrc2=s=64x48:r=25:d=1", *sine, *words)
    before, after = tone if kind == "audio" else pictures
    path.write_bytes(path.read_bytes().replace(before, after))
    told = "0x7799" if (kind, name) == ("audio", "a.avi") else after.decode("latin-1")
    with pytest.raises(ReadError, match=f"no decoder for {told} here: .* stream 0"):
        (sound if kind == "audio" else film)(path)


def test_a_rate_that_makes_months(tmp_path: Path) -> None:
    """A header that says 1 Hz, resampled."""
    data = bytearray(make(tmp_path / "a.wav", "sine=r=8000:d=1").read_bytes())
    data[24:28] = (1).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(UsageError, match="1000 times the file's 1 Hz"):
        mediaconv.convert(["identity"], tmp_path / "a.wav", tmp_path / "out", read={"sample_rate": 48000})
