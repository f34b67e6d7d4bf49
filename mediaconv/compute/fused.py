"""Few-channel convolution of film and images on a CPU in one pass a layer: `fused_step`.

Stands in for the general path (`TorchStep` in mediaconv.compute.step) where a stack is a chain of zero-padded
convolutions and plain activations in float32. Outputs are the same bits for any chunks and any number of
threads. This module strings the layers together and divides the work among threads; not for sound.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from mediaconv.compute import loops as k
from mediaconv.compute.finish import NOT_FINITE, as_arrays, kernel_functions, kernel_quantum
from mediaconv.compute.fused_layers import Convolution, LayerStream, read_stack
from mediaconv.compute.normalize import Normalizer
from mediaconv.errors import ComputeError
from mediaconv.media.samples import SampleFormat


class FusedStep:
    """A chain of convolutions over one input, chunk by chunk; the same interface as TorchStep.

    clipped: values so far that lay outside the signal's range by more than half a quantum.
    """

    def __init__(
        self,
        chain: list[Convolution],
        *,
        normalizer: Normalizer,
        sample_format: SampleFormat,
        scale: float,
        threads: int,
    ) -> None:
        self.clipped = 0
        self._chain, self._scale, self._format = chain, scale, sample_format
        self._finish = kernel_functions(normalizer)
        self._quantum = kernel_quantum(sample_format, normalizer)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._layers: list[LayerStream] = []
        self._lines: list[list[np.ndarray]] = []
        self._like: np.ndarray | None = None

    def push(self, raw: np.ndarray) -> np.ndarray:
        """Take raw samples (n, ..., C), n frames or rows; quantized samples (C', n', ...)."""
        height = 1 if raw.ndim == 3 else raw.shape[1]
        frames = raw.reshape(raw.shape[0], height, raw.shape[-2] * raw.shape[-1])
        if self._like is None:
            self._like = raw[:0]
            self._start(raw)
        ring, begin = self._layers[0].reserve(len(frames), raw.dtype)
        before_end = min(len(frames), len(ring) - begin)
        ring[begin : begin + before_end] = frames[:before_end]
        ring[: len(frames) - before_end] = frames[before_end:]
        return self._run(last=False)

    def flush(self) -> np.ndarray:
        """End the input; the samples that waited for more of it."""
        if self._like is None:
            raise ValueError("nothing was pushed: a stream learns its shape from the first chunk")
        out = self._run(last=True)
        if self._pool is not None:
            self._pool.shutdown()
        return out

    def _start(self, raw: np.ndarray) -> None:
        *_, width, channels = raw.shape
        height = 1 if raw.ndim == 3 else raw.shape[1]
        if channels != self._chain[0].in_channels:
            raise ComputeError(
                f"the input has {channels} channels, the stack takes {self._chain[0].in_channels}"
            )
        scale = self._scale
        for conv in self._chain:
            layer = LayerStream(conv, height, width, interleaved=not self._layers, scale=scale)
            self._layers.append(layer)
            self._lines.append([layer.lines() for _ in range(self._threads)])
            height, width, scale = layer.height, layer.width, 1.0

    def _run(self, *, last: bool) -> np.ndarray:
        for index, layer in enumerate(self._layers[:-1]):
            count = layer.ready(last=last)
            after = self._layers[index + 1]
            ring, begin = after.reserve(count, np.dtype(np.float32))
            row = layer.conv.out_channels * layer.width
            self._compute(index, count, ring, (begin, len(ring)), (layer.height * row, row, layer.width))
            layer.advance(count)
        layer = self._layers[-1]
        count = layer.ready(last=last)
        out = np.empty((layer.conv.out_channels, count, layer.height, layer.width), self._format.dtype)
        plane = layer.height * layer.width
        self._compute(len(self._layers) - 1, count, out, (0, count), (plane, layer.width, count * plane))
        layer.advance(count)
        flat = self._like is not None and self._like.ndim == 3
        return out[:, :, 0] if flat else out

    def _compute(
        self,
        index: int,
        count: int,
        out: np.ndarray,
        out_ring: tuple[int, int],
        strides: tuple[int, int, int],
    ) -> None:
        """Outputs of one layer into `out`, each thread a band of rows (of an image: of the stream axis)."""
        layer = self._layers[index]
        if count == 0:
            return
        functions = list(layer.conv.functions)
        final = layer is self._layers[-1]
        checked = len(functions) if final else -1
        functions += self._finish if final else []
        codes, parameters = as_arrays(functions)
        source, ring, first = layer.source()

        def work(band: tuple[tuple[int, int, int, int], np.ndarray]) -> tuple[bool, int]:
            area, lines = band
            return k.conv_band(
                source, ring, layer.scale, layer.layer, first, area, layer.taps, layer.weights, layer.groups,
                codes, parameters, checked, self._quantum if final else k.UNROUNDED, lines,
                out.reshape(-1), out_ring, strides,
            )  # fmt: skip

        bands = list(zip(_divide(count, layer.height, self._threads), self._lines[index], strict=False))
        results = list(map(work, bands) if self._pool is None else self._pool.map(work, bands))
        if not all(finite for finite, _ in results):
            raise ComputeError(NOT_FINITE)
        self.clipped += sum(clipped for _, clipped in results)


def can_fuse(module: nn.Module) -> bool:
    """Whether this stack is of the fused step's kind and this CPU has what it takes."""
    return k.SUPPORTED and read_stack(module) is not None


def fused_step(
    module: nn.Module,
    *,
    normalizer: Normalizer,
    sample_format: SampleFormat,
    scale: float,
    threads: int | None = None,
) -> FusedStep | None:
    """A fused step for this stack, or None if it is not of the kind (see `read_stack`) or of the format.

    scale: raw samples divided by it are the stack's input. threads: default as torch's.
    """
    chain = read_stack(module)
    if chain is None or not k.SUPPORTED or (sample_format.bits > 16 and not sample_format.floating):
        return None
    return FusedStep(
        chain,
        normalizer=normalizer,
        sample_format=sample_format,
        scale=scale,
        threads=torch.get_num_threads() if threads is None else threads,
    )


def _divide(frames: int, rows: int, parts: int) -> list[tuple[int, int, int, int]]:
    """Up to `parts` areas (t0, t1, y0, y1) that cover all outputs: bands of rows where there are enough."""
    along_rows = rows >= parts
    total = rows if along_rows else frames
    parts = min(parts, total)
    cuts = [total * i // parts for i in range(parts + 1)]
    return [(0, frames, a, b) if along_rows else (a, b, 0, rows) for a, b in pairwise(cuts)]
