"""What every writer of a file shares: a `with` block completes the file or drops it, errors name it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from mediaconv.errors import WriteError
from mediaconv.media.input_file import one_line


class WrittenFile:
    """Mixin of a writer: leaving its `with` block closes it, or aborts it after an error."""

    _path: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @abstractmethod
    def close(self) -> None:
        """Complete the file."""

    @abstractmethod
    def abort(self) -> None:
        """Close the file, complete or not. May be called twice."""

    def _failure(self, error: BaseException) -> WriteError:
        return WriteError(f"{self._path}: cannot be written ({one_line(error)})")
