"""Recipes of still images. Without loss the oracle is what was written, else a library not used there."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import tifffile

from tests.media.corpus.recipe import NotMadeError, Recipe

SHAPE = (37, 51)


def noise(kind: str, channels: int) -> np.ndarray:
    """Smooth in places and random in others; (H, W) or (H, W, C)."""
    shape = SHAPE if channels == 1 else (*SHAPE, channels)
    rng = np.random.default_rng(channels)
    data = rng.random(shape)
    data[:12] = np.linspace(0, 1, SHAPE[1]).reshape(1, -1, *[1] * (len(shape) - 2))
    return data.astype(kind) if kind.startswith("float") else (data * np.iinfo(kind).max).astype(kind)


def recipes() -> Iterator[Recipe]:
    """All of them."""
    yield from _pillow()
    yield from _opencv()
    yield from _tiff()
    yield from _lossy()
    yield from _turned()


def _three(data: np.ndarray) -> np.ndarray:
    return data[..., None] if data.ndim == 2 else data


def _stored(path: Path, *, data: np.ndarray) -> np.ndarray:
    return _three(data).astype(float)


def _write_by_pillow(path: Path, *, picture: Callable[[], PIL.Image.Image], options: dict[str, Any]) -> None:
    try:
        picture().save(path, **options)
    except (OSError, ValueError, KeyError) as error:
        raise NotMadeError(str(error)) from error


def _mode(mode: str) -> PIL.Image.Image:
    if mode == "P":
        return PIL.Image.fromarray(noise("uint8", 3)).quantize(64)
    if mode == "1":
        return PIL.Image.fromarray(noise("uint8", 1) > 127)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    return PIL.Image.fromarray(noise("uint8", channels), None if mode != "CMYK" else "CMYK")


def _pillow_values(mode: str) -> np.ndarray:
    picture = _mode(mode)
    wanted = {"1": "L", "L": "L", "LA": "RGBA", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
    return np.asarray(picture.convert(wanted))


def _pillow() -> Iterator[Recipe]:
    suffixes = {
        "png": [{}, {"optimize": True}, {"compress_level": 0}],
        "gif": [{}, {"interlace": 0}],
        "bmp": [{}],
        "tga": [{}, {"compression": "tga_rle"}],
        "ppm": [{}],
        "webp": [{"lossless": True, "exact": True}, {"lossless": True, "exact": True, "method": 0}],
        "tif": [
            {},
            *({"compression": c} for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")),
        ],
        "jp2": [{"irreversible": False}],
        "avif": [{"quality": 100, "subsampling": "4:4:4"}],
    }
    for (suffix, every), mode in itertools.product(suffixes.items(), ("1", "L", "LA", "RGB", "RGBA", "P")):
        for number, options in enumerate(every):
            if suffix == "gif" and mode not in ("1", "L", "P"):
                continue  # a palette would be made
            if suffix in ("bmp", "ppm") and mode == "RGBA":
                continue  # alpha is not written
            if suffix == "avif" or (suffix == "webp" and mode in ("1", "L", "LA", "P")):
                continue  # no gray, no palette
            yield Recipe(
                "image",
                f"{suffix.upper()} of Pillow",
                f"{mode}_{number}.{suffix}",
                partial(_write_by_pillow, picture=partial(_mode, mode), options=options),
                partial(_compared, values=partial(_pillow_values, mode)),
                programs=(),
            )


def _compared(path: Path, *, values: Callable[[], np.ndarray]) -> np.ndarray:
    return _three(values()).astype(float)


def _opencv() -> Iterator[Recipe]:
    for suffix, kind, channels in itertools.product(
        ("png", "tiff", "jp2", "ppm", "pgm", "bmp", "webp"), ("uint8", "uint16"), (1, 3, 4)
    ):
        if suffix in ("bmp", "webp") and (kind == "uint16" or (suffix == "webp" and channels != 3)):
            continue
        if (suffix == "ppm" and channels != 3) or (suffix == "pgm" and channels != 1):
            continue
        data = noise(kind, channels)
        yield Recipe(
            "image",
            f"{suffix.upper()} of OpenCV",
            f"{kind}_{channels}.{suffix}",
            partial(_write_by_opencv, data=data),
            partial(_stored, data=data),
            programs=(),
        )


def _write_by_opencv(path: Path, *, data: np.ndarray) -> None:
    order = data[..., ::-1] if data.ndim == 3 and data.shape[2] == 3 else data
    order = data[..., [2, 1, 0, 3]] if data.ndim == 3 and data.shape[2] == 4 else order
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if path.suffix == ".webp" else []
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if path.suffix == ".jp2" else options
    if not cv2.imwrite(str(path), np.ascontiguousarray(order), options):
        raise NotMadeError("OpenCV does not write it")


def _tiff() -> Iterator[Recipe]:
    ways: list[dict[str, Any]] = [
        {}, {"byteorder": ">"}, {"bigtiff": True}, {"compression": "lzw"}, {"compression": "zlib"},
        {"compression": "zlib", "predictor": True}, {"compression": "packbits"}, {"compression": "zstd"},
        {"tile": (16, 16)}, {"rowsperstrip": 5}, {"compression": "lzw", "tile": (16, 16), "byteorder": ">"},
    ]  # fmt: skip
    kinds = ["uint8", "uint16", "uint32", "float32", "float64"]
    for kind, channels, (number, way) in itertools.product(kinds, (1, 3, 4), enumerate(ways)):
        data = noise(kind, channels)
        extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        photometric = "minisblack" if channels == 1 else "rgb"
        yield Recipe(
            "image",
            f"TIFF of {'floats' if kind.startswith('f') else 'integers'}",
            f"{kind}_{channels}_{number}.tif",
            partial(_write_tiff, data=data, options={"photometric": photometric, **extra, **way}),
            partial(_stored, data=data),
            programs=(),
        )
    for kind, layout in itertools.product(("uint8", "uint16"), ("separate", "white", "bands")):
        data = noise(kind, 3 if layout != "white" else 1)
        if layout == "separate":
            written, options = np.moveaxis(data, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}
        elif layout == "white":
            written, options = np.iinfo(kind).max - data, {"photometric": "miniswhite"}
        else:
            data = noise(kind, 7)
            written, options = data, {"photometric": "minisblack", "planarconfig": "contig"}
        yield Recipe(
            "image",
            "TIFF of integers",
            f"{kind}_{layout}.tif",
            partial(_write_tiff, data=written, options=options),
            partial(_stored, data=data),
            programs=(),
        )
    for kind in ("int8", "int16", "int32", "complex64"):
        yield Recipe(
            "image",
            "TIFF of signed or complex samples",
            f"{kind}.tif",
            partial(_write_tiff, data=np.zeros(SHAPE, kind), options={"photometric": "minisblack"}),
            partial(_stored, data=np.zeros(SHAPE)),
            refused="are not supported",
            programs=(),
        )


def _write_tiff(path: Path, *, data: np.ndarray, options: dict[str, Any]) -> None:
    try:
        tifffile.imwrite(path, data, **options)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise NotMadeError(str(error)) from error


def _lossy() -> Iterator[Recipe]:
    for quality, subsampling, progressive, mode in itertools.product(
        (30, 95), ("4:4:4", "4:2:2", "4:2:0"), (False, True), ("RGB", "L", "CMYK")
    ):
        yield Recipe(
            "image",
            "JPEG",
            f"{mode}_{quality}_{subsampling.replace(':', '')}_{progressive}.jpg",
            partial(
                _write_by_pillow,
                picture=partial(_mode, mode),
                options={"quality": quality, "subsampling": subsampling, "progressive": progressive},
            ),
            _by_opencv if mode != "CMYK" else _by_pillow,
            tolerance=4 if mode == "RGB" else 0,
            reason="chroma is interpolated by two ways" if mode == "RGB" else "",
            programs=(),
        )
    for suffix, quality, mode in itertools.product(("webp", "avif"), (30, 90), ("RGB", "RGBA")):
        yield Recipe(
            "image",
            "WebP, AVIF with loss",
            f"{mode}_{quality}.{suffix}",
            partial(_write_by_pillow, picture=partial(_mode, mode), options={"quality": quality}),
            _by_opencv,
            tolerance=4,
            reason="chroma is interpolated by two ways",
            programs=(),
        )


def _by_opencv(path: Path) -> np.ndarray:
    data = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if data is None:
        raise NotMadeError("OpenCV does not read it")
    data = _three(data).astype(float)
    return data[..., [2, 1, 0, 3][: data.shape[2]]] if data.shape[2] > 1 else data


def _by_pillow(path: Path) -> np.ndarray:
    with PIL.Image.open(path) as picture:
        return _three(np.asarray(picture.convert("RGB"))).astype(float)


def _turned() -> Iterator[Recipe]:
    for suffix, orientation in itertools.product(("png", "webp", "tif"), range(1, 9)):
        exif = PIL.Image.Exif()
        exif[274] = orientation
        options = {"exif": exif, **({"lossless": True} if suffix == "webp" else {})}
        yield Recipe(
            "image",
            "orientations of EXIF",
            f"{orientation}.{suffix}",
            partial(_write_by_pillow, picture=partial(_mode, "RGB"), options=options),
            partial(_upright, orientation=orientation),
            programs=(),
        )


def _upright(path: Path, *, orientation: int) -> np.ndarray:
    picture = _mode("RGB")
    exif = PIL.Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    return np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(buffer))).astype(float)
