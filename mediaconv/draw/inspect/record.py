"""What is noted at every layer while files go through a stack: maps, statistics, kernels, sums."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.draw.inspect.budget import MAX_SHOWN, Scale
from mediaconv.draw.inspect.clip import Clip
from mediaconv.draw.inspect.excerpt import Port
from mediaconv.draw.inspect.follow import Visitor
from mediaconv.draw.inspect.kernel_maps import Kernels, is_convolution, kernels_of
from mediaconv.draw.inspect.model_operations import outputs_inside
from mediaconv.draw.inspect.sheets import Sheet, curve_sheet, picture_sheet, shrink
from mediaconv.draw.inspect.stats import Stats, measure
from mediaconv.draw.inspect.sums import Kept, Sums, plan_sums, take_apart
from mediaconv.draw.panels.describe import describe
from mediaconv.errors import UsageError
from mediaconv.nn.layers.containers import MERGES
from mediaconv.nn.streaming.protocol import layer_kind
from mediaconv.nn.summary.sliding import slides


@dataclass(eq=False)
class Node:
    """One place of the stack and what was noted there.

    kind: input, layer, block or normalize. source: the node whose output comes in.
    lengths: of the output of the first file, the part looked at; sizes: of every file. sheets: one a file.
    steps: for each file the step of every column of its sheet, in the layer's own steps of the whole file.
    paths: of a block, label and node.
    """

    id: int
    name: str
    title: str
    kind: str
    detail: str
    source: int | None
    channels: int
    lengths: tuple[int, ...]
    sizes: list[tuple[int, ...]]
    stride: Fraction
    parameters: int
    stats: Stats
    ranges: list[tuple[float, float]]
    sheets: list[Sheet]
    steps: list[list[int]]
    kernels: Kernels | None = None
    sums: list[Sums] = field(default_factory=list)
    paths: list[tuple[str, int]] = field(default_factory=list)
    merge: str = ""
    merge_difference: float = 0.0

    @property
    def shown(self) -> int:
        """Channels whose maps are shown: the first ones."""
        return min(self.channels, MAX_SHOWN)


@dataclass(frozen=True, eq=False)
class Flow:
    """What comes along: (1, C, ...) of every file, and the node that gave it."""

    tensors: list[Tensor]
    node: int
    port: Port


class Recorder(Visitor[Flow]):
    """Runs every layer over all files and notes what comes out.

    axes: of the pipeline. ticks: for each file the input steps that the page can stand at (film only).
    outline: the nodes in order, with ("enter", heading), ("path", label) and ("leave", "") around them.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        *,
        axes: int,
        ticks: Sequence[Sequence[Fraction]],
        ports: Mapping[str, Port],
        titles: Mapping[str, str],
        scale: Scale,
    ) -> None:
        self._clips, self._axes, self._ticks = clips, axes, ticks
        self._ports, self._titles, self._scale = ports, titles, scale
        self.nodes: list[Node] = []
        self.outline: list[tuple[str, str]] = []

    def start(self, port: Port) -> Flow:
        """The input itself, as the first node."""
        tensors = [clip.x for clip in self._clips]
        node = self._note("input", "input", "input", None, tensors, port, None)
        return Flow(tensors, node.id, port)

    def layer(self, name: str, module: nn.Module, x: Flow) -> Flow:
        tensors = _run(name, module, x.tensors)
        port = self._ports[name]
        self._inside(name, module, x)
        node = self._note(name, self._title(name, module), "layer", x.node, tensors, port, module)
        if is_convolution(module):
            self._apart(node, module, x.tensors, tensors, port)
        return Flow(tensors, node.id, port)

    def _apart(
        self, node: Node, module: nn.Module, before: list[Tensor], after: list[Tensor], port: Port
    ) -> None:
        """Note a convolution's kernels and sums."""
        node.kernels = kernels_of(module)
        plan = plan_sums(module, before[0], after[0], outputs=self._scale.outputs)
        for i, (x, y) in enumerate(zip(before, after, strict=True)):
            node.sums.append(take_apart(module, x, y, plan, partial(self._keep, i, port)))

    def _inside(self, name: str, module: nn.Module, x: Flow) -> None:
        """Note the operations of a captured model, in a block of their own before its output."""
        ids = {"": x.node}
        for outputs in outputs_inside(module, x.tensors):
            operation, layer = outputs.operation, outputs.convolution
            full = f"{name}.{operation.name}"
            if full not in self._ports:
                continue
            if len(ids) == 1:
                self.outline.append(("enter", f"{self._title(name, module)} {name}: its operations"))
            source = next((ids[n] for n in operation.sources if n in ids), None)
            known = layer or outputs.activation
            port = self._ports[full]
            node = self._note(full, operation.title, "layer", source, outputs.values, port, known)
            ids[operation.name] = node.id
            if layer is not None and outputs.given is not None:
                self._apart(node, layer, outputs.given, outputs.values, port)
        if len(ids) > 1:
            self.outline.append(("leave", ""))

    def enter(self, name: str, module: mnn.Branches, x: Flow) -> None:
        self.outline.append(("enter", f"{self._title(name, module)} {name}: its paths"))

    def enter_path(self, name: str, part: str, x: Flow) -> None:
        self.outline.append(("path", _path_label(part)))

    def merge(self, name: str, module: mnn.Branches, x: Flow, parts: list[Flow]) -> Flow:
        tensors = _run(name, _Merge(module.merge), *(p.tensors for p in parts))
        self.outline.append(("leave", ""))
        port = self._ports[name]
        node = self._note(name, self._title(name, module), "block", x.node, tensors, port, module)
        for (part, _), flow in zip(module.parts(), parts, strict=True):
            same = " (what comes in, unchanged)" if flow.node == x.node else ""
            node.paths.append((_path_label(part) + same, flow.node))
        node.merge = module.merge
        node.merge_difference = max(
            _merge_difference(module.merge, [p.tensors[i] for p in parts], y) for i, y in enumerate(tensors)
        )
        return Flow(tensors, node.id, port)

    def finish(self, name: str, tensors: list[Tensor], x: Flow, normalizer: Any) -> None:
        """The normalizer's output, as the last node."""
        self._note(name, name, "normalize", x.node, tensors, x.port, normalizer)

    def _title(self, name: str, module: nn.Module) -> str:
        return self._titles.get(name, layer_kind(module))

    def _note(
        self,
        name: str,
        title: str,
        kind: str,
        source: int | None,
        tensors: list[Tensor],
        port: Port,
        module: Any,
    ) -> Node:
        if any(0 in t.shape for t in tensors):
            ways = "" if getattr(module, "trained", False) else ", or padding: same"
            raise UsageError(f"layer {name}: this input leaves no output; give a longer part{ways}")
        seen = [self._looked_at(t, i, port) for i, t in enumerate(tensors)]
        stats = measure([t for t, _ in seen], module)
        ranges = list(zip(stats.low.tolist(), stats.high.tolist(), strict=True))[:MAX_SHOWN]
        sheets, steps = [], []
        for i, (t, first) in enumerate(seen):
            columns = self._columns(i, port, first, t)
            steps.append([first + c for c in columns])
            sheets.append(self._sheet(t[0, :MAX_SHOWN], columns, ranges))
        weights = module.parameters() if isinstance(module, nn.Module) and kind == "layer" else ()
        node = Node(
            id=len(self.nodes),
            name=name,
            title=title,
            kind=kind,
            detail=_detail(module) if kind == "layer" and isinstance(module, nn.Module) else "",
            source=source,
            channels=tensors[0].shape[1],
            lengths=tuple(seen[0][0].shape[2:]),
            sizes=[tuple(t.shape[2:]) for t, _ in seen],
            stride=port.stride,
            parameters=sum(p.numel() for p in weights),
            stats=stats,
            ranges=ranges,
            sheets=sheets,
            steps=steps,
        )
        self.nodes.append(node)
        self.outline.append(("node", str(node.id)))
        return node

    def _timed(self, t: Tensor) -> bool:
        """Whether axis 0 of a map is the time that is looked at in part."""
        return self._axes != 2 and t.ndim == self._axes + 2

    def _looked_at(self, t: Tensor, file: int, port: Port) -> tuple[Tensor, int]:
        """The part of an output that is looked at, and the number of its first step in the whole file."""
        if not self._timed(t):
            return t, 0
        clip = self._clips[file]
        offset = int(clip.first / port.stride)
        low = min(math.floor(clip.start / port.stride) - offset, t.shape[2] - 1)
        high = min(max(math.ceil(clip.stop / port.stride) - offset, low + 1), t.shape[2])
        return t[:, :, low:high], offset + low

    def _columns(self, file: int, port: Port, first: int, t: Tensor) -> list[int]:
        """Steps of the part that the page shows: at each tick the last output at or before it."""
        if self._axes != 3 or t.ndim != 5:
            return [0]
        last = t.shape[2] - 1
        return sorted(
            {min(max(0, math.floor(tick / port.stride) - first), last) for tick in self._ticks[file]}
        )

    def _sheet(self, maps: Tensor, columns: Sequence[int], ranges: Sequence[tuple[float, float]]) -> Sheet:
        data = maps.numpy()
        if data.ndim == 2:
            return curve_sheet(list(data), ranges)
        if data.ndim == 3:
            data = data[:, None]
        return picture_sheet([[m[c] for c in columns] for m in data], ranges, side=self._scale.side)

    def _keep(self, file: int, port: Port, one: Tensor) -> Kept:
        """What the page shows of one channel's map (...): the same part and steps as of the whole layer."""
        t, first = self._looked_at(one[None, None], file, port)
        data = t[0, 0].numpy()
        if data.ndim == 1:
            return Kept(data[None].copy(), data[len(data) // 2 :][:1].astype(np.float64))
        if data.ndim == 2:
            data = data[None]
        pictures = [data[c] for c in self._columns(file, port, first, t)]
        h, w = data.shape[1:]
        return Kept(
            np.stack([shrink(p, self._scale.sums_side) for p in pictures]),
            np.array([p[h // 2, w // 2] for p in pictures], np.float64),
        )


class _Merge(nn.Module):
    """A block's merging alone."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = MERGES[how]

    def forward(self, *parts: Tensor) -> Tensor:
        return self._how(parts)


def _run(name: str, module: nn.Module, *inputs: Sequence[Tensor]) -> list[Tensor]:
    try:
        with torch.no_grad():
            return [module(*each) for each in zip(*inputs, strict=True)]
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"layer {name}: this input does not fit it: {error}") from error


def _merge_difference(how: str, parts: Sequence[Tensor], y: Tensor) -> float:
    """Largest difference between a block's output and its paths' outputs merged in float64."""
    merged = MERGES[how]([p.double() for p in parts])
    return float((merged - y.double()).abs().max())


def _path_label(part: str) -> str:
    head, _, number = part.partition(".")
    return f"path {number}" if head == "branches" else head


def _detail(module: nn.Module) -> str:
    if slides(module):
        return " · ".join(describe(module))
    inside = module.extra_repr()
    return f"{layer_kind(module)}({inside})" if inside else layer_kind(module)
