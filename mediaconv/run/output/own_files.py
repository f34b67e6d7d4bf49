"""What a command without a manifest has put into a folder: names in a hidden file there, told beforehand.

Whatever is not named there is never replaced nor removed; a file in the way is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import (
    NotAFileError,
    in_the_way,
    is_regular,
    make_folders,
    open_regular,
    refuse_holes,
    sync,
    write_whole,
)
from mediaconv.run.output.staging import Staging
from mediaconv.run.resume.safe_name import is_safe_name

HEAD = b"names of the files that mediaconv compare wrote below this folder\n"


class OwnFiles:
    """The names of a command's own files below a folder, kept in `FOLDER/.mediaconv.compare`.

    Raises UsageError where that name is another's.
    """

    NAME = ".mediaconv.compare"

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / self.NAME
        self.names: set[str] = set()
        try:
            with os.fdopen(open_regular(self._path), "rb") as file:
                refuse_holes(file.fileno())
                content = file.read() if file.peek(len(HEAD)).startswith(HEAD) else b""
        except FileNotFoundError:
            return
        except NotAFileError:
            raise in_the_way(self._path) from None
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be read: {error.strerror}") from error
        if not content.startswith(HEAD):
            raise in_the_way(self._path)
        for line in content[len(HEAD) :].split(b"\n")[:-1]:  # a torn last line claims nothing
            with contextlib.suppress(ValueError):
                name = json.loads(line)
                if isinstance(name, str) and is_safe_name(name):
                    self.names.add(name)

    def refuse_others(self, below: Iterable[Path]) -> None:
        """Raises UsageError where a file, or a folder and all that is in it, is not all this command's own.

        Hidden names stay out of it, in folders too.
        """
        waiting = [path for path in below if os.path.lexists(path)]
        while waiting:
            path = waiting.pop()
            self._refuse_way(path)
            if path.is_dir() and not path.is_symlink():
                waiting += [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            elif not (is_regular(path) and self._name(path) in self.names):
                raise in_the_way(path)

    def write(self, path: Path, text: str) -> None:
        """Write a file below the folder, whole or not at all. Raises WriteError."""
        try:
            make_folders(path.parent)
            self._claim([path])
            write_whole(path, text.encode(errors="backslashreplace"))
        except OSError as error:
            raise WriteError(f"{path}: cannot be written: {error.strerror}") from error

    def put_in_place(self, staging: Staging) -> None:
        """Commit a folder of folders; where an earlier one lies there, file by file, each whole."""
        new = [path.relative_to(staging.folder) for path in staging.folder.rglob("*") if path.is_file()]
        target = staging.target
        before = {name for name in self.names if name.startswith(f"{self._name(target)}/")}
        try:
            self._claim([target / name for name in new])
            if not os.path.lexists(target):
                staging.commit()
                return
            for file in new:
                make_folders((target / file).parent)
                sync(staging.folder / file)
                os.replace(staging.folder / file, target / file)
            for name in before.difference(self._name(target / name) for name in new):
                if is_regular(self._folder / name):
                    os.unlink(self._folder / name)
            sync(target)
        except OSError as error:
            raise WriteError(f"cannot put {target} in place: {error.strerror}") from error

    def _claim(self, paths: Iterable[Path]) -> None:
        """Note names durably before anything lies there. Raises UsageError for what is another's."""
        names = {self._name(path): path for path in paths}
        for name, path in names.items():
            self._refuse_way(path)
            if os.path.lexists(path) and not (name in self.names and is_regular(path)):
                raise in_the_way(path)
        if new := names.keys() - self.names:
            self.names |= new
            write_whole(self._path, HEAD + "".join(f"{json.dumps(n)}\n" for n in sorted(self.names)).encode())

    def _refuse_way(self, path: Path) -> None:
        for above in path.parents:
            if above == self._folder:
                return
            if os.path.lexists(above) and (above.is_symlink() or not above.is_dir()):
                raise in_the_way(above)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()
