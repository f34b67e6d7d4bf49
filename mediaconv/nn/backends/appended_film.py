"""Film that is channels last and comes frame by frame, appended to the frames before it in memory with room.

To join anew for every frame is to copy as many frames as a window reads, and as many again for the tail that
is kept. Here a frame is copied once, and what lies before it is moved only when the room is used up; by one
thread, since on a busy machine two wait for each other in every copy for longer than it takes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mediaconv.nn.backends.large_pages import empty
from mediaconv.nn.backends.memory_layout import memory_format

MOST_ROOM = 2**26
"""Bytes of room behind a tail: where frames are larger than a part of it, their sums outweigh copies."""


def appended(before: Tensor, x: Tensor, reach: int) -> Tensor | None:
    """`before` and `x` as one tensor, (1, C, T, H, W); None where they are better joined otherwise.

    before: nobody else's memory: what lies around its frames is overwritten. reach: frames that a window
    reads; chunks that are longer are no longer made of copies, mostly.
    """
    frames, more = before.shape[2], x.shape[2]
    room = min(2 * (reach - 1), MOST_ROOM // max(1, x.nbytes // max(1, more)))
    recorded = torch.is_grad_enabled()  # gradients of weights read what was held at each push
    if not 0 < more < reach or more > room or recorded or x.shape[0] > 1 or before.dtype != x.dtype:
        return None
    if not x.is_cpu or torch.compiler.is_compiling() or memory_format(x) != torch.channels_last_3d:
        return None
    held = _in_room(before, more) if frames and memory_format(before) == torch.channels_last_3d else None
    if held is None:
        shape = (1, x.shape[1], frames + room, *x.shape[3:])
        held = empty(shape, x.dtype, torch.channels_last_3d)[:, :, : frames + more]
        held[:, :, :frames] = before
    _copy(held, x, frames)
    return held


def _copy(held: Tensor, part: Tensor, first: int) -> None:
    """Write frames from `first` on, as bytes: NumPy knows not all of torch's types."""
    place = held[:, :, first : first + part.shape[2]]
    to, given = (v.detach().movedim(1, -1).view(torch.uint8).numpy() for v in (place, part))
    np.copyto(to, given)


def _in_room(before: Tensor, more: int) -> Tensor | None:
    """The memory of `before` and of `more` frames behind it, or the same moved to where its memory begins."""
    if before.is_inference() and not torch.is_inference_mode_enabled():
        return None  # torch lets no one write to it
    frames, frame = before.shape[2], before.stride(2)
    at, end = before.storage_offset(), before.untyped_storage().nbytes() // before.element_size()
    shape = (1, before.shape[1], frames + more, *before.shape[3:])
    if at + (frames + more) * frame <= end:
        return before.as_strided(shape, before.stride(), at)
    if at < frames * frame:
        return None  # moved, it would overwrite itself
    held = before.as_strided(shape, before.stride(), 0)
    _copy(held, before, 0)
    return held
