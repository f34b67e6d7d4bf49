"""Items of one batch that begin anew at different times, while the batch goes on in step.

Items that began together are a group: a state of their own, their indices, and a queue of outputs that the
other groups are not ready for. A stream that never resets an item has one group without indices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mediaconv.nn.streaming.protocol import init_state, step
from mediaconv.nn.streaming.state import State


def item_indices(items: Sequence[int] | Tensor, batch: int) -> Tensor:
    """Sorted, unique indices of batch items from indices or a mask. Raises ValueError out of range."""
    indices = torch.as_tensor(items)
    if indices.dtype == torch.bool:
        if indices.shape != (batch,):
            raise ValueError(f"items: got a mask of shape {tuple(indices.shape)}, expected ({batch},)")
        return indices.nonzero()[:, 0]
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= batch):
        raise ValueError(f"items: got {indices.tolist()}, expected indices from 0 to {batch - 1}")
    return indices.reshape(-1).long().unique()


def fresh_group(module: nn.Module, axis: int) -> State:
    """The state of items that have received nothing."""
    return State([init_state(module, axis)])


def restart_items(module: nn.Module, state: State, chosen: Tensor, axis: int, output_start: int) -> None:
    """Move the chosen items into a group that begins anew.

    output_start: the output, counted from the stream's begin, that becomes their first one. Outputs before
    it that were not given yet are what the old input still gives when it is ended here.
    Raises ValueError where outputs past `output_start` were given already.
    """
    like = state.tensors["like"]
    pending = output_start - state.counts["emitted"]
    if like is None or pending < 0:
        raise ValueError("items cannot be reset here: outputs of their new input would lie in the past")
    chosen = chosen.to(like.device)
    groups: list[State] = []
    endings: list[tuple[Tensor, Tensor]] = []
    for group in state.children:
        items = group.tensors.get("items")
        items = torch.arange(like.shape[0], device=like.device) if items is None else items
        ends = torch.isin(items, chosen)
        for part, ended in ((~ends).nonzero()[:, 0], False), (ends.nonzero()[:, 0], True):
            if len(part):
                moved = group.select(part) if "items" in group.tensors else _with_items(group, items, part)
                if ended:
                    endings.append((items[part], _ending(module, moved, like[items[part]], axis, pending)))
                else:
                    groups.append(moved)
    fresh = fresh_group(module, axis)
    order = torch.cat([items for items, _ in endings])
    fresh.tensors["items"] = order
    if pending:
        fresh.tensors["queue"] = torch.cat([ending for _, ending in endings])
    state.children = [*groups, fresh]
    state.counts["groups"] = len(state.children)


def _with_items(group: State, items: Tensor, part: Tensor) -> State:
    moved = group.select(part)
    moved.tensors["items"] = items[part]
    return moved


def _ending(module: nn.Module, group: State, like: Tensor, axis: int, pending: int) -> Tensor:
    """The next `pending` outputs of items whose input ends here; zero where it gives fewer."""
    rest = step(module, like, group.children[0], axis=axis, last=True)
    queue = group.tensors.get("queue")
    return fit(rest if queue is None else torch.cat([queue, rest], axis + 2), axis + 2, pending)


def fit(x: Tensor, dim: int, length: int) -> Tensor:
    """Cut at the end, or lengthen with zeros, to a length."""
    if x.shape[dim] >= length:
        return x.narrow(dim, 0, length)
    shape = list(x.shape)
    shape[dim] = length - x.shape[dim]
    return torch.cat([x, x.new_zeros(shape)], dim)


def step_groups(module: nn.Module, state: State, x: Tensor, axis: int, total: int | None) -> Tensor:
    """Step every group; give the outputs that all of them have ready.

    total: outputs of the whole stream where the input ends here, else None.
    """
    dim = axis + 2
    queues, order = [], []
    for group in state.children:
        items = group.tensors["items"]
        if items is None:
            continue
        y = step(module, x.index_select(0, items), group.children[0], axis=axis, last=total is not None)
        waiting = group.tensors.get("queue")
        queues.append(y if waiting is None else torch.cat([waiting, y], dim))
        order.append(items)
    if total is None:
        ready = min(queue.shape[dim] for queue in queues)
    else:
        ready = total - state.counts["emitted"]
        queues = [fit(queue, dim, ready) for queue in queues]
    for group, queue in zip(state.children, queues, strict=True):
        rest = queue.shape[dim] - ready
        group.tensors.pop("queue", None)
        if rest:
            group.tensors["queue"] = queue.narrow(dim, ready, rest).clone()
    y = torch.cat([queue.narrow(dim, 0, ready) for queue in queues])
    return y.index_select(0, torch.cat(order).argsort())
