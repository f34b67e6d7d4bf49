"""Writes the sample media beside this file: the same bytes each time, no downloads.

    python data/make_samples.py [FOLDER]

What is drawn and played is in `landscape`, `sounds` and `pictures`; only encoding happens here.
Encoders run on one thread, without dates or version strings of their own. `made_with.json` records the
library versions, because another version of an encoder may pack the same pictures into other bytes.
"""

from __future__ import annotations

import argparse
import json
import platform
from fractions import Fraction
from pathlib import Path

import av
import cv2
import landscape
import numpy as np
import pictures
import soundfile
import sounds
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace

SAMPLES = (
    "video/lightning.mp4",
    "audio/melody_clap.wav",
    "image/lighthouse.png",
    "image/faint_disc_16bit.png",
)


def made_with() -> dict[str, str]:
    """Versions of everything that has a say in the bytes."""
    return {
        "av": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "soundfile": soundfile.__libsndfile_version__,
        "machine": platform.machine(),
    }


def write_film(path: Path) -> None:
    """The lightning, H.264 in yuv420p, with rain and thunder in AAC."""
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("libx264", landscape.RATE)
        video.width, video.height, video.pix_fmt = landscape.WIDTH, landscape.HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        # cpu-independent: x264 then picks the same algorithms on every processor.
        video.options = {"crf": "18", "preset": "slow", "x264-params": "cpu-independent=1:threads=1"}
        video.codec_context.flags |= Flags.bitexact
        video.codec_context.colorspace = Colorspace.ITU601
        video.codec_context.color_range = ColorRange.MPEG
        sound = container.add_stream("aac", sounds.FILM_RATE, layout="mono")
        sound.bit_rate = 64_000
        sound.codec_context.flags |= Flags.bitexact
        for pixels in landscape.frames():
            # OpenCV converts in integers; FFmpeg's converter rounds by the processor's instructions.
            planes = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)
            container.mux(video.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(video.encode(None))
        _write_storm(container, sound)


def _write_storm(container: OutputContainer, stream: AudioStream) -> None:
    """The film's sound, as long as its pictures."""
    count = landscape.FRAMES * sounds.FILM_RATE // landscape.RATE
    samples = sounds.storm(count, landscape.STRIKE / landscape.RATE)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = sounds.FILM_RATE, 0, Fraction(1, sounds.FILM_RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """A PNG of RGB or gray pixels, 8 or 16 bit as the array."""
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    if not cv2.imwrite(str(path), stored, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{path}: OpenCV could not write the picture")


def make_all(folder: Path) -> list[Path]:
    """Writes every sample under `folder`; their paths, in the order of SAMPLES."""
    film, melody, lighthouse, disc = paths = [folder / name for name in SAMPLES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_film(film)
    soundfile.write(melody, sounds.melody_clap(), sounds.RATE, subtype="PCM_16")
    write_picture(lighthouse, pictures.lighthouse())
    write_picture(disc, pictures.faint_disc())
    (folder / "made_with.json").write_text(json.dumps(made_with(), indent=2) + "\n", encoding="utf-8")
    return paths


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("folder", nargs="?", type=Path, default=here, help="where to write; default: here")
    for path in make_all(parser.parse_args().folder):
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
