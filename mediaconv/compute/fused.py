"""Few-channel convolution of film and images on a CPU in one pass a layer: `fused_plan`.

Stands in for the general path (`TorchStep` in mediaconv.compute.step) where a stack is a chain of zero-padded
convolutions and plain activations in float32. Outputs are the same bits for any chunks and any number of
threads. This module strings the layers together and divides the work among threads; not for sound.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from mediaconv.compute import kernel_types as k
from mediaconv.compute import native
from mediaconv.compute.finish import NOT_FINITE, as_arrays, kernel_functions, kernel_quantum
from mediaconv.compute.fused_layers import Convolution, LayerPlan, LayerStream, read_stack
from mediaconv.compute.normalize import Normalizer
from mediaconv.counted import counted
from mediaconv.errors import ComputeError
from mediaconv.media.samples import SampleFormat
from mediaconv.nn.backends.small_work import FEW_FOR_A_POOL
from mediaconv.side_by_side import SideBySide

BANDS_A_THREAD = 4
"""A thread whose core is busy takes fewer of them, and the others more."""
PLANS = 8
"""Sizes of frames whose plans are kept."""


class FusedPlan:
    """What steps over many inputs share: the chain, each layer's plan by the frames' size, the threads.

    normalizer: its range may change between inputs; a step reads it when it begins.
    threads: default as torch's when a step begins.
    """

    def __init__(
        self,
        chain: list[Convolution],
        *,
        normalizer: Normalizer,
        sample_format: SampleFormat,
        scale: float,
        threads: int | None = None,
    ) -> None:
        self.chain, self.normalizer, self.format = chain, normalizer, sample_format
        self.scale = np.float32(scale)
        self.quantum = kernel_quantum(sample_format, normalizer)
        self._threads = threads
        self._layers: dict[tuple[int, int], list[LayerPlan]] = {}
        self._workers: SideBySide | None = None

    def step(self) -> FusedStep:
        """A fresh pass over one input."""
        return FusedStep(self, torch.get_num_threads() if self._threads is None else self._threads)

    def layers(self, height: int, width: int) -> list[LayerPlan]:
        """The plans for frames of that size, made once. Raises ComputeError where nothing would be left."""
        plans = self._layers.get((height, width))
        if plans is None:
            plans, size = [], (height, width)
            for conv in self.chain:
                plans.append(LayerPlan(conv, *size, interleaved=not plans))
                size = plans[-1].height, plans[-1].width
            if len(self._layers) >= PLANS:
                self._layers.pop(next(iter(self._layers)))
            self._layers[height, width] = plans
        return plans

    def map(self, work: Callable[[Any], Any], bands: list[Any], threads: int) -> list[Any]:
        """Every band's work, side by side where there are several; the threads stay for later steps."""
        if len(bands) == 1:
            return [work(bands[0])]
        if self._workers is None or self._workers.threads != threads:
            self._workers = SideBySide(threads, "compute")
        return self._workers.map(work, bands)


