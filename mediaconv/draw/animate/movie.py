"""Frames as GIF and MP4: the same frames give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from mediaconv.draw.scene.palette import LIGHT, rgb
from mediaconv.temporary_folder import temporary_folder

_CLEAR = 255
"""The palette's place for "as it was"."""


def gif(
    frames: Sequence[np.ndarray], seconds: Sequence[float], *, colours: Mapping[str, str] = LIGHT
) -> bytes:
    """A looping GIF. frames: (H, W, 3) uint8 of one size; seconds: how long each stays.

    One palette for all frames: the roles' colours exactly, then the most frequent of the others.
    """
    codes = [_codes(frame) for frame in frames]
    palette, lookup = _palette(codes, colours)
    images = []
    shown: np.ndarray | None = None
    for code in codes:
        indices = lookup[code]
        # What stays as it was is transparent, which compresses to next to nothing.
        delta = indices if shown is None else np.where(indices == shown, _CLEAR, indices)
        shown = indices
        images.append(Image.fromarray(delta.astype(np.uint8)))
        images[-1].putpalette(palette.ravel().tolist())
    target = io.BytesIO()
    # GIF counts hundredths of a second.
    durations = [max(2, round(s * 100)) * 10 for s in seconds]
    images[0].save(
        target,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
        optimize=False,
        transparency=_CLEAR,
        disposal=1,
    )
    return target.getvalue()


def _codes(frame: np.ndarray) -> np.ndarray:
    """Every pixel's colour as one number of 24 bits."""
    wide = frame.astype(np.uint32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _palette(codes: Sequence[np.ndarray], colours: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The palette, (256, 3) uint8, and for every 24 bit colour that occurs its nearest place in it.

    How frequent a colour is, eight of the frames tell.
    """
    occurs = np.zeros(1 << 24, bool)
    counts = np.zeros(1 << 24, np.int64)
    for n, code in enumerate(codes):
        occurs[code] = True
        if n % -(-len(codes) // 8) == 0:
            values, times = np.unique(code, return_counts=True)
            counts[values] += times
    occurring = np.flatnonzero(occurs)
    exact = sorted({int.from_bytes(bytes(rgb(c)), "big") for c in colours.values()})
    exact = [c for c in exact if occurs[c]]
    others = occurring[~np.isin(occurring, exact)]
    frequent = others[np.argsort(-counts[others], kind="stable")][: _CLEAR - len(exact)]
    chosen = np.concatenate([np.array(exact, np.int64), frequent])
    table = np.stack([chosen >> 16, (chosen >> 8) & 255, chosen & 255], axis=1)
    lookup = np.zeros(1 << 24, np.uint8)
    for start in range(0, len(occurring), 4096):
        part = occurring[start : start + 4096]
        pixel = np.stack([part >> 16, (part >> 8) & 255, part & 255], axis=1)
        distance = ((pixel[:, None, :] - table[None, :, :]) ** 2).sum(-1)
        lookup[part] = distance.argmin(1)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(table)] = table
    return palette, lookup


def mp4(frames: Sequence[np.ndarray], seconds: Sequence[float]) -> bytes:
    """An H.264 film that plays in browsers. frames: (H, W, 3) uint8, both sides even.

    Every frame is one picture of the film; one that stays longer has the longer time to the next.
    """
    clock = Fraction(1, 1000)
    # libav moves the index to the front of a film (faststart) by opening the file a second time, by name.
    with temporary_folder() as folder:
        path = folder / "film.mp4"
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(round(1000 / min(seconds)), 1000))
            stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = clock
            stream.codec_context.max_b_frames = 0
            # One thread: the encoder's choices, and so the bytes, depend on their number.
            stream.options = {"crf": "16", "preset": "medium", "threads": "1", "tune": "animation"}
            elapsed = 0.0
            for pixels, stay in zip(frames, seconds, strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(elapsed * 1000), clock
                container.mux(stream.encode(frame))
                elapsed += stay
            container.mux(stream.encode(None))
        return path.read_bytes()
