"""Whether a PNG holds the rows that its header promises; decoders leave those that are missing black.

A chunk with a wrong checksum is no matter here: the checksum of the zlib stream proves the pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the kind of colour; 3 is an index into a palette."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: the first column and row of each pass, and the steps to the next ones."""
PIECE = 1 << 20
"""Bytes that are decompressed at once."""


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Of each chunk of a PNG its kind, and where its body begins and ends."""
    offset = len(PNG)
    while offset + 12 <= len(content):
        end = offset + 8 + int.from_bytes(content[offset : offset + 4], "big")
        yield content[offset + 4 : offset + 8], offset + 8, end
        offset = end + 4


def missing(content: bytes) -> str | None:
    """Of a PNG's first picture the rows that came of those that its header promises; None: all did.

    >>> head = (1).to_bytes(4, "big") + (9).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    >>> parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(2 * 7))))
    >>> missing(PNG + b"".join(len(body).to_bytes(4, "big") + kind + body + bytes(4) for kind, body in parts))
    '7 of 9 rows'
    """
    sizes = _row_sizes(content[len(PNG) + 8 : len(PNG) + 21])
    expected = sum(rows * size for rows, size in sizes)
    left = found = _stored_bytes(content, expected)
    if found == expected:
        return None
    whole = 0
    for rows, size in sizes:
        passed = min(rows, left // size)
        whole, left = whole + passed, left - passed * size
        if passed < rows:
            break
    kind = "rows" if len(sizes) == 1 else "interlaced rows"
    return f"{whole} of {sum(rows for rows, _ in sizes)} {kind}"


def _row_sizes(header: bytes) -> list[tuple[int, int]]:
    """Of each pass how many rows it has, and the bytes of one with its filter."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits = header[8] * CHANNELS[header[9]]
    passes = PASSES if header[12] else ((0, 0, 1, 1),)
    grids = [(-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes]
    return [(rows, 1 + (columns * bits + 7) // 8) for columns, rows in grids if columns > 0 and rows > 0]


def _stored_bytes(content: bytes, most: int) -> int:
    """What the first picture decompresses to, up to the most; damage ends it."""
    stream, found = zlib.decompressobj(), 0
    try:
        for kind, begin, end in chunks(content):
            data = content[begin:end] if kind == b"IDAT" else b""
            while data and found < most:
                found += len(stream.decompress(data, min(PIECE, most - found)))
                data = stream.unconsumed_tail
    except zlib.error:
        pass
    return found
