"""A FLAC file written in pieces by libsndfile, with the disk's errors kept. Reads nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from mediaconv.media.samples import SampleFormat


class _KeptErrors:
    """A file for libsndfile, whose callbacks cannot raise: the first OSError is kept for later."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb+")  # noqa: SIM115 - lives as long as this
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                return self._file.write(bytes(data))
            except OSError as error:
                self.error = error
        return 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # seeking flushes, and flushing may fill the disk
            self.error = self.error or error
            return self._file.raw.tell()

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        """libsndfile asks for it; `close` does it."""

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


class FlacFile:
    """Append samples, then close. Raises OSError."""

    def __init__(self, path: Path, *, rate_hz: int, channels: int, format: SampleFormat) -> None:
        self._bits = format.bits
        self._target = _KeptErrors(path)
        try:
            self._file = soundfile.SoundFile(
                self._target, "w", rate_hz, channels, subtype=f"PCM_{format.bits}", format="FLAC"
            )
        except soundfile.LibsndfileError as error:
            self._target.close()
            raise self._target.error or OSError(str(error)) from error

    def write(self, samples: np.ndarray) -> None:
        """Shape: (n, C); 24-bit samples in the low bits of int32, which libsndfile wants in the high ones."""
        try:
            self._file.write(samples << 8 if self._bits == 24 else samples)
        except (soundfile.LibsndfileError, AssertionError) as error:
            raise self._target.error or OSError(str(error)) from error
        if self._target.error is not None:
            raise self._target.error

    def close(self) -> None:
        """Complete the file."""
        try:
            self._file.close()
        finally:
            self._target.close()
        if self._target.error is not None:
            raise self._target.error

    def abort(self) -> None:
        """Close the file as it is."""
        try:
            self._file.close()
        except soundfile.LibsndfileError:
            return
        finally:
            self._target.close()
