"""An `.onnx` file as a torch module: read, checked and limited before anything large is made.

What operators compute is in `onnx_operators`, tensors that lie in files of their own in `external_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mediaconv.errors import UsageError, nearest
from mediaconv.model_files import OTHER_PRECISION
from mediaconv.model_files.archive import check_regular
from mediaconv.model_files.onnx_forms import ill_formed
from mediaconv.model_files.onnx_operators.node import UnsupportedError, all_told
from mediaconv.model_files.onnx_order import OrderError, check_given, in_order
from mediaconv.model_files.onnx_package import onnx_for
from mediaconv.model_files.onnx_tensors import Sizes, stored_tensor

if TYPE_CHECKING:
    from mediaconv.model_files.onnx_module import OnnxModule
    from mediaconv.model_files.onnx_operators import Node

OPSETS = (11, 26)
_MAX_PROTOBUF = 2**31 - 1
_QUANTIZED = (
    "; those of com.microsoft are onnxruntime's own: save the model before it is optimized, and quantize it "
    "with quant_format=QuantFormat.QDQ"
)


def load_onnx(
    path: Path, *, input: str | None = None, output: str | None = None, double: bool = False
) -> OnnxModule:
    """The graph of a file from one input to one output, which may be left out where there is one.

    double: keep weights that the file has in 64 bits as they are, also where the module computes in float32.
    Raises UsageError: no ONNX, data outside the model's folder, sizes past the limits, and all operators that
    are not read, at once.
    """
    onnx = onnx_for(path)
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from mediaconv.model_files.local_functions import inlined
    from mediaconv.model_files.onnx_module import OnnxModule
    from mediaconv.model_files.whole_numbers import exact_sums

    size = check_regular(path, "model")
    if size > _MAX_PROTOBUF:
        raise UsageError(f"model: {path}: {size} bytes, expected at most 2 GiB and the rest as external data")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        model = inlined(model, path)
    except (DecodeError, OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"model: {path}: cannot be read as ONNX ({type(error).__name__})") from None
    if not model.graph.node:
        raise UsageError(f"model: {path}: holds no ONNX graph")
    try:
        reader = _Reader(path, model, double=double)
        source, target = reader.ends(input, output)
        nodes = reader.nodes(source, target)
        tensors = reader.tensors(nodes)
        nodes = exact_sums(nodes, tensors)
        trained = {t.name for t in model.graph.initializer} | set(reader.inner)
        module = OnnxModule(nodes, tensors, trained, source, target).eval()
        module.input_shape = reader.shape(source)
        module.notes, module.input_type = reader.notes, reader.input_type
        refused = module.refusals(reader.refused, reader.others)
        if refused:
            raise UsageError(f"model: {path}: {all_told(refused, 'reasons why it is not read')}")
        return module
    except OrderError as error:
        raise UsageError(f"model: {path}: its graph is inconsistent: {error}") from None
    except UsageError:
        raise
    except Exception as error:
        # a graph that its own makers' checker would not accept can fail anywhere
        at = f" at {error.__notes__[0]}" if getattr(error, "__notes__", None) else ""
        raise UsageError(
            f"model: {path}: its graph is inconsistent{at}: it is damaged or no valid ONNX: export the model "
            "again (onnx.checker.check_model may tell more)"
        ) from error


def onnx_outputs(path: Path) -> list[str]:
    """The names of a file's outputs; none where `load_onnx` refuses it. Raises UsageError without onnx."""
    onnx = onnx_for(path)
    try:
        return [value.name for value in onnx.load_model_from_string(path.read_bytes()).graph.output]
    except Exception:  # told of where the model is read
        return []


