"""Raw tensors written in pieces: `.npy` and `.safetensors` of shape (C, n, ...), n unknown until the end.

Memory stays at one chunk: chunks wait in a hidden file beside the target, and are put in channel order
at close.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mediaconv.errors import WriteError, not_one_of
from mediaconv.media.written_file import WrittenFile

TENSOR_NAME = "output"
SAFETENSORS_ALIGNMENT = 8
COPY_BYTES = 1 << 20


class TensorWriter(WrittenFile):
    """One tensor file of floats; chunks are appended along axis 1, `close` completes it.

    path: its suffix (.npy, .safetensors) chooses the format; in the latter the tensor's name is "output".
    float_bits: of a value, 32 or 64.
    Until `close` the chunks lie in a file without a name in the same folder, which needs as much space again.

    Raises WriteError.
    """

    def __init__(self, path: str | Path, *, float_bits: int = 32) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._stored = np.dtype(f"<f{float_bits // 8}")
        suffix = self._path.suffix.lower()
        if suffix not in HEADERS:
            raise WriteError(not_one_of("format", suffix or "no suffix", HEADERS))
        self._header = HEADERS[suffix]
        self._lengths: list[int] = []
        self._outer: tuple[int, ...] | None = None
        self._spool: BinaryIO | None = None
        try:
            self._spool = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115 - lives as long as this
        except OSError as error:
            raise self._failure(error) from error

    def write(self, chunk: np.ndarray) -> None:
        """Append along axis 1. Shape: (C, n, ...), stored as floats; all but n as in the first chunk."""
        outer = (chunk.shape[0], *chunk.shape[2:])
        if self._outer is None:
            self._outer = outer
        if outer != self._outer or self._spool is None:
            raise WriteError(
                f"{self._path}: got a chunk of shape {chunk.shape}, expected "
                f"(C, n, ...) with all but n as before: {self._outer}"
            )
        try:
            self._spool.write(np.ascontiguousarray(chunk, self._stored).data)
        except OSError as error:
            raise self._failure(error) from error
        self._lengths.append(chunk.shape[1])

    def close(self) -> None:
        """Put the chunks in order and complete the file."""
        if self._spool is None:
            return
        try:
            if self._outer is None:
                raise WriteError(f"{self._path}: no chunk was written")
            with open(self._path, "wb") as target:
                shape = (self._outer[0], sum(self._lengths), *self._outer[1:])
                target.write(self._header(shape, self._stored))
                self._join(self._spool, target)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the files; the waiting chunks are gone. May be called twice."""
        spool, self._spool = self._spool, None
        if spool is None:
            return
        try:
            spool.close()
        except OSError:
            return  # its chunks are no longer wanted

    def _join(self, spool: BinaryIO, target: BinaryIO) -> None:
        """Channel by channel, its part of every chunk."""
        if self._outer is None:
            return
        channels = self._outer[0]
        step_bytes = self._stored.itemsize * int(np.prod(self._outer[1:], dtype=np.int64))
        for channel in range(channels):
            offset = 0
            for length in self._lengths:
                part = length * step_bytes
                spool.seek(offset + channel * part)
                _copy(spool, target, part)
                offset += channels * part


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size > 0:
        part = source.read(min(size, COPY_BYTES))
        if not part:
            raise OSError("the waiting chunks are cut off")
        target.write(part)
        size -= len(part)


def _npy_header(shape: tuple[int, ...], stored: np.dtype) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": stored.str, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def _safetensors_header(shape: tuple[int, ...], stored: np.dtype) -> bytes:
    size = stored.itemsize * int(np.prod(shape, dtype=np.int64))
    entry = {"dtype": f"F{8 * stored.itemsize}", "shape": shape, "data_offsets": [0, size]}
    text = json.dumps({TENSOR_NAME: entry}).encode()
    text += b" " * (-len(text) % SAFETENSORS_ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


HEADERS: dict[str, Callable[[tuple[int, ...], np.dtype], bytes]] = {
    ".npy": _npy_header,
    ".safetensors": _safetensors_header,
}
