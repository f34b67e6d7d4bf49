"""Which rule knows an operation of a captured graph. The rules register themselves here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

Rule = Callable[[Any, fx.Node, dict[str, Any]], Any]
RULES: dict[Any, Rule] = {}
"""By operation: the value (or values) that it makes of a stream. Raises RefusalError."""


aten = torch.ops.aten
NEW = {aten.new_zeros: 0, aten.new_ones: 1, aten.new_full: None, aten.new_empty: 0}
"""Tensors made in the type of another, of which they read nothing, and their values."""


def typed_like(operation: Any) -> int | None:
    """Which argument of an operation is read for its type alone; None where there is none."""
    packet = getattr(operation, "overloadpacket", None)
    return 0 if packet in NEW else 1 if packet is aten.type_as else None


def rule(*operations: Any) -> Callable[[Rule], Rule]:
    """Register a rule for operations (overloads, or packets for all their overloads)."""

    def register(function: Rule) -> Rule:
        for operation in operations:
            RULES[operation] = function
        return function

    return register


def rule_of(operation: Any) -> Rule | None:
    """The rule of an operation, None where there is none."""
    packet = getattr(operation, "overloadpacket", None)
    rule = RULES.get(operation) or RULES.get(packet)
    if rule is None and str(packet).endswith("_copy"):  # as views are written where nothing is shared
        rule = RULES.get(getattr(aten, str(packet).removeprefix("aten.").removesuffix("_copy"), None))
    if rule is None and torch.Tag.pointwise in getattr(operation, "tags", ()):
        rule = RULES["pointwise"]
    return rule


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """A node's arguments by the names of its operation, with the defaults."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {}
    out = {a.name: a.default_value for a in schema.arguments}
    for argument, value in zip(schema.arguments, node.args, strict=False):
        out[argument.name] = value
    out.update(node.kwargs)
    return out
