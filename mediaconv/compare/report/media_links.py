"""Media in a page: inlined while a page stays small enough to be sent around, linked beyond that."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

INLINE_FILE_BYTES = 8 * 2**20
INLINE_PAGE_BYTES = 48 * 2**20
"""A file of more bytes is linked, and so is one with which the inlined ones would be more together."""

TYPES = {
    ".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska", ".wav": "audio/wav",
    ".flac": "audio/flac", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp",
}  # fmt: skip


class MediaLinks:
    """Addresses of media for one page. page: where it will lie.

    file_bytes, page_bytes: the limits, in bytes of the files themselves (a page holds a third more).
    """

    def __init__(
        self, page: Path, *, file_bytes: int = INLINE_FILE_BYTES, page_bytes: int = INLINE_PAGE_BYTES
    ) -> None:
        self._folder = page.parent
        self._file_bytes, self._page_bytes = file_bytes, page_bytes
        self._used = 0

    def address(self, path: Path) -> tuple[str, bool]:
        """The `src` of a file, and whether it is a link."""
        size = path.stat().st_size
        if size <= self._file_bytes and self._used + size <= self._page_bytes:
            self._used += size
            return data_address(path.read_bytes(), TYPES[path.suffix.lower()]), False
        relative = os.path.relpath(path, self._folder)
        return quote(os.fsencode(Path(relative).as_posix())), True


def data_address(content: bytes, kind: str) -> str:
    """Content as an address of its own.

    >>> data_address(b"abc", "text/plain")
    'data:text/plain;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
