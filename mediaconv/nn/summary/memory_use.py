"""What a stack's layers really hold in memory: run once over zeros, and once more as a stream."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.copying import copy_module
from mediaconv.nn.streaming.protocol import axis_map, init_state, parts_of, step
from mediaconv.nn.streaming.state import State

_MOST_MULTIPLY_ADDS = 4 * 10**9
_MOST_VALUES = 32 * 2**20
"""A run larger than either of these is not made: it would take seconds, or a gigabyte."""
_STEPS = 16
"""Chunks of one step in which a full stream is observed."""


@dataclass(frozen=True)
class Measured:
    """Bytes by name of the layer ("" is the whole stack): of each output, and of what each stream holds."""

    activations: dict[str, int]
    state: dict[str, int]


def measure(stack: nn.Module, shape: Sequence[int], cost: int, largest: int) -> Measured | None:
    """Run float32 zeros of `shape`, (C, ...), through the stack; None where that is too much.

    cost: multiply-adds of the run. largest: values of the largest layer's output.
    """
    if cost > _MOST_MULTIPLY_ADDS or largest > _MOST_VALUES:
        return None
    stack = copy_module(stack).cpu().float().eval()
    named = list(_named(stack, ""))
    x = torch.zeros(1, *shape)
    with torch.inference_mode():
        return Measured(_activations(stack, named, x), _states(stack, [name for name, _ in named], x))


def _activations(stack: nn.Module, named: Sequence[tuple[str, nn.Module]], x: Tensor) -> dict[str, int]:
    bytes_of: dict[str, int] = {}

    uses: dict[nn.Module, list[str]] = {}
    for name, module in named:
        uses.setdefault(module, []).append(name)

    def hook(names: Sequence[str]) -> Any:
        call = itertools.cycle(names)  # a module that stands twice is called in the order of its names

        def note(module: nn.Module, args: tuple, output: Tensor) -> None:
            bytes_of[next(call)] = output.numel() * output.element_size()

        return note

    handles = [module.register_forward_hook(hook(names)) for module, names in uses.items()]
    try:
        stack(x)
    finally:
        for handle in handles:
            handle.remove()
    return bytes_of


def _states(stack: nn.Module, names: Sequence[str], x: Tensor) -> dict[str, int]:
    """The most that each layer's state held after any chunk: one that fills the stream, then single steps."""
    held = init_state(stack, 0)
    field = axis_map(stack, 0).receptive_field
    bytes_of = dict.fromkeys(names, 0)
    length = x.shape[2]
    fill = length if math.isinf(field) else int(field)
    start = max(0, min(fill, length - _STEPS))
    for begin, end in [(0, start), *((i, i + 1) for i in range(start, min(length, start + _STEPS)))]:
        step(stack, x[:, :, begin:end], held, axis=0, last=False)
        for name, count in _state_bytes(stack, held, ""):
            bytes_of[name] = max(bytes_of[name], count)
    return bytes_of


def _named(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    yield name, module
    for part, child in parts_of(module):
        yield from _named(child, f"{name}.{part}" if name else part)


def _state_bytes(module: nn.Module, state: State, name: str) -> Iterator[tuple[str, int]]:
    """Bytes of each layer's own tensors. A layer that keeps no tree of states gives its first part's."""
    parts = parts_of(module)
    whose = bool(parts) and not state.children
    own = sum(t.numel() * t.element_size() for t in state.tensors.values() if t is not None)
    yield name, 0 if whose else own
    for n, (part, child) in enumerate(parts):
        path = f"{name}.{part}" if name else part
        if n < len(state.children):
            yield from _state_bytes(child, state.children[n], path)
        elif whose and n == 0:
            yield from _state_bytes(child, state, path)
