"""A folder for measuring, on parts of the disk where nothing was removed lately.

ext4 looks at every inode that was freed in the last minutes before it takes one for a new file: where a
bench, or another program, has just removed some thousand files, making a file takes up to fifty times as
long. The folders in a folder with the flag of a hierarchy's top are spread over the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _TOP_OF_HIERARCHY = 0x80086601, 0x40086602, 0x00020000
"""Of <linux/fs.h>: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL, on machines of 64 bits."""


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A temporary folder whose folders are spread, where the file system knows how; removed in the end."""
    with tempfile.TemporaryDirectory() as name:
        with contextlib.suppress(OSError):
            _spread(name)
        yield Path(name)


def _spread(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(handle, _GET_FLAGS, bytes(struct.calcsize("l"))))
        fcntl.ioctl(handle, _SET_FLAGS, struct.pack("l", flags | _TOP_OF_HIERARCHY))
    finally:
        os.close(handle)
