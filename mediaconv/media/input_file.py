"""Opening an input at all: does it exist, is it a file, may it be read, is anything in it, what is it really.

Shared by every reader. Nothing here decodes.
"""

from __future__ import annotations

import os
from pathlib import Path

from mediaconv.errors import ReadError
from mediaconv.filesystem import NotAFileError, open_regular

HEAD_BYTES = 65536


def read_head(path: Path) -> bytes:
    """The first `HEAD_BYTES` bytes of a readable file that is not empty. Raises ReadError.

    Opens the file, so that a missing permission is found here and not told as "not an image".
    """
    try:
        handle = open_regular(path, follow=True)  # a pipe is not waited for
        try:
            head = part = os.read(handle, HEAD_BYTES)
            while part and len(head) < HEAD_BYTES:
                part = os.read(handle, HEAD_BYTES - len(head))
                head += part
        finally:
            os.close(handle)
    except NotAFileError as error:
        if os.path.isdir(path):
            raise ReadError(f"{path}: a directory, expected a media file") from error
        raise ReadError(f"{path}: not a regular file; give a media file") from error
    except FileNotFoundError as error:
        raise ReadError(f"{path}: no such file") from error
    except PermissionError as error:
        raise ReadError(f"{path}: may not be read (permission denied)") from error
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot be opened ({one_line(error)})") from error
    if not head:
        raise ReadError(f"{path}: the file is empty (0 bytes)")
    return head


def describe(head: bytes) -> str:
    """What a file that no decoder knows looks like, from its first bytes, for an error message.

    >>> describe(b"pipeline: video\\n"), describe(bytes(range(64)))
    ('looks like text', 'begins with 00 01 02 03 04 05 06 07')
    """
    try:
        text = head[:512].decode("utf-8", errors="strict" if len(head) <= 512 else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    if all(c.isprintable() or c in "\r\n\t\f" for c in text):
        return "looks like text"
    return f"begins with {head[:8].hex(' ')}"


def one_line(error: BaseException) -> str:
    """An exception's text on one line, shortened; its type's name where it has none."""
    said = getattr(error, "strerror", None)  # of OSError and of FFmpeg's errors, without number and path
    if said:
        return str(said)
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
