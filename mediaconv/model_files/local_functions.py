"""The functions that an ONNX file defines itself, put in place of the nodes that call them.

What they come to is counted first: functions that call each other twice each double at every step, so that a
file of a page could fill any memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mediaconv.errors import UsageError

MAX_NODES = 100_000
_Key = tuple[str, str, str]


def inlined(model: Any, path: Path) -> Any:
    """The model without functions. Raises UsageError: functions that call themselves, too many nodes."""
    if not model.functions:
        return model
    from onnx.inliner import inline_local_functions

    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    counts: dict[_Key, int] = {}
    for key in functions:
        _count(key, functions, counts, path)
    total = sum(counts.get(key, 1) for key in _calls(model.graph.node))
    if total > MAX_NODES:
        raise UsageError(f"model: {path}: its functions come to {total} nodes, expected at most {MAX_NODES}")
    return inline_local_functions(model)


def _count(key: _Key, functions: Mapping[_Key, Any], counts: dict[_Key, int], path: Path) -> None:
    """Note how many nodes a function comes to, and those that it calls, deepest first."""
    open_keys: list[_Key] = [key]
    while open_keys:
        called = list(_calls(functions[open_keys[-1]].node))
        missing = [k for k in called if k in functions and k not in counts]
        if not missing:
            counts[open_keys[-1]] = sum(counts.get(k, 1) for k in called)
            open_keys.pop()
            continue
        if missing[0] in open_keys:
            raise UsageError(f"model: {path}: its function {missing[0][1]!r} calls itself")
        open_keys.append(missing[0])


def _calls(nodes: Iterable[Any]) -> Iterable[_Key]:
    """What nodes call, those in graphs inside of them, too."""
    for node in nodes:
        yield node.domain, node.op_type, node.overload
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _calls(graph.node)
