"""Sequences of tensors: those of one shape each are kept as one tensor, however many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, as_array, ints, operator


class Stacked(list):
    """A sequence of tensors of one shape as one tensor, the sequence first: as many as the stream has."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.tensor = tensor


@operator("SequenceEmpty")
def sequence_empty(node: Node) -> list[Any]:
    return [[]]


@operator("SplitToSequence", host=(1,))
def split_to_sequence(node: Node, x: Tensor, sizes: Any = None) -> list[Any]:
    axis = node.get("axis", 0) % x.ndim
    # onnxruntime, and torch's exports, take keepdims for parts of one position however they are stated
    if sizes is None or (sizes.ndim == 0 and int(sizes) == 1):
        parts = x.movedim(axis, 0)
        return [Stacked(parts.unsqueeze(1 + axis) if node.get("keepdims", 1) else parts)]
    lengths = int(sizes) if sizes.ndim == 0 else ints(sizes)
    return [list(x.split(lengths, axis))]


@operator("SequenceAt", host=(1,))
def sequence_at(node: Node, sequence: list[Tensor], position: Any) -> Tensor:
    return sequence.tensor[int(position)] if isinstance(sequence, Stacked) else sequence[int(position)]


@operator("SequenceLength")
def sequence_length(node: Node, sequence: list[Tensor]) -> np.ndarray:
    return as_array(sequence.tensor.shape[0] if isinstance(sequence, Stacked) else len(sequence))


@operator("SequenceConstruct")
def sequence_construct(node: Node, *values: Tensor) -> list[list[Tensor]]:
    return [list(values)]


@operator("SequenceInsert", host=(2,))
def sequence_insert(node: Node, sequence: list[Tensor], value: Tensor, position: Any = None) -> list[Any]:
    if isinstance(sequence, Stacked):
        raise node.refuse("puts something into a list that is as long as the stream")
    at = len(sequence) if position is None else int(position)
    return [[*sequence[:at], value, *sequence[at:]]]


@operator("ConcatFromSequence")
def concat_from_sequence(node: Node, sequence: list[Tensor]) -> Tensor:
    axis = node.attributes["axis"]
    if not isinstance(sequence, Stacked):
        return torch.stack(sequence, axis) if node.get("new_axis", 0) else torch.cat(sequence, axis)
    parts = sequence.tensor
    if node.get("new_axis", 0):
        return parts.movedim(0, axis)
    axis %= parts.ndim - 1
    return parts.movedim(0, axis).flatten(axis, axis + 1)