class FusedStep:
    """A chain of convolutions over one input, chunk by chunk; the same interface as TorchStep.

    clipped: values so far that lay outside the signal's range by more than half a quantum.
    """

    def __init__(self, plan: FusedPlan, threads: int) -> None:
        self.clipped = 0
        self._plan, self._threads = plan, threads
        self._finish = kernel_functions(plan.normalizer)
        self._layers: list[LayerStream] = []
        self._lines: list[list[np.ndarray]] = []
        self._functions: list[tuple[np.ndarray, np.ndarray, int, Any]] = []
        self._like: np.ndarray | None = None

    def push(self, raw: np.ndarray) -> np.ndarray:
        """Take raw samples (n, ..., C), n frames or rows; quantized samples (C', n', ...)."""
        self._take(raw)
        return self._run(last=False)

    def flush(self) -> np.ndarray:
        """End the input; the samples that waited for more of it."""
        if self._like is None:
            raise ValueError("nothing was pushed: a stream learns its shape from the first chunk")
        return self._run(last=True)

    def whole(self, raw: np.ndarray) -> np.ndarray:
        """An input that is one chunk: the same samples as `push` and `flush` give, in one pass."""
        self._take(raw)
        return self._run(last=True)

    def _take(self, raw: np.ndarray) -> None:
        height = 1 if raw.ndim == 3 else raw.shape[1]
        frames = raw.reshape(raw.shape[0], height, raw.shape[-2] * raw.shape[-1])
        if self._like is None:
            self._start(raw)
            self._like = raw[:0]
        ring, begin = self._layers[0].reserve(len(frames), raw.dtype)
        before_end = min(len(frames), len(ring) - begin)
        ring[begin : begin + before_end] = frames[:before_end]
        ring[: len(frames) - before_end] = frames[before_end:]

    def _start(self, raw: np.ndarray) -> None:
        *_, width, channels = raw.shape
        height = 1 if raw.ndim == 3 else raw.shape[1]
        takes = self._plan.chain[0].in_channels
        if channels != takes:
            raise ComputeError(f"the input has {counted(channels, 'channel')}, the stack takes {takes}")
        plans = self._plan.layers(height, width)
        for plan in plans:
            final = plan is plans[-1]
            functions = [*plan.conv.functions, *(self._finish if final else [])]
            checked, quantum = (len(plan.conv.functions), self._plan.quantum) if final else (-1, k.UNROUNDED)
            self._functions.append((*as_arrays(functions), checked, quantum))
            self._layers.append(LayerStream(plan))
            self._lines.append([])

    def _run(self, *, last: bool) -> np.ndarray:
        for index, layer in enumerate(self._layers[:-1]):
            count = layer.ready(last=last)
            after = self._layers[index + 1]
            ring, begin = after.reserve(count, np.dtype(np.float32))
            plan = layer.plan
            row = plan.conv.out_channels * plan.width
            self._compute(index, count, ring, (begin, len(ring)), (plan.height * row, row, plan.width))
            layer.advance(count)
        layer = self._layers[-1]
        count, plan = layer.ready(last=last), layer.plan
        out = np.empty((plan.conv.out_channels, count, plan.height, plan.width), self._plan.format.dtype)
        plane = plan.height * plan.width
        self._compute(len(self._layers) - 1, count, out, (0, count), (plane, plan.width, count * plane))
        layer.advance(count)
        if last:
            for layer, lines in zip(self._layers, self._lines, strict=True):
                layer.plan.keep(lines)
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
        """Outputs of one layer into `out`: threads take bands of rows (of an image: of the stream axis)."""
        if count == 0:
            return
        layer, plan, lines = self._layers[index], self._layers[index].plan, self._lines[index]
        codes, parameters, checked, quantum = self._functions[index]
        source, ring, first = layer.source()
        scale = self._plan.scale if index == 0 else np.float32(1)

        bands = native.ConvBands(
            source, ring, scale, plan.layer, first, plan.taps, plan.weights, plan.groups, codes, parameters,
            checked, quantum, out.reshape(-1), out_ring, strides,
        )  # fmt: skip
        spread = self._threads > 1 and count * plan.products > FEW_FOR_A_POOL
        areas = _divide(count, plan.height, self._threads * BANDS_A_THREAD if spread else 1)
        while len(lines) < len(areas):
            lines.append(plan.lines())
        results = self._plan.map(lambda b: bands(*b), list(zip(areas, lines, strict=False)), self._threads)
        if not all(finite for finite, _ in results):
            raise ComputeError(NOT_FINITE)
        self.clipped += sum(clipped for _, clipped in results)


def can_fuse(module: nn.Module) -> bool:
    """Whether this stack is of the fused step's kind and this CPU has what it takes."""
    return k.SUPPORTED and read_stack(module) is not None


def fused_plan(
    module: nn.Module,
    *,
    normalizer: Normalizer,
    sample_format: SampleFormat,
    scale: float,
    threads: int | None = None,
) -> FusedPlan | None:
    """Fused steps for this stack, or None if it is not of the kind (see `read_stack`) or of the format.

    scale: raw samples divided by it are the stack's input. threads: default as torch's.
    """
    chain = read_stack(module)
    if chain is None or not k.SUPPORTED or (sample_format.bits > 16 and not sample_format.floating):
        return None
    return FusedPlan(chain, normalizer=normalizer, sample_format=sample_format, scale=scale, threads=threads)


def _divide(frames: int, rows: int, parts: int) -> list[tuple[int, int, int, int]]:
    """Up to `parts` areas (t0, t1, y0, y1) that cover all outputs: bands of rows where there are enough."""
    along_rows = rows >= parts
    total = rows if along_rows else frames
    parts = min(parts, total)
    cuts = [total * i // parts for i in range(parts + 1)]
    return [(0, frames, a, b) if along_rows else (a, b, 0, rows) for a, b in pairwise(cuts)]
