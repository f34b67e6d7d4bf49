"""What follows from a module's structure alone: whether any layer, or edge of its graph, reads a later input.

Runs nothing but what capturing a module takes; `trial` measures.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mediaconv.compare.prove.function_reads.time_budget import STRUCTURE_SECONDS, seconds_each
from mediaconv.compare.prove.module_proof.lengths import MOST_BYTES, ProbeShape, call_bytes, needed_length
from mediaconv.compare.prove.module_proof.trial import all_known
from mediaconv.compare.prove.precision.arithmetic import survey
from mediaconv.nn import to_streaming
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.streaming.protocol import axis_map, leaves
from mediaconv.nn.summary.channel_reads import reads_map
from mediaconv.nn.summary.dependence import streams
from mediaconv.nn.summary.receptive_field import exact_copy

CAPTURED_STEPS = 24
"""Of the input by which a module is captured, where it takes it: capturing takes longer the longer it is."""
FEW_STEPS = 4
"""The same of a module of which each step is slow."""
KNOWN_ROOMS = ("mediaconv.nn.layers.", "mediaconv.nn.streaming.", "torch.nn.")
"""Where layers stand of which it is known what they read."""


def by_layers(module: nn.Module, probed: ProbeShape) -> bool:
    """Whether every layer is one whose reads are known, and none reads later in the order."""
    try:
        streaming = module if streams(module) else to_streaming(module)
        return all(_known(layer) for layer in _every(streaming)) and _never_ahead(streaming, probed)
    except (TypeError, ValueError):
        return False


def by_graph(module: nn.Module, probed: ProbeShape, shape: Sequence[int]) -> bool:
    """Whether a module of any kind can be captured as a graph of which no edge reads later in the order.

    shape: (C, ...) of an input that it takes. A graph that holds under conditions on lengths proves nothing
    of other lengths; nor would one for each: which way it goes tells an output of the length, which is later.
    """
    function, x = exact_copy(module), torch.zeros(1, *shape, dtype=torch.float64)
    slow = seconds_each(function, x) > STRUCTURE_SECONDS
    return (slow and _by_graph(module, probed, shape, FEW_STEPS)) or _by_graph(
        module, probed, shape, CAPTURED_STEPS
    )


def _by_graph(module: nn.Module, probed: ProbeShape, shape: Sequence[int], steps: int) -> bool:
    sizes = [min(n, steps) if a == 1 + probed.order_axes[0] else n for a, n in enumerate(shape)]
    generator = torch.Generator().manual_seed(8)
    x, longer = (torch.randn((1, *s), generator=generator, dtype=torch.float64) for s in (sizes, shape))
    try:
        if _calls(module, longer) > 2 * _calls(module, x):
            return False  # a loop over the steps, which a graph cannot hold, and which takes long to capture
        if survey(exact_copy(module), x).attends:
            return False  # every output of an attention may read every input
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = to_streaming(exact_copy(module), example=x, axis=probed.order_axes[0])
        return all(_known(layer) for layer in _every(graph)) and _never_ahead(graph, probed)
    except Exception:  # a stranger's module may raise anything while it is captured
        return False


def _calls(module: nn.Module, x: Tensor) -> int:
    """How many functions of torch a module calls by itself."""
    count = 0

    class Counting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal count
            count += 1
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Counting():
        exact_copy(module)(x)
    return count


def too_large(module: nn.Module, probed: ProbeShape) -> bool:
    """Whether a module of known layers would take too much memory to be tried where its outputs read all."""
    try:
        streaming = module if streams(module) else to_streaming(module)
        if not all_known(streaming):
            return False
        return call_bytes(streaming, probed, needed_length(streaming, probed)) > MOST_BYTES
    except (TypeError, ValueError):
        return False


def formula_ahead(module: nn.Module, probed: ProbeShape) -> tuple[int | None, int]:
    """Steps ahead by formula on the first axis of the order on which there are any, and that axis."""
    streaming = module if streams(module) else to_streaming(module)
    if _never_ahead(streaming, probed):
        return 0, probed.order_axes[0]
    for axis in probed.order_axes:
        ahead = axis_map(streaming, axis).latency
        if ahead:
            return None if math.isinf(ahead) else int(ahead), axis
    return 0, probed.order_axes[0]


def _never_ahead(module: nn.Module, probed: ProbeShape) -> bool:
    if len(probed.order_axes) == 1:  # a layer that pads may make up for one that reads ahead
        return reads_map([module], probed.order_axes[0], probed.channels).latency == 0
    return all(
        getattr(layer, "mode", "") == "raster"
        or all(axis_map(layer, axis).latency == 0 for axis in probed.order_axes)
        for _, layer in leaves(module)
    )


def _every(module: nn.Module) -> Iterator[nn.Module]:
    """A module and all inside it; a captured one is looked at as its graph, not by its parts."""
    yield module
    if not isinstance(module, StreamingGraph):
        for child in module.children():
            yield from _every(child)


def _known(module: nn.Module) -> bool:
    if isinstance(module, StreamingGraph):
        return not module.conditions().all
    return type(module).__module__.startswith(KNOWN_ROOMS)
