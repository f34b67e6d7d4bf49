"""The compiled loops, called without Numba: their machine code lies on disk from the first use on.

Loading Numba takes as long as a fifth of loading torch, and a run calls two functions of it. So each is
compiled once a machine for each pair of sample types (`entries`), its object file kept in `__pycache__`, or
where that cannot be written in the user's cache folder, and put into the process by llvmlite. What code a
file holds is told by its name: versions, this processor and the loops' source; a damaged one is made anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from llvmlite import binding  # type: ignore[import-untyped]

from mediaconv.compute.kernel_types import TILE, Layer, Quantum

__all__ = ["ConvBands", "finish"]

SOURCES = ("kernel_types.py", "simd.py", "loops.py", "entries.py", "native.py")
NUMBA_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")
POINTERS = {"band": 14, "finish": 7}
"""Of each entry, beside a result's and an exception's."""

_NO_AREA = (0, 0, 0, 0)
_AREA, _LINES, _FRAMES = slice(19, 23), 28, 35
"""Where in the sizes of "band" those stand that differ from band to band."""

_lock = Lock()
_engines: list[Any] = []
"""What holds the code; never let go of."""


class ConvBands:
    """loops.conv_band over bands of one layer's outputs: what they share is looked up once.

    See there for the arguments; all arrays are contiguous, and lie still as long as this is held.
    """

    def __init__(
        self,
        source: np.ndarray,
        ring: tuple[int, int],
        scale: np.float32,
        layer: Layer,
        first: int,
        taps: np.ndarray,
        weights: np.ndarray,
        groups: np.ndarray,
        functions: np.ndarray,
        parameters: np.ndarray,
        checked: int,
        quantum: Quantum,
        out: np.ndarray,
        out_ring: tuple[int, int],
        out_strides: tuple[int, int, int],
    ) -> None:
        self._line = layer.channels * layer.extent_y * layer.stride_x * layer.phase
        self._taps, self._tiled = len(taps), -(-layer.out_width // TILE) * TILE
        self._sizes = [
            *layer, source.shape[0], source.shape[2], *ring, first, *_NO_AREA, len(taps), len(weights),
            len(groups), len(functions), checked, 0, len(out), *out_ring, *out_strides, 0,
        ]  # fmt: skip
        numbers = np.array((*quantum, scale), np.float64)
        self._held = (source, out, taps, weights, groups, functions, parameters, numbers)
        self._pointers = [array.ctypes.data for array in self._held]
        self._entry = _entry("band", source.dtype, out.dtype)

    def __call__(self, area: tuple[int, int, int, int], lines: np.ndarray) -> tuple[bool, int]:
        """One band, with scratch of its own; whether all values were finite, and how many were clipped."""
        frames = len(lines) // self._line
        sizes = np.array(self._sizes, np.int64)
        sizes[_AREA], sizes[_LINES], sizes[_FRAMES] = area, len(lines), frames
        scratch = np.empty(2 * self._tiled + self._taps + frames + 2, np.int64)
        sums = scratch.ctypes.data
        offsets = sums + 16 * self._tiled
        used = offsets + 8 * self._taps
        source, out, *fixed, numbers = self._pointers
        _call(
            self._entry, source, out, lines.ctypes.data, *fixed, offsets, sums, used, sizes.ctypes.data,
            numbers, used + 8 * frames,
        )  # fmt: skip
        return bool(scratch[-2]), int(scratch[-1])


def finish(
    values: np.ndarray, functions: np.ndarray, parameters: np.ndarray, quantum: Quantum, out: np.ndarray
) -> tuple[bool, int]:
    """See loops.finish. All arrays are contiguous."""
    sizes, numbers = np.array((len(values), len(functions)), np.int64), np.array(quantum, np.float64)
    return _called(_entry("finish", out.dtype), values, out, functions, parameters, sizes, numbers)


def _called(entry: Callable[..., int], *arrays: np.ndarray) -> tuple[bool, int]:
    result = np.zeros(2, np.int64)
    _call(entry, *(array.ctypes.data for array in (*arrays, result)))
    return bool(result[0]), int(result[1])


def _call(entry: Callable[..., int], *pointers: int) -> None:
    unused = ctypes.c_void_p()
    status = entry(ctypes.addressof(unused), ctypes.addressof(unused), *pointers)
    if status:
        raise RuntimeError(f"a compiled loop ended with status {status}")


@functools.cache
def _entry(kind: str, *dtypes: np.dtype) -> Callable[..., int]:
    """The function at its address in this process; the interpreter's lock is released while it runs."""
    with _lock:
        name = f"{kind}-{'-'.join(dtype.name for dtype in dtypes)}-{_key()}.o"
        symbol, code = _kept(name) or _compiled(name, kind, dtypes)
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        target = binding.Target.from_default_triple().create_target_machine(jit=True)
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        _engines.append(engine)
        address = engine.get_function_address(symbol)
    if not address:
        raise RuntimeError(f"{name} holds no function {symbol}")
    return ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * (2 + POINTERS[kind]))(address)


@functools.cache
def _key() -> str:
    """What machine code follows from, beside sample types."""
    digest = hashlib.sha256()
    digest.update(f"{sys.platform} {version('numba')} {version('llvmlite')} {np.__version__}".encode())
    digest.update(f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}".encode())
    digest.update(repr([os.environ.get(name) for name in NUMBA_SETTINGS]).encode())
    for source in SOURCES:
        digest.update(Path(__file__).with_name(source).read_bytes())
    return digest.hexdigest()[:32]


def _folders() -> Iterator[Path]:
    """Where code is kept, in the order in which it is looked for."""
    yield Path(__file__).parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # nobody's home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaconv"


def _kept(name: str) -> tuple[str, bytes] | None:
    """The symbol and the object file, where a whole one is kept: digest, symbol, code, a line end after each
    of the first two."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            digest, _, rest = (folder / name).read_bytes().partition(b"\n")
            if hashlib.sha256(rest).hexdigest().encode() == digest:
                symbol, _, code = rest.partition(b"\n")
                return symbol.decode(), code
    return None


def _compiled(name: str, kind: str, dtypes: tuple[np.dtype, ...]) -> tuple[str, bytes]:
    """Compile, and keep what came out where that can be written; another process may do the same."""
    from mediaconv.compute.entries import machine_code

    symbol, code = machine_code(kind, dtypes)
    rest = f"{symbol}\n".encode() + code
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{name}.{secrets.token_hex(4)}"
            try:
                with part.open("xb") as file:
                    file.write(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
                os.replace(part, folder / name)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            break
    return symbol, code
