"""A step that is run thousands of times as torch's operations alone, without the Python that chose them.

What it computes is what the step computes; how many steps there are is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

Step = Callable[..., Any]
_MADE: WeakKeyDictionary[Any, dict[Hashable, Step]] = WeakKeyDictionary()


def flat(owner: object, step: Step, xs: list[Any], state: list[Tensor], known: list[Any]) -> Step:
    """The step (xs, state, known) for lists of tensors like these; itself where something watches it.

    owner: whose step it is, with which the results are kept. The choices of the step may depend on shapes and
    types alone. Gradients and captures need the step as it is.
    """
    tensors = pytree.tree_leaves([xs, state, known])
    if not _alone(tensors):
        return step
    made = _MADE.setdefault(owner, {})
    watching = torch._C._len_torch_function_stack()  # it may choose other operations
    key = (watching, *((t.dtype, t.device, tuple(t.shape), t.stride()) for t in tensors))
    if key not in made:
        made[key] = _traced(step, xs, state, known)
    return made[key]


def _traced(step: Step, xs: list[Any], state: list[Tensor], known: list[Any]) -> Step:
    tensors, form = pytree.tree_flatten([xs, state, known])
    outputs = 0

    def of_tensors(*values: Tensor) -> list[Tensor]:
        nonlocal outputs
        y, after = step(*pytree.tree_unflatten(values, form))
        outputs = len(y)
        return [*y, *after]

    # a tensor that is given twice, as one zero for two states, would be traced as one argument
    operations = make_fx(of_tensors)(*(t.detach() for t in tensors)).forward
    nested = len(tensors) != len(xs) + len(state) + len(known)

    def run(xs: list[Any], state: list[Tensor], known: list[Any]) -> tuple[list[Tensor], list[Tensor]]:
        values = pytree.tree_leaves([xs, state, known]) if nested else [*xs, *state, *known]
        with torch._C.DisableTorchFunction():  # who chooses operations has chosen them
            results = operations(*values)
        return results[:outputs], results[outputs:]

    return run


def _alone(tensors: list[Tensor]) -> bool:
    """Whether tensors are plain, and nothing traces, differentiates or batches what becomes of them."""
    return (
        not torch.compiler.is_exporting()
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._functorch.maybe_current_level() is None
        and all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    )
