"""What a program of `torch.export` computes, as a module that can be exported again: captured."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from mediaconv.nn.graph.capture.obstacles import RECURRENT

_SIZE = re.compile(r"L\['\w+'\](?:\[\d+\])?\.size\(\)\[(\d+)\]")
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.USub: operator.neg, ast.Not: operator.not_, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Div: operator.truediv,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "math.ceil": math.ceil, "math.floor": math.floor, "math.trunc": math.trunc, "max": torch.sym_max,
    "min": torch.sym_min, "float": torch.sym_float, "int": torch.sym_int,
}  # fmt: skip
_NODES = (
    ast.Compare, ast.Call, ast.Attribute, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Constant,
    ast.Load, ast.And, ast.Or, *_OPERATORS,
)  # fmt: skip
_OF_RECURRENCES = (
    "; torch.export fixes the length of a recurrent layer behind others, an ONNX file (torch.onnx.export) or "
    "the module itself keeps it open"
)


def module_of(program: ExportedProgram) -> fx.GraphModule:
    """A program's module, without checks of its input's sizes where torch's export had to fix them.

    torch exports recurrent layers for the example's length alone, and unrolls them when they are exported
    again: they become the operation of our own, which takes any length.
    """
    module = program.module(check_guards=False)
    module.captured_as = ""  # type: ignore[assignment]  # its class says nothing of the model
    parts = [part for part in module.modules() if isinstance(part, fx.GraphModule)]
    recurrences = sum(_keep_recurrences(part) for part in parts)
    if recurrences:
        module.validate_inputs = False  # type: ignore[assignment]
    conditions = _conditions(program)
    module.conditions = conditions  # type: ignore[assignment]
    _require_conditions(module, conditions, _OF_RECURRENCES if recurrences else "")
    return module


def condition(text: Any) -> ast.expr | None:
    """A condition on sizes, as torch's export writes it, if it is arithmetic alone; sizes are d0, d1, ...

    >>> ast.unparse(condition("(L['x'].size()[2] % 4) == 0"))
    'd2 % 4 == 0'
    """
    if not isinstance(text, str) or len(text) > 1000:
        return None
    try:
        parsed = ast.parse(_SIZE.sub(r"d\1", text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    called = {
        id(part) for node in ast.walk(parsed) if isinstance(node, ast.Call) for part in ast.walk(node.func)
    }
    for node in ast.walk(parsed):
        good = isinstance(node, _NODES)
        if isinstance(node, ast.Constant):
            good = type(node.value) in (int, float) and abs(node.value) < 2**63  # type: ignore[arg-type]
        elif isinstance(node, ast.Name):
            good = id(node) in called or re.fullmatch(r"d\d", node.id) is not None
        elif isinstance(node, ast.Call):
            good = ast.unparse(node.func) in _FUNCTIONS and 1 <= len(node.args) <= 2 and not node.keywords
        elif isinstance(node, ast.Attribute):
            good = id(node) in called
        if not good:
            return None
    return parsed


def _conditions(program: ExportedProgram) -> list[str]:
    """What a program requires of its input's sizes: elsewhere the module that was exported goes another way.

    Sizes that it fixes are left out: torch asks for them itself, and a batch of one may be more.
    """
    texts = list(getattr(program, "_guards_code", None) or [])
    names = program.graph_signature.user_inputs
    for node in program.graph.nodes:
        shape = getattr(node.meta.get("val"), "shape", ()) if node.name in names else ()
        for dim, size in enumerate(shape):
            limits = program.range_constraints.get(getattr(getattr(size, "node", None), "expr", None))
            if limits is not None and limits.upper.is_Integer and int(limits.upper) < 2**31:
                texts.append(f"d{dim} <= {int(limits.upper)}")
            if limits is not None and limits.lower.is_Integer and int(limits.lower) > 2:
                texts.append(f"d{dim} >= {int(limits.lower)}")
    fixed = re.compile(r"d\d == \d+")
    asked = (ast.unparse(parsed) for parsed in map(condition, texts) if parsed is not None)
    return [text for text in dict.fromkeys(asked) if not fixed.fullmatch(text)]


def _require_conditions(module: fx.GraphModule, texts: Sequence[str], hint: str) -> None:
    """Let a program's module ask them anew: a capture knows of them as of the module's own branches.

    hint: what to say where one is not met.
    """
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        return
    with module.graph.inserting_after(inputs[0]):
        for text in texts:
            module.graph.call_function(require, (inputs[0], text, hint))
    module.recompile()


def require(x: torch.Tensor, text: str, hint: str = "") -> None:
    """Raise ValueError, with a hint, where a tensor's sizes are not as a condition of an export says."""
    if not holds(text, x.shape):
        raise ValueError(
            f"its export holds where {text[:120]} alone, d0, d1, ... being its input's sizes: it got "
            f"{list(map(int, x.shape))}{hint}"
        )


def holds(text: str, shape: Sequence[int]) -> bool:
    """Whether sizes are as a condition says. Raises ValueError for one that has no value."""
    parsed = condition(text)
    try:
        return parsed is not None and bool(_value(parsed, shape))
    except (ArithmeticError, IndexError, TypeError) as error:
        raise ValueError(f"its export states a condition that cannot be told: {text[:80]}") from error


def _value(node: ast.AST, sizes: Sequence[int]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[int(node.id[1:])]
    if isinstance(node, ast.Call):
        return _FUNCTIONS[ast.unparse(node.func)](*(_value(each, sizes) for each in node.args))
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, sizes))
    if isinstance(node, ast.BoolOp):
        some = any if isinstance(node.op, ast.Or) else all
        return some(_value(value, sizes) for value in node.values)
    assert isinstance(node, ast.Compare)
    values = [_value(value, sizes) for value in (node.left, *node.comparators)]
    return all(_OPERATORS[type(op)](*pair) for op, pair in zip(node.ops, pairwise(values), strict=True))


def _keep_recurrences(module: fx.GraphModule) -> int:
    """Make a graph's recurrent layers our own operation; how many it has."""
    exported = {getattr(torch.ops.aten, kind).input: kind for kind in RECURRENT}
    nodes = [node for node in module.graph.nodes if node.target in exported]
    for node in nodes:
        kind = exported[node.target]
        x, state, weights, biases, layers, _, _, bidirectional, batch_first = node.args
        states = list(state) if kind == "lstm" else [state]
        node.target = torch.ops.mediaconv.recurrent.default
        node.args = (kind, x, states, list(weights), biases, layers, bidirectional, batch_first)
    module.recompile()
    return len(nodes)


def to_single(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Let a program's module of one input compute in float32 instead of the type that it was exported in.

    In place. Its graph names that type wherever the model took the type of its input: there it takes the type
    of its input again, so that it can be moved to float64; graphs within it take float32.
    """
    module.float()
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            _retype(part, dtype, follow=part is module)


def _retype(part: fx.GraphModule, dtype: torch.dtype, *, follow: bool) -> None:
    graph = part.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    named = [node for node in graph.nodes if dtype in (*node.args, *node.kwargs.values())]
    instead: Any = torch.float32
    if follow and named:
        with graph.inserting_after(inputs[0]):
            instead = graph.call_function(getattr, (inputs[0], "dtype"))
    for node in named:
        node.args, node.kwargs = fx.node.map_aggregate(
            (node.args, node.kwargs), lambda a: instead if a is dtype else a
        )
    part.recompile()