class _Reader:
    def __init__(self, path: Path, model: Any, *, double: bool = False) -> None:
        self._double = double
        self.path, self.graph = path, model.graph
        versions = {entry.domain: entry.version for entry in model.opset_import}
        self.opset = versions.get("", versions.get("ai.onnx", 0))
        if not OPSETS[0] <= self.opset <= OPSETS[1]:
            raise UsageError(
                f"model: {path}: opset {self.opset}, expected {OPSETS[0]} to {OPSETS[1]}: export it again, "
                "or convert it with onnx.version_converter"
            )
        self.notes: list[str] = []
        self.input_type = "float"
        self.inner: dict[str, Any] = {}
        """Constants inside of nodes, by their names here."""
        self.refused: list[str] = []
        """Why it is not read, so far."""
        self.others: dict[str, tuple[int | None, ...] | None] = {}
        """Shapes of other inputs that the output needs, None for one that is not declared."""
        self._to_single: set[torch.dtype] = set()
        self._sizes = Sizes(path)

    def ends(self, input: str | None, output: str | None) -> tuple[str, str]:
        """The names of the input and the output."""
        initial = {t.name for t in self.graph.initializer}
        inputs = [v.name for v in self.graph.input if v.name not in initial]
        outputs = [v.name for v in self.graph.output]
        source = self._chosen("input", input, inputs)
        self._note_type(source)
        return source, self._chosen("output", output, outputs)

    def _note_type(self, source: str) -> None:
        """Note the input's type. What is in 16 bits is computed in float32; in 64, where the input is so."""
        from onnx import TensorProto

        (value,) = [v for v in self.graph.input if v.name == source]
        name = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        self.input_type = name.lower()
        self._to_single = {torch.float16, torch.bfloat16, *([torch.float64] if name == "DOUBLE" else [])}
        if name in ("FLOAT16", "BFLOAT16", "DOUBLE"):
            self._note()

    def _note(self) -> None:
        self.notes = [OTHER_PRECISION]

    def _chosen(self, what: str, name: str | None, names: list[str]) -> str:
        if name is None and len(names) == 1:
            return names[0]
        if name in names:
            return str(name)
        if not names:
            raise UsageError(f"model: {self.path}: has no {what}: expected a graph of one input tensor")
        got = f"got {name!r}" if name is not None else f"the model has {len(names)}"
        raise UsageError(
            f"model: {self.path}: {what}: {got}, expected one of {', '.join(names)}"
            f"{nearest(name or '', names)}"
        )

    def shape(self, name: str) -> tuple[int | None, ...] | None:
        """Declared sizes of an input, None for those that vary."""
        (value,) = [v for v in self.graph.input if v.name == name]
        kind = value.type.tensor_type
        if not kind.HasField("shape"):
            return None
        return tuple(
            d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim
        )

    def nodes(self, input: str, output: str) -> list[Node]:
        """What the output needs. Operators that are not known, and other inputs, are noted as reasons."""
        from mediaconv.model_files.onnx_operators.recurrences.recurrent import plain_lengths

        protos = {name: proto for proto in self.graph.node for name in proto.output if name}
        needed, todo = set(), [output]
        while todo:
            proto = protos.get(todo.pop())
            if proto is not None and id(proto) not in needed:
                needed.add(id(proto))
                todo.extend(_reads(proto))
        chosen = [proto for proto in in_order(self.graph.node, _reads) if id(proto) in needed]
        self._check_others(input, {name for proto in chosen for name in _reads(proto)})
        constants = [t.name for t in self.graph.initializer]
        constants += [t.values.name for t in self.graph.sparse_initializer]  # which are refused by that name
        check_given(chosen, [input, *(v.name for v in self.graph.input), *constants], output, _reads)
        unknown: dict[str, int] = {}
        for kind in map(_kind, _with_inner(chosen)):
            if not _is_read(kind):
                unknown[kind] = unknown.get(kind, 0) + 1
        if unknown:
            unread = ", ".join(
                f"{kind} ({count} times)" if count > 1 else kind for kind, count in unknown.items()
            )
            way = _QUANTIZED if any(kind.startswith("com.microsoft.") for kind in unknown) else ""
            self.refused.append(f"operators that are not read: {unread}{way}")
        for proto in _with_inner(chosen):
            if (wrong := ill_formed(proto, _kind(proto), self.opset)) is not None:
                self.refused.append(wrong)
        nodes = [self._node(proto, {}) for proto in chosen]
        plain_lengths(nodes)
        return nodes

    def _node(self, proto: Any, names: dict[str, str]) -> Node:
        """A node. names: of the graph around it, where it is inside of another, to those used here."""
        from mediaconv.model_files.onnx_operators import Node

        inputs = [names.get(name, name) for name in proto.input]
        outputs = [names.get(name, name) for name in proto.output]
        attributes = {a.name: self._attribute(a) for a in proto.attribute}
        for key, value in attributes.items():
            if hasattr(value, "node"):
                attributes[key] = self._subgraph(value, f"{outputs[0]}/", names)
                inputs += [name for name in attributes[key].captured if name not in inputs]
        node = Node(_kind(proto), proto.name, inputs, outputs, attributes, self.opset)
        if not _is_read(node.kind) or ill_formed(proto, node.kind, self.opset):
            node.refused = UnsupportedError()  # told of with the others
        return node

    def _subgraph(self, graph: Any, prefix: str, names: dict[str, str]) -> Any:
        """A graph inside of a node, its names unlike any others; its constants are kept with the rest."""
        from mediaconv.model_files.onnx_operators.recurrences.subgraph import Subgraph

        own = [*(v.name for v in graph.input), *(t.name for t in graph.initializer)]
        own += [name for proto in graph.node for name in proto.output]
        names = {**names, **{name: prefix + name for name in own if name}}
        inner = [self._node(proto, names) for proto in in_order(graph.node, _reads)]
        nodes = [node for node in inner if node.kind != "Constant"]
        self.inner |= {names[t.name]: t for t in graph.initializer}
        self.inner |= {node.outputs[0]: node for node in inner if node.kind == "Constant"}
        inputs = [names[v.name] for v in graph.input]
        outputs = [names.get(v.name, v.name) for v in graph.output]
        made = {*inputs, *(name for node in nodes for name in node.outputs)}
        read = [name for node in nodes for name in node.inputs] + outputs
        captured = [name for name in dict.fromkeys(read) if name and name not in made]
        return Subgraph(inputs, outputs, nodes, captured)

    def _check_others(self, input: str, read: set[str]) -> None:
        """Note other inputs that the output needs, for nothing gives them."""
        given = {input} | {t.name for t in self.graph.initializer}
        others = [v.name for v in self.graph.input if v.name in read and v.name not in given]
        self.others = {name: self.shape(name) for name in others}
        if others:
            self.refused.append(
                f"also needs the input{'s' if len(others) > 1 else ''} {', '.join(others)}: export it with "
                "fixed values in their place, as a model of one input"
            )

    def _attribute(self, proto: Any) -> Any:
        from onnx import AttributeProto, helper

        if proto.type == AttributeProto.TENSOR:
            return proto.t
        if proto.type == AttributeProto.GRAPH:
            return proto.g
        value = helper.get_attribute_value(proto)
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, list | tuple):
            return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in value]
        return value

    def tensors(self, nodes: list[Node]) -> dict[str, Tensor]:
        """Constants that the nodes read; nodes of the kind Constant leave the list."""
        read = {name for node in nodes for name in node.inputs}
        tensors: dict[str, Tensor] = {}
        if self.graph.sparse_initializer:
            self.refused.append("sparse initializers are not read")
        for tensor in self.graph.initializer:
            if tensor.name in read:
                self._add(tensors, tensor.name, partial(self._tensor, tensor))
        for name, inner in self.inner.items():
            constant = self._constant if hasattr(inner, "kind") else self._tensor
            self._add(tensors, name, partial(constant, inner))
        for node in list(nodes):
            try:
                self._retype(node)
            except UnsupportedError as error:
                self.refused += error.reasons
            if node.kind == "Constant":
                nodes.remove(node)
                self._add(tensors, node.outputs[0], partial(self._constant, node))
        return tensors

    def _add(self, tensors: dict[str, Tensor], name: str, read: Callable[[], Tensor]) -> None:
        """A constant, or the reason why it is not read."""
        try:
            tensors[name] = read()
        except UnsupportedError as error:
            self.refused += error.reasons

    def _retype(self, node: Node) -> None:
        """Let a node, and those inside of it, compute in the module's own type; constants in it are read."""
        if node.kind == "Cast" and node.attributes.get("to") in self._single_types():
            node.attributes["to"] = 1
        if node.kind != "Constant" and hasattr(node.get("value"), "data_type"):
            node.attributes["value"] = self._tensor(node.attributes["value"]).numpy()
        for inner in getattr(node.get("body"), "nodes", ()):
            self._retype(inner)

    def _single_types(self) -> set[int]:
        """ONNX's numbers of the types that are computed in the module's own."""
        from onnx import TensorProto

        names = {torch.float16: "FLOAT16", torch.bfloat16: "BFLOAT16", torch.float64: "DOUBLE"}
        return {TensorProto.DataType.Value(names[kind]) for kind in self._to_single}

    def _constant(self, node: Node) -> Tensor:
        if len(node.attributes) != 1:
            raise node.refuse(f"has {len(node.attributes)} values, expected one")
        ((key, value),) = node.attributes.items()
        if key == "value":
            return self._tensor(value)
        kinds = {"value_float": torch.float32, "value_floats": torch.float32}
        kinds |= {"value_int": torch.int64, "value_ints": torch.int64}
        if key not in kinds:
            raise node.refuse(f"{key} is not read")
        return torch.tensor(value, dtype=kinds[key])

    def _tensor(self, proto: Any) -> Tensor:
        """A constant, in float32 where the file has it in a type that is computed so."""
        tensor = stored_tensor(proto, self.path, self._sizes)
        if tensor.dtype == torch.float64 and self._double:
            return tensor
        if tensor.dtype not in self._to_single:
            return tensor
        self._note()
        return tensor.float()


def _kind(proto: Any) -> str:
    """A node's operator, with the domain of those that are not ONNX's own."""
    kind = proto.op_type or "(without a name)"
    return kind if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{kind}"


def _is_read(kind: str) -> bool:
    from mediaconv.model_files.onnx_operators import OPERATORS

    return kind in OPERATORS or kind == "Constant"


def _with_inner(protos: Iterable[Any]) -> Iterator[Any]:
    """Nodes and those of the graphs inside of them."""
    for proto in protos:
        yield proto
        for attribute in proto.attribute:
            yield from _with_inner([*attribute.g.node, *(n for g in attribute.graphs for n in g.node)])


def _reads(proto: Any) -> list[str]:
    """Names that a node reads, also within the graphs inside of it."""
    names = list(proto.input)
    for attribute in proto.attribute:
        graph = attribute.g
        own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        own |= {name for inner in graph.node for name in inner.output}
        read = [name for inner in graph.node for name in _reads(inner)] + [v.name for v in graph.output]
        names += [name for name in read if name not in own]
    return names
