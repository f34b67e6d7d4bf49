"""What each film codec can hold, and the encoder settings for it: the one place that knows encoders.

Chooses pixel formats and options from a few wishes. Encodes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mediaconv.errors import WriteError, nearest, not_one_of

DEFAULT_CRF = {"h264": 18, "vp9": 24}
CONTAINERS: dict[str, str] = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
HOLDS: dict[str, tuple[str, ...]] = {
    ".mp4": ("h264", "vp9"),
    ".mkv": ("h264", "vp9", "ffv1"),
    ".webm": ("vp9",),
}
DEFAULT_CODEC = {".mp4": "h264", ".mkv": "h264", ".webm": "vp9"}
FFV1_SLICED_SIZE = 16  # smaller pictures cannot be cut into slices
DEFAULT_PRESET = "ultrafast"
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True)
class Wish:
    """What a picture stream must hold. channels: 1 (gray) or 3 (RGB). width, height: of the true picture."""

    width: int
    height: int
    channels: int
    bit_depth: int
    lossless: bool
    crf: float | None
    preset: str
    threads: int


@dataclass(frozen=True)
class Encoding:
    """An encoder's settings. pix_fmt: what frames must be in. pad: sizes must be even."""

    encoder: str
    pix_fmt: str
    options: dict[str, str] = field(default_factory=dict)
    pad: bool = False


def codec_for(suffix: str, codec: str | None) -> str:
    """The codec of a film with that suffix (`.mp4`), where none is named its own. Raises WriteError."""
    if suffix not in CONTAINERS:
        raise WriteError(not_one_of("format", suffix or "no suffix", CONTAINERS))
    if codec is not None and codec not in HOLDS[suffix]:
        raise WriteError(
            f"codec: got {codec!r}, {suffix} holds {', '.join(HOLDS[suffix])}{nearest(codec, HOLDS[suffix])}"
        )
    return codec or DEFAULT_CODEC[suffix]


def choose(codec: str, wish: Wish) -> Encoding:
    """Settings of the encoder `codec` for a wish. Raises WriteError where it cannot be had."""
    rule = CODECS.get(codec)
    if rule is None:
        raise WriteError(not_one_of("codec", codec, CODECS))
    if wish.preset not in PRESETS:
        raise WriteError(not_one_of("preset", wish.preset, PRESETS))
    return rule(wish)


def _h264(wish: Wish) -> Encoding:
    """Gray goes into the luma plane. What must be exact and cannot be halved takes 4:4:4 or RGB."""
    _require_depth("h264", wish, (8, 10), "use codec ffv1 in .mkv")
    deep = "10le" if wish.bit_depth == 10 else ""
    options = {"preset": wish.preset, "threads": str(wish.threads)}
    if not wish.lossless:
        options["crf"] = _number("h264", wish.crf, 51)
        return Encoding("libx264", f"yuv420p{deep}", options, pad=True)
    _refuse_quality(wish)
    options["qp"] = "0"
    if wish.channels == 3:
        _require_depth("h264", wish, (8,), "for lossless RGB use codec ffv1 in .mkv")
        return Encoding("libx264rgb", "rgb24", options)
    even = wish.width % 2 == 0 and wish.height % 2 == 0
    return Encoding("libx264", f"yuv{420 if even else 444}p{deep}", options)


def _vp9(wish: Wish) -> Encoding:
    """VP9 codes odd sizes as they are."""
    _require_depth("vp9", wish, (8,), "use codec h264 (10 bits) or ffv1 in .mkv")
    cpu_used = max(0, 8 - PRESETS.index(wish.preset))
    options = {"deadline": "realtime" if cpu_used > 5 else "good", "cpu-used": str(min(cpu_used, 8))}
    options |= {"threads": str(wish.threads), "row-mt": "0", "b": "0"}
    if wish.lossless:
        _refuse_quality(wish)
        pix_fmt = "yuv420p" if wish.channels == 1 else "gbrp"
        return Encoding("libvpx-vp9", pix_fmt, options | {"lossless": "1"})
    return Encoding("libvpx-vp9", "yuv420p", options | {"crf": _number("vp9", wish.crf, 63)})


def _ffv1(wish: Wish) -> Encoding:
    """Always lossless; intra only, with checksums where the picture is large enough for slices."""
    _require_depth("ffv1", wish, (8, 10, 12, 16), "")
    if wish.crf is not None:
        raise WriteError("crf: codec ffv1 is lossless and has no quality setting; leave crf out")
    deep = f"{wish.bit_depth}le" if wish.bit_depth > 8 else ""
    gray = "gray" if wish.bit_depth == 8 else f"gray{deep}"
    colour = "bgr0" if wish.bit_depth == 8 else f"gbrp{deep}"
    options = {"threads": str(wish.threads)}
    if min(wish.width, wish.height) >= FFV1_SLICED_SIZE:
        options |= {"level": "3", "slices": "4", "slicecrc": "1"}
    else:
        options["level"] = "1"  # the one without slices
    return Encoding("ffv1", gray if wish.channels == 1 else colour, options)


def _require_depth(codec: str, wish: Wish, depths: tuple[int, ...], advice: str) -> None:
    if wish.bit_depth not in depths:
        allowed = " or ".join(map(str, depths))
        raise WriteError(
            f"bit_depth: got {wish.bit_depth}, codec {codec} holds {allowed}"
            + (f"; {advice}" if advice else "")
        )


def _refuse_quality(wish: Wish) -> None:
    if wish.crf is not None:
        raise WriteError("crf: a lossless file has no quality setting; leave crf or lossless out")


def _number(codec: str, crf: float | None, highest: int) -> str:
    value = DEFAULT_CRF[codec] if crf is None else crf
    if not 0 <= value <= highest:
        raise WriteError(f"crf: got {value}, codec {codec} takes 0 (best) to {highest}")
    return str(value)


CODECS: dict[str, Callable[[Wish], Encoding]] = {"h264": _h264, "vp9": _vp9, "ffv1": _ffv1}
