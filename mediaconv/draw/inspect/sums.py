"""That a convolution's output channel is the sum over its input channels: every share by itself, then added.

A share is the layer itself, without bias, over one input channel alone with the weights that read it. So it
holds for standard, causal, transposed, grouped and deformable layers alike, by their own arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from mediaconv.draw.inspect.budget import MAX_SHARES
from mediaconv.draw.inspect.kernel_maps import by_channels

EPSILON = float(torch.finfo(torch.float32).eps)
MAX_OPERATIONS = 6e9
"""Multiply-adds, and adding up, of one layer's shares: a few seconds."""
ADDING = 40
"""Multiply-adds that adding up one value, and shrinking it for the page, take as long as."""
MAX_VALUES = 2**26
"""Values of the maps that are taken apart at once."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Which output channels are taken apart. member: their places in a group, the same in every group.

    outputs: their numbers. inputs: (len(outputs), in of the group) numbers of the input channels.
    shown: for every output the input channels that are shown by themselves; the others are shown together.
    """

    member: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    shown: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of one map for the page. pictures: (K, h, w) or a curve (1, T). points: (K,) exact values.

    Shrinking a picture is linear, so what is kept of a sum is the sum of what is kept.
    """

    pictures: np.ndarray
    points: np.ndarray

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.pictures + other.pictures, self.points + other.points)


Keep = Callable[[Tensor], Kept]


@dataclass(frozen=True, eq=False)
class Sums:
    """One file's shares. shares[i]: of output channel i, one for each shown input channel, in their order.

    rest[i]: the other input channels together. total[i]: all shares and the bias, added in float64.
    output[i]: the layer's own. difference: largest of |total - output| over every position computed.
    bound: what float32 rounding of these sums can make at most.
    """

    plan: Plan
    shares: list[list[Kept]]
    rest: list[Kept | None]
    bias: Tensor | None
    total: list[Kept]
    output: list[Kept]
    difference: float
    bound: float


def plan_sums(module: nn.Module, x: Tensor, y: Tensor, *, outputs: int) -> Plan:
    """The output channels to take apart: at most `outputs`, fewer for time and memory. x, y: in and out."""
    weight, inputs = by_channels(module)
    groups = int(module.groups)  # type: ignore[arg-type]
    per_group = weight.shape[0] // groups
    group_inputs, taps = weight.shape[1], weight[0, 0].numel()
    made = y[0, 0].numel()
    positions = x[0, 0].numel() if getattr(module, "transposed", False) else made
    each = positions * group_inputs * groups * (taps + ADDING)
    affordable = min(int(MAX_OPERATIONS / each), MAX_VALUES // made // groups)
    count = max(1, min(per_group, -(-outputs // groups), affordable))
    member = tuple(range(count))
    chosen = tuple(g * per_group + r for g in range(groups) for r in member)[:outputs]
    size = x[0].flatten(1).square().mean(1).sqrt()
    shown = []
    for o in chosen:
        pull = torch.nan_to_num(weight[o].flatten(1).norm(dim=1) * size[inputs[o]])
        kept = group_inputs if group_inputs <= MAX_SHARES else MAX_SHARES - 1
        shown.append(tuple(sorted(inputs[o][pull.topk(kept).indices].tolist())))
    return Plan(member, chosen, tuple(tuple(inputs[o].tolist()) for o in chosen), tuple(shown))


@torch.no_grad()
def take_apart(module: nn.Module, x: Tensor, y: Tensor, plan: Plan, keep: Keep) -> Sums:
    """The shares of the input channels in some output channels.

    x: (1, C, ...) in. y: (1, C', ...) out. keep: what is kept of a map (...) for the page.
    """
    chosen = list(plan.outputs)
    total = torch.zeros((len(chosen), *y.shape[2:]), dtype=torch.float64)
    shares: list[list[Kept]] = [[] for _ in chosen]
    rest: list[Kept | None] = [None] * len(chosen)
    for c, share in enumerate(_each_share(module, x, plan)):
        total += share.double()
        for i, inputs in enumerate(plan.inputs):
            kept, others = keep(share[i]), rest[i]
            if inputs[c] in plan.shown[i]:
                shares[i].append(kept)
            else:
                rest[i] = kept if others is None else others + kept
    bias = None if module.bias is None else module.bias.detach()[chosen]  # type: ignore[index, operator]
    if bias is not None:
        total += bias.double().reshape(-1, *[1] * (total.ndim - 1))
    difference = max(float((total[i] - y[0, o].double()).abs().max()) for i, o in enumerate(chosen))
    return Sums(
        plan=plan,
        shares=shares,
        rest=rest,
        bias=bias,
        total=[keep(t.float()) for t in total],
        output=[keep(y[0, o]) for o in chosen],
        difference=difference,
        bound=_bound(module, x, chosen),
    )


def _each_share(module: nn.Module, x: Tensor, plan: Plan) -> Iterator[Tensor]:
    """(O, ...) for the first input channel of every group, then the second, and so on."""
    groups = int(module.groups)  # type: ignore[arg-type]
    weight: Tensor = module.weight.detach()  # type: ignore[assignment, operator]
    member = list(plan.member)
    split = weight.reshape(groups, -1, *weight.shape[1:])
    transposed = bool(getattr(module, "transposed", False))
    split = split[:, :, member] if transposed else split[:, member]
    inner = 1 if transposed else 2
    channels = x.reshape(1, groups, -1, *x.shape[2:])
    silent = None if module.bias is None else torch.zeros(groups * len(member))
    one = copy.copy(module)  # shares the parameters; only its channel counts are other ones
    one.out_channels = groups * len(member)  # type: ignore[assignment]
    for c in range(split.shape[inner]):
        if hasattr(module, "offset"):  # where its taps read depends on all input channels
            alone, source = torch.zeros_like(split), x
            alone.select(inner, c).copy_(split.select(inner, c))
        else:
            alone, source = split.narrow(inner, c, 1), channels[:, :, c]
            one.in_channels = groups  # type: ignore[assignment]
        parameters = {"weight": alone.flatten(0, 1)} | ({} if silent is None else {"bias": silent})
        yield functional_call(one, parameters, (source,))[0, : len(plan.outputs)]


def _bound(module: nn.Module, x: Tensor, chosen: list[int]) -> float:
    """n * eps * (sum of |w| * max |x| + |bias|), n the terms of a sum: the classic bound, for both sides.

    Modulation of a deformable layer multiplies what it reads by up to 2.
    """
    weight, _ = by_channels(module)
    picked = weight[chosen].flatten(1)
    most = picked.abs().sum(1) * float(x.abs().max()) * (2 if hasattr(module, "offset") else 1)
    if module.bias is not None:
        most = most + module.bias.detach()[chosen].abs()  # type: ignore[index, operator]
    return float(most.max()) * EPSILON * (picked.shape[1] + 2) * 2
