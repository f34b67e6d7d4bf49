"""ONNX files of which a field was changed at random: each is opened, or refused in words of ours."""

import random
import re

import numpy as np
import onnx
import pytest
import torch
from google.protobuf.descriptor import FieldDescriptor
from onnx import helper, numpy_helper

from mediaconv.errors import UsageError
from mediaconv.model_files.open_model import open_model
from mediaconv.nn import to_streaming
from mediaconv.nn.graph.refusal import CaptureError

N = helper.make_node
CONSTANTS = {
    "w": np.ones((4, 2, 3), np.float32),
    "b": np.ones(4, np.float32),
    "two": np.array(2),
    "zero": np.array([0]),
    "front": np.array([1, 4]),
    "pads": np.array([0, 0, 1, 0, 0, 1]),
    "scales": np.array([1, 1, 2], np.float32),
    "low": np.float32(-1),
}
NODES = [
    N("Conv", ["x", "w", "b"], ["a"], name="conv", pads=[1, 1]),
    N("Shape", ["x"], ["sizes"]),
    N("Gather", ["sizes", "two"], ["length"], axis=0),
    N("Unsqueeze", ["length", "zero"], ["lengths"]),
    N("Concat", ["front", "lengths"], ["shape"], axis=0),
    N("Reshape", ["a", "shape"], ["r"]),
    N("Pad", ["r", "pads"], ["p"]),
    N("MaxPool", ["p"], ["m"], name="pool", kernel_shape=[3], strides=[1]),
    N("Resize", ["m", "", "scales"], ["wide"], mode="nearest"),
    N("Clip", ["wide", "low"], ["y"]),
]
PYTHON = re.compile(r"Error\b|' object|NoneType|positional|subscriptable|zip\(\)|Enum|unpack|bytes-like")
"""What Python says of values that it cannot take."""


def plain_model():
    info = [helper.make_tensor_value_info("x", 1, [1, 2, "t"])]
    initial = [numpy_helper.from_array(np.asarray(v), k) for k, v in CONSTANTS.items()]
    graph = helper.make_graph(NODES, "g", info, [helper.make_tensor_value_info("y", 1, None)], initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def fields(message):
    """All fields that are set, those of messages inside too: the message, the field, its place in a list."""
    for field, value in message.ListFields():
        parts = [(None, value)] if not hasattr(value, "append") else list(enumerate(value))
        for i, part in parts:
            yield message, field, i
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from fields(part)


CHANGES = {
    FieldDescriptor.TYPE_STRING: ["", "x", "w", "Conv", "nope"],
    FieldDescriptor.TYPE_BYTES: [b"", b"abc", b"\xff\xfe"],
    FieldDescriptor.TYPE_FLOAT: [0.0, -1.0, float("nan")],
    FieldDescriptor.TYPE_ENUM: list(range(12)),
}


def mutated(rng):
    model = plain_model()
    message, field, i = rng.choice(list(fields(model)))
    inside, kind = (
        field.type == FieldDescriptor.TYPE_MESSAGE,
        rng.choice(["change", "change", "remove", "twice"]),
    )
    if kind == "twice" and i is not None:
        values = getattr(message, field.name)
        values.add().CopyFrom(values[i]) if inside else values.append(values[i])
    elif kind == "remove" or inside:
        if i is None:
            message.ClearField(field.name)
        else:
            del getattr(message, field.name)[i]
    else:
        value = rng.choice(CHANGES.get(field.type, [0, -1, 7, 99, -99]))
        if i is None:
            setattr(message, field.name, value)
        else:
            getattr(message, field.name)[i] = value
    return model


def told(path):
    """Why a file is refused; nothing where it is not. Anything else that is raised fails the test."""
    try:
        open_model(str(path))
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_is_opened_or_refused_in_our_words(tmp_path, seed, capfd):
    rng, refused, path = random.Random(seed), 0, tmp_path / "m.onnx"
    for _ in range(60):
        path.write_bytes(mutated(rng).SerializeToString())
        said = told(path)
        refused += said != ""
        assert not said or said.startswith("model: "), said
        assert not PYTHON.search(said), said
    assert refused
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda node: node.input.append("low"), r"Conv conv \(gives a\): has 4 inputs, expected 2 to 3"),
        (
            lambda node: node.attribute[0].ints.append(1),
            r"Conv conv \(gives a\): its inputs and attributes do not",
        ),
        (lambda node: setattr(node.attribute[0], "type", 1), r"Conv conv .*: pads: got FLOAT, expected INTS"),
    ],
)
def test_a_node_that_onnx_does_not_define_so_is_refused_by_its_name(tmp_path, change, words):
    model, path = plain_model(), tmp_path / "m.onnx"
    change(model.graph.node[0])
    onnx.save(model, path)
    with pytest.raises((UsageError, CaptureError), match=words):
        to_streaming(open_model(str(path)), example=torch.randn(1, 2, 32))
