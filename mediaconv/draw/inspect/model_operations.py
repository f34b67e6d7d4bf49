"""The operations inside a captured model, by the names that the page gives them: none of any other layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mediaconv.nn.summary.node_rows import is_captured

NAMED = 12
"""Operations that are left out are named up to so many."""

if TYPE_CHECKING:
    from mediaconv.nn.graph.operation_outputs import Operation, Outputs


def operations_inside(module: nn.Module, shape: Sequence[int]) -> list[Operation]:
    """What is known of each for an input (C, ...) of a shape."""
    if not is_captured(module):
        return []
    from mediaconv.nn.graph.operation_outputs import operations_of

    return operations_of(module, shape)  # type: ignore[arg-type]


def left_out_note(name: str, module: nn.Module, shape: Sequence[int]) -> str | None:
    """Which operations of a layer's model are not on the page, in words; None where all are."""
    if not is_captured(module):
        return None
    from mediaconv.nn.graph.operation_outputs import MOST_OPERATIONS, operations_left_out

    left = operations_left_out(module, shape)  # type: ignore[arg-type]
    if not left:
        return None
    named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
    return (
        f"layer {name}: at most {MOST_OPERATIONS} of its operations are shown, those with weights first; "
        f"not shown: {named}"
    )


def outputs_inside(module: nn.Module, inputs: Sequence[Tensor]) -> Iterator[Outputs]:
    """What each gives for inputs (1, C, ...). Nothing where they are of several sizes."""
    if is_captured(module) and len({x.shape for x in inputs}) == 1:
        from mediaconv.nn.graph.operation_outputs import outputs_of

        yield from outputs_of(module, inputs)  # type: ignore[arg-type]
