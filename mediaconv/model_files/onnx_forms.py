"""Whether a node of an ONNX file has the inputs and attributes that its operator is defined with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mediaconv.counted import counted


def ill_formed(proto: Any, kind: str, opset: int) -> str | None:
    """What is wrong with a node of ONNX's own operators, in words; None also of what is not ONNX's."""
    from onnx import defs

    try:
        schema = defs.get_schema(kind, opset, "")
    except Exception:  # of the package's own kind: told of where the operator is
        return None
    wrong = "" if schema.deprecated else "; ".join(_faults(proto, schema))
    place = f"{kind} {proto.name}".strip() + f" (gives {next(iter(proto.output), 'nothing')})"
    return f"{place}: {wrong}: the file is damaged or no valid ONNX" if wrong else None


def _faults(proto: Any, schema: Any) -> Iterator[str]:
    from onnx import AttributeProto, defs

    for what, names, least, most in (
        ("input", proto.input, schema.min_input, schema.max_input),
        ("output", proto.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            several = f"{least} to {most}" if most < 2**31 - 1 else f"{least} or more"
            yield f"has {counted(len(names), what)}, expected {least if least == most else several}"
    required = [i for i in schema.inputs if i.option == defs.OpSchema.FormalParameterOption.Single]
    for form, name in zip(required, proto.input, strict=False):
        if not name:
            yield f"its input {form.name} is missing"
    given = {attribute.name: attribute for attribute in proto.attribute}
    for key, form in schema.attributes.items():
        if key not in given:
            if form.required:
                yield f"its attribute {key} is missing"
        elif given[key].type not in (0, form.type.value):  # 0: not stated, as old files have it
            names = AttributeProto.AttributeType
            came = names.Name(given[key].type) if given[key].type in names.values() else given[key].type
            yield f"{key}: got {came}, expected {names.Name(form.type.value)}"
