"""The zip archives of torch (`.pt`, `.pth`, `.pt2`): what is in them, before anything is inflated."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import IO

from mediaconv.errors import UsageError

MAX_ENTRIES = 1_000_000


def check_regular(path: Path, what: str) -> int:
    """The size in bytes of a file that is there and no folder, device or pipe. Raises UsageError."""
    try:
        stat_result = path.stat()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise UsageError(
            f"{what}: {path}: {reason} (a relative path is taken from the current folder)"
        ) from None
    except ValueError as error:
        raise UsageError(f"{what}: {str(path)!r}: is no path: {error}") from None
    if not stat.S_ISREG(stat_result.st_mode):
        raise UsageError(f"{what}: {path}: is no file")
    return stat_result.st_size


def check_archive(path: Path, what: str) -> list[str] | None:
    """Names of a zip archive's entries; None where the file is no zip archive.

    torch stores tensors as they are, so that an archive holds no more than its file: one that would inflate
    to more (a compressed or overlapping entry) is refused here, unread. Raises UsageError.
    """
    size = check_regular(path, what)
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return None
        return check_entries(file, size, f"{what}: {path}")


def check_entries(file: IO[bytes], size: int, origin: str) -> list[str]:
    """As `check_archive`, of an open zip archive of `size` bytes; `origin` begins an error's text."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UsageError(f"{origin}: is a damaged archive ({error})") from None
    if len(entries) > MAX_ENTRIES:
        raise UsageError(f"{origin}: holds {len(entries)} entries, expected at most {MAX_ENTRIES}")
    declared = sum(entry.file_size for entry in entries)
    if declared > size:
        raise UsageError(
            f"{origin}: a file of {size} bytes holds compressed entries that inflate to {declared}; "
            "torch writes them uncompressed: save it again with torch"
        )
    return [entry.filename for entry in entries]
