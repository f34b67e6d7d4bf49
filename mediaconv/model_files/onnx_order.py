"""The nodes of an ONNX graph in an order in which each reads what is there: sorted, as runtimes do.

What no order makes good is told: a name that nothing gives, or two nodes do, and a circle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Reads = Callable[[Any], Sequence[str]]


class OrderError(ValueError):
    """A graph whose nodes cannot be computed one after the other; it names the node and the value."""


def in_order(protos: Sequence[Any], reads: Reads) -> list[Any]:
    """Nodes after those that give what they read, else as they stand. reads: the names that a node reads.

    Raises OrderError for a circle, and for a name that two of them give.
    """
    counted = Counter(name for proto in protos for name in proto.output if name)
    twice = next((name for name, count in counted.items() if count > 1), None)
    if twice is not None:
        raise OrderError(f"two nodes give {twice!r}")
    makers = {name: i for i, proto in enumerate(protos) for name in proto.output if name}
    ordered: list[Any] = []
    begun, done = set(), set()
    todo = [(i, False) for i in reversed(range(len(protos)))]
    while todo:
        i, inputs_done = todo.pop()
        if inputs_done:
            ordered.append(protos[i])
            done.add(i)
        elif i in begun and i not in done:
            raise OrderError(f"{named(protos[i])} reads what follows from its own output: a circle")
        elif i not in done:
            begun.add(i)
            before = [makers[name] for name in reads(protos[i]) if name in makers]
            todo += [(i, True), *((j, False) for j in reversed(before) if j not in done)]
    return ordered


def check_given(protos: Iterable[Any], given: Iterable[str], output: str, reads: Reads) -> None:
    """Raise OrderError for a name that is read, or wanted as the output, and nothing gives."""
    known = set(given)
    protos = list(protos)
    known.update(name for proto in protos for name in proto.output)
    for proto in protos:
        lost = next((name for name in reads(proto) if name and name not in known), None)
        if lost is not None:
            raise OrderError(f"nothing gives {lost!r}, which {named(proto)} reads")
    if output not in known:
        raise OrderError(f"nothing gives the output {output!r}")


def named(proto: Any) -> str:
    """A node in words."""
    return f"{proto.op_type} ({proto.name or 'gives ' + ', '.join(proto.output)})"
