"""The JSON of an exported program, checked before torch builds a graph of it.

torch evaluates size expressions with sympy, which is Python's `eval`; looks operators up by attribute from
`torch`, `math` and `operator`; and imports modules for the enums and default dictionaries of a signature. So
expressions are arithmetic on sizes alone, operators are those of ATen, and signatures hold plain containers.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from mediaconv.errors import UsageError
from mediaconv.nn.graph.capture.exported_program import condition

WAY_OUT = "export the model with torch.export.save, as .pt2, or with torch.onnx.export, as .onnx"
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.\w+\.\w+|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow"
    r"|eq|ne|lt|le|gt|ge|and_|or_|not_|pos)|math\.(ceil|floor|trunc)|torch\.sym_(float|int|ite|max|min|not|sum|sqrt)"
    r"|torch\._sym_sqrt|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
)
_FORBIDDEN = ("from_file", "_foobar", "_nested", "_sparse", "_print", "_async_error")
"""ATen operators that touch files, print or fail at will; names that start so."""
_FUNCTIONS = frozenset(
    """FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv PowByNatural
    FloatPow FloatTrueDiv IntTrueDiv TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat
    Identity Max Min Eq Ne Lt Le Gt Ge And Or Not floor ceiling Add Mul Pow Integer Rational
    Float Symbol true false Equality Unequality LessThan StrictLessThan GreaterThan
    StrictGreaterThan""".split()  # noqa: SIM905
)
"""What torch writes into sizes: sympy's own and those of torch.utils._sympy.functions."""
_NAME = re.compile(r"[a-z]{1,4}\d{1,9}")
_ASSUMPTIONS = ("positive", "integer", "nonnegative", "real", "evaluate", "precision", "nonzero", "negative")
_NODES = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_KEPT = ("stack_trace", "nn_module_stack")


def checked_program(program: Any, path: str) -> Any:
    """The JSON of an ExportedProgram without what could be executed, every device the CPU.

    Raises UsageError naming the operator, expression or container that is not read.
    """
    if not isinstance(program, dict) or "graph_module" not in program:
        raise UsageError(f"model: {path}: holds no exported program: {WAY_OUT}")
    try:
        program = _walked(program)
        module = program["graph_module"]
        # signatures of submodules serve a program that is taken apart again, which nobody does here
        module["module_call_graph"] = [e for e in module["module_call_graph"] if e.get("fqn") == ""]
        for entry in module["module_call_graph"]:
            for key in ("in_spec", "out_spec"):
                if entry.get("signature"):
                    _check_tree(json.loads(entry["signature"][key])[1])
    except _RefusedError as refused:
        raise UsageError(f"model: {path}: {refused}") from None
    program["guards_code"] = [
        text for text in program.get("guards_code") or [] if condition(text) is not None
    ]
    return program


class _RefusedError(Exception):
    pass


def _walked(value: Any) -> Any:
    if isinstance(value, list):
        return [_walked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"type", "index"} and isinstance(value["type"], str):
        return {"type": "cpu", "index": None}
    result = {}
    for key, item in value.items():
        if key in ("target", "as_operator") and isinstance(item, str):
            _check_operator(item)
        elif key == "expr_str":
            _check_expression(item)
        elif key == "metadata" and isinstance(item, dict):
            item = {k: v for k, v in item.items() if k in _KEPT}
        elif key in ("as_custom_obj", "custom_obj") and item is not None:
            raise _RefusedError(f"holds an object that is no tensor, which is not read: {WAY_OUT}")
        elif key == "range_constraints":
            for name in item:
                _check_expression(name)
        result[key] = _walked(item)
    return result


def _check_operator(target: str) -> None:
    name = target.split(".")[-2] if target.startswith("torch.ops.") and target.count(".") >= 4 else ""
    if not _OPERATORS.fullmatch(target) or name.startswith(_FORBIDDEN):
        raise _RefusedError(
            f"uses {target[:80]!r}, which is none of torch's own operations on tensors: export the model "
            "without it, or give the module by --model FILE.py:FUNCTION on the command line"
        )


def _check_expression(text: Any) -> None:
    """Arithmetic on sizes (s0, u3) with torch's functions of sizes; powers of small exponents alone."""
    try:
        if not isinstance(text, str) or len(text) > 2000:
            raise ValueError
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
        quoted = {id(node.args[0]) for node in nodes if isinstance(node, ast.Call) and _names_symbol(node)}
        for node in nodes:
            good = isinstance(node, _NODES)
            if isinstance(node, ast.Call):
                good = _is_good_call(node)
            elif isinstance(node, ast.keyword):
                good = isinstance(node.value, ast.Constant)
            elif isinstance(node, ast.Name):
                good = node.id in _FUNCTIONS or _NAME.fullmatch(node.id) is not None
            elif isinstance(node, ast.Constant):
                good = id(node) in quoted or (
                    type(node.value) in (int, float, bool) and abs(node.value) < 2**63  # type: ignore[arg-type]
                )
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                good = _is_small(node.right)
            if not good:
                raise ValueError
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise _RefusedError(
            f"the size {str(text)[:80]!r} is no arithmetic on sizes: it is not evaluated: {WAY_OUT}"
        ) from None


def _is_good_call(node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
        return False
    if node.func.id in ("Pow", "PowByNatural", "FloatPow"):
        return len(node.args) == 2 and not node.keywords and _is_small(node.args[1])
    return all(keyword.arg in _ASSUMPTIONS for keyword in node.keywords)


def _is_small(power: ast.expr) -> bool:
    """Whether an exponent is a number that cannot make a size explode."""
    if isinstance(power, ast.Call) and len(power.args) == 1:
        power = power.args[0]
    if isinstance(power, ast.UnaryOp) and isinstance(power.op, ast.USub):
        power = power.operand
    return isinstance(power, ast.Constant) and power.value in range(9)


def _names_symbol(node: ast.Call) -> bool:
    """Whether a call is Symbol('s0') or Float('0.5'), as sympy writes them."""
    kind = node.func.id if isinstance(node.func, ast.Name) else ""
    pattern = {"Symbol": _NAME.pattern, "Float": r"-?[\d.]{1,40}(e-?\d\d?)?"}.get(kind)
    value = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
    return pattern is not None and isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _check_tree(spec: Any) -> None:
    kind, context = spec["type"], spec["context"]
    names = json.loads(context) if isinstance(context, str) else context
    plain = names is None or (isinstance(names, list) and all(isinstance(n, str | int) for n in names))
    if kind not in _CONTAINERS or not plain:
        raise _RefusedError(
            f"its input or output is a {str(kind)[:80]}: export a model that takes and gives tensors, "
            "tuples, lists or dictionaries"
        )
    for child in spec["children_spec"]:
        _check_tree(child)
