"""Recipes of film: codecs, containers, pixel formats, flags. The oracle is the luma that ffmpeg decodes.

It is compared as stored samples stretched to the full range by the definition, so that no scaler takes part.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.media.corpus.recipe import NotMadeError, Recipe, ffmpeg, run

INEXACT = r"mpeg1|mpeg2|mpeg4|flv|h263|wmv|msmpeg|mjpeg|dv|prores|dnxhd|rv|theora|svq|snow|asv"
SUBSAMPLING = {"20": (2, 2), "22": (2, 1), "44": (1, 1), "11": (4, 1), "10": (4, 4), "40": (1, 2)}
"""Columns and rows that share a sample of chroma, by the digits after the 4."""
SOURCE = "testsrc2=s={size}:r=25:d=0.6"
TRANSFORMS = "inverse transforms of two versions"


def recipes() -> Iterator[Recipe]:
    """All of them."""
    for codec, words, containers, formats in TABLE:
        for container, pixels in itertools.product(containers.split(), formats.split()):
            yield _recipe(codec, words, container, pixels)
    for name, words in FLAGS.items():
        yield _recipe("H.264" if "x264" in words else "other flags", words, *name.split())
    for pixels in ("bgr0", "gbrp", "gbrp10le", "gbrp16le", "bgra", "rgb48le", "rgba64le"):
        yield _colours("FFV1", f"-c:v ffv1 -pix_fmt {pixels}", f"ffv1_{pixels}.mkv")
    for codec, pixels, container in RGB_CODECS:
        yield _colours(codec, f"-c:v {codec} -pix_fmt {pixels}", f"{codec}_{pixels}.{container}")


def _recipe(codec: str, words: str, container: str, pixels: str) -> Recipe:
    size = "96x64" if "x265" in words or "av1" in words else "64x48"
    if "dvvideo" in words:
        size = "720x576"
    given = re.search(r"-s:v (\S+)", words)
    size = given[1] if given else size
    flags = re.sub(r"\W+", "_", words).strip("_")
    # MPEG's and its relatives' transforms are not exact by their standards
    inexact = re.search(INEXACT, words)
    magic = "magicyuv" in words and pixels == "gray"
    return Recipe(
        "video",
        f"{codec} in {container.upper()}",
        f"{flags}_{pixels}.{container}",
        partial(_make, words=words.split(), pixels=pixels, size=size),
        luma,
        tolerance=20 if magic else 3 if inexact else 0,
        reason="two versions take its range otherwise" if magic else TRANSFORMS if inexact else "",
    )


def _colours(codec: str, words: str, name: str) -> Recipe:
    return Recipe(
        "video",
        f"{codec} in RGB",
        name,
        partial(_make, words=words.split(), pixels="", size="64x48"),
        colours,
        tolerance=1 if "10" in words else 0,
        reason="10 bits are stretched to 16 by two roundings" if "10" in words else "",
    )


def _make(path: Path, *, words: list[str], pixels: str, size: str) -> None:
    chosen = ["-pix_fmt", pixels] if pixels else []
    ffmpeg("-f", "lavfi", "-i", SOURCE.format(size=size), *words, *chosen, "-strict", -2, path)


def facts(path: Path) -> dict:
    """Size, pixel format and range of the film, by ffprobe."""
    entries = "stream=width,height,pix_fmt,color_range,codec_name"
    words = ["-v", "error", "-of", "json", "-select_streams", "v:0", "-show_entries", entries]
    streams = json.loads(run("ffprobe", *words, path))["streams"]
    if not streams:
        raise NotMadeError("no film in it")
    return streams[0]


def luma(path: Path) -> np.ndarray:
    """Stored luma, stretched: (n, H, W), 0 to 255 or 65535."""
    about = facts(path)
    width, height, pixels = about["width"], about["height"], about["pix_fmt"]
    match = re.fullmatch(r"(?:yuv(j?)a?4\d\dp|gray)(?:(9|10|12|14|16)le)?", pixels)
    if match is None:
        raise NotMadeError(f"no oracle for {pixels}")
    bits = int(match[2] or 8)
    raw = np.frombuffer(
        ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-"), np.uint8
    )
    samples = raw.view(np.uint16) if bits > 8 else raw
    frame = frame_samples(pixels, width, height)
    stored = samples.reshape(-1, frame)[:, : width * height].reshape(-1, height, width).astype(float)
    full = (
        about.get("color_range") == "pc"
        or bool(match[1])
        or (pixels.startswith("gray") and about.get("color_range") != "tv")
    )
    top = 255 if bits == 8 else 65535
    black, span = (0, (1 << bits) - 1) if full else (16 << bits - 8, 219 << bits - 8)
    return np.clip(np.rint((stored - black) * top / span), 0, top)


def frame_samples(pixels: str, width: int, height: int) -> int:
    """Samples of one frame, all planes."""
    if pixels.startswith("gray"):
        return width * height
    across, down = next(SUBSAMPLING[digits] for digits in SUBSAMPLING if f"4{digits}p" in pixels)
    chroma = -(-width // across) * -(-height // down)
    return width * height * (2 if "a4" in pixels else 1) + 2 * chroma


def colours(path: Path) -> np.ndarray:
    """RGB as it is stored, 8 bits or 16: (n, H, W, 3)."""
    about = facts(path)
    deep = re.search(r"(10|12|14|16|48|64)(le|be)?$", about["pix_fmt"]) is not None
    kind = "rgb48le" if deep else "rgb24"
    raw = ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", kind, "-")
    return (
        np.frombuffer(raw, np.uint16 if deep else np.uint8)
        .reshape(-1, about["height"], about["width"], 3)
        .astype(float)
    )


TABLE = [
    ("H.264", "-c:v libx264", "mp4 mov mkv ts m2ts avi flv nut 3gp h264 asf f4v", "yuv420p"),
    (
        "H.264",
        "-c:v libx264",
        "mp4 mkv",
        "yuv422p yuv444p yuv420p10le yuv422p10le yuv444p10le gray gray10le yuvj420p",
    ),
    ("H.265", "-c:v libx265 -x265-params log-level=none", "mp4 mkv ts hevc mov", "yuv420p"),
    (
        "H.265",
        "-c:v libx265 -x265-params log-level=none",
        "mkv",
        "yuv420p10le yuv422p10le yuv444p12le gray gray12le",
    ),
    ("VP8", "-c:v libvpx -cpu-used 8", "webm mkv ivf avi", "yuv420p"),
    ("VP9", "-c:v libvpx-vp9 -cpu-used 8", "webm mp4 mkv ivf", "yuv420p"),
    ("VP9", "-c:v libvpx-vp9 -cpu-used 8", "webm", "yuv422p yuv444p yuv420p10le yuv420p12le"),
    ("AV1", "-c:v libaom-av1 -cpu-used 8 -usage realtime", "mp4 mkv webm ivf", "yuv420p"),
    ("AV1", "-c:v libaom-av1 -cpu-used 8 -usage realtime", "mkv", "yuv420p10le gray"),
    ("MPEG-4", "-c:v mpeg4 -q:v 2", "mp4 mov mkv avi nut 3gp m4v", "yuv420p"),
    ("MPEG-4", "-c:v mpeg4 -q:v 2 -bf 2", "mp4 mkv avi", "yuv420p"),
    ("MPEG-2", "-c:v mpeg2video -q:v 2", "mpg ts mkv m2v vob mxf mov", "yuv420p"),
    ("MPEG-2", "-c:v mpeg2video -q:v 2", "mxf ts", "yuv422p"),
    ("MPEG-1", "-c:v mpeg1video -q:v 2", "mpg mkv avi", "yuv420p"),
    ("H.263", "-c:v h263 -s:v 176x144", "3gp avi mkv", "yuv420p"),
    ("H.261", "-c:v h261 -s:v 176x144", "avi", "yuv420p"),
    ("Sorenson", "-c:v flv -q:v 2", "flv avi", "yuv420p"),
    ("WMV", "-c:v wmv2 -q:v 2", "wmv asf avi mkv", "yuv420p"),
    ("WMV", "-c:v wmv1 -q:v 2", "wmv", "yuv420p"),
    ("MS-MPEG-4", "-c:v msmpeg4 -q:v 2", "avi asf", "yuv420p"),
    ("Theora", "-c:v libtheora -q:v 9", "ogv mkv", "yuv420p yuv422p yuv444p"),
    ("Motion JPEG", "-c:v mjpeg -q:v 2", "avi mov mkv", "yuvj420p yuvj422p yuvj444p"),
    ("ProRes", "-c:v prores_ks", "mov mkv mxf", "yuv422p10le yuv444p10le"),
    ("DNxHR", "-c:v dnxhd -profile:v dnxhr_hq -s:v 256x128", "mov mxf", "yuv422p"),
    ("DV", "-c:v dvvideo -r 25", "dv avi mov", "yuv420p"),
    (
        "FFV1",
        "-c:v ffv1",
        "mkv avi nut",
        "yuv420p yuv422p10le yuv444p16le gray gray16le yuva444p yuv410p yuv411p",
    ),
    ("HuffYUV", "-c:v huffyuv", "avi mkv", "yuv422p"),
    ("FFVHuff", "-c:v ffvhuff", "avi mkv", "yuv420p yuv444p gray"),
    ("Ut Video", "-c:v utvideo", "avi mkv", "yuv420p yuv422p yuv444p"),
    ("MagicYUV", "-c:v magicyuv", "avi mkv", "yuv420p yuv444p gray"),
    ("JPEG 2000", "-c:v jpeg2000 -pred 1", "mkv mov", "yuv420p yuv444p gray"),
    ("raw", "-c:v rawvideo", "y4m avi nut mkv", "yuv420p yuv444p gray yuv422p10le"),
    ("Dirac", "-c:v vc2", "mkv", "yuv420p yuv422p10le"),
    ("Snow", "-c:v snow", "avi nut", "yuv420p"),
    ("RealVideo", "-c:v rv10 -s:v 176x144", "rm", "yuv420p"),
    ("RealVideo", "-c:v rv20 -s:v 176x144", "rm", "yuv420p"),
    ("SVQ1", "-c:v svq1", "mov", "yuv410p"),
    ("Cinepak", "-c:v cinepak", "avi mov", ""),
    ("ASUS", "-c:v asv1", "avi", "yuv420p"),
]
FLAGS = {
    "mp4 yuv420p": "-c:v libx264 -movflags frag_keyframe+empty_moov -bf 3",
    "mov yuv420p": "-c:v libx264 -movflags faststart -bf 3 -g 6",
    "mkv yuv420p": "-c:v libx264 -x264-params b-pyramid=normal:open-gop=1:bframes=5 -g 8",
    "ts yuv420p": "-c:v libx264 -x264-params intra-refresh=1 -bf 0",
    "avi yuv420p": "-c:v libx264 -bf 2",
    "nut yuv420p": "-c:v libx264 -crf 0 -bf 4",
    "mkv yuv420p10le": "-c:v libx264 -qp 1 -s:v 51x35",
    "mp4 yuv444p": "-c:v libx264 -s:v 51x35",
    "mpg yuv420p": "-c:v mpeg2video -flags +ildct+ilme -q:v 2",
    "webm yuv420p": "-c:v libvpx-vp9 -lossless 1 -s:v 51x35",
}
RGB_CODECS = [
    ("png", "rgb24", "mov"), ("png", "rgb48be", "mkv"), ("png", "rgba", "avi"),
    ("qtrle", "rgb24", "mov"), ("qtrle", "argb", "mov"), ("huffyuv", "rgb24", "avi"),
    ("utvideo", "gbrp", "avi"), ("zlib", "bgr24", "avi"), ("libx264rgb", "rgb24", "mkv"),
    ("libx264rgb", "bgr24", "mp4"), ("rawvideo", "bgr24", "avi"), ("qoi", "rgb24", "avi"),
    ("rawvideo", "rgb24", "nut"), ("bmp", "bgr24", "avi"), ("r210", "gbrp10le", "mov"),
    ("magicyuv", "gbrp", "avi"), ("targa", "bgr24", "avi"), ("tiff", "rgb24", "avi"),
    ("zmbv", "bgr0", "avi"), ("flashsv", "bgr24", "flv"), ("apng", "rgb24", "png"),
    ("apng", "rgba", "png"),
]  # fmt: skip
