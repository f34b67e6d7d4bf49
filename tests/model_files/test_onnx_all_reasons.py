"""What an ONNX file is refused for is told at once: every node's form, and what of it cannot stream."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mediaconv.errors import UsageError
from mediaconv.model_files.free_batch import free_batch
from mediaconv.model_files.onnx_file import load_onnx
from mediaconv.model_files.onnx_operators.node import UnsupportedError
from mediaconv.nn import to_streaming
from mediaconv.nn.graph.refusal import CaptureError

N = helper.make_node


def saved(path, nodes, constants=(), *, shape=(1, 4, None), others=(), types=()):
    info = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", shape), *others)]
    initial = [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()]
    initial += list(types)
    graph = helper.make_graph(nodes, "g", info, [helper.make_tensor_value_info("y", 1, None)], initial)
    imports = [helper.make_opsetid("", 19), helper.make_opsetid("com.acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


def told(path, x):
    """What is said of each node when the file is captured: no node is told of in vain, none is left out."""
    with pytest.raises(CaptureError) as caught:
        to_streaming(load_onnx(path), example=x)
    return caught.value.reasons


WEIGHT = np.ones((4, 4, 3), np.float32)
PADDED = N("Pad", ["x", "p"], ["a"], name="pad", mode="silly")
WINDOW = N("Conv", ["a", "w"], ["b"], name="window", auto_pad="SOMEHOW")
POOL = N("AveragePool", ["b"], ["c"], name="pool", kernel_shape=[3], dilations=[2])
HALF = N("Resize", ["c", "", "s"], ["y"], name="half", mode="linear", antialias=1, extrapolation_value=1.0)
FOUR = {"p": np.array([0, 0, 1, 0, 0, 1]), "w": WEIGHT, "s": np.array([1, 1, 0.5], np.float32)}


def test_every_form_that_is_refused_only_when_the_module_runs_is_told(tmp_path):
    path = saved(tmp_path / "m.onnx", [PADDED, WINDOW, POOL, HALF], FOUR)
    reasons = told(path, torch.randn(1, 4, 64))
    begin = ["Pad pad (gives a): mode", "Conv window (gives b): auto_pad", "AveragePool pool (gives c): dil",
             "Resize half (gives y): extrapolation_value", "Resize half (gives y): antialias"]  # fmt: skip
    assert [r[: len(b)] for r, b in zip(reasons, begin, strict=True)] == begin
    with pytest.raises(UnsupportedError) as caught, torch.no_grad():
        load_onnx(path)(torch.randn(1, 4, 64))
    assert caught.value.reasons == reasons  # also where it is called


def test_what_cannot_stream_is_told_beside_forms_that_are_not_read(tmp_path):
    nodes = [
        N("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        N("MatMul", ["t", "x"], ["pairs"]),
        N("MatMul", ["x", "pairs"], ["q"], name="mix"),
        N("MaxPool", ["x"], ["a", "at"], name="indices", kernel_shape=[3], pads=[1, 1]),
        N("Cast", ["at"], ["f"], to=TensorProto.FLOAT),
        N("Sum", ["q", "a", "f"], ["y"]),
    ]
    reasons = told(saved(tmp_path / "m.onnx", nodes), torch.randn(1, 4, 32))
    assert [r.partition(":")[0] for r in reasons] == ["MatMul mix (gives q)", "MaxPool indices (gives a)"]


def test_what_a_file_is_refused_for_when_it_is_read_is_told_with_its_forms(tmp_path):
    nodes = [
        N("NonZero", ["x"], ["nz"]),
        N("Mine", ["x"], ["m"], domain="com.acme"),
        N("Conv", ["x", "w"], ["b"], name="window", auto_pad="SOMEHOW"),
        N("Add", ["b", "sigma"], ["e"]),
        N("AveragePool", ["e"], ["c"], name="pool", kernel_shape=[3], dilations=[2]),
        N("DynamicQuantizeLinear", ["c"], ["q", "qs", "qz"], name="dynamic"),
        N("Sum", ["c", "nz", "m", "q", "strange"], ["y"]),
    ]
    strange = helper.make_tensor("strange", TensorProto.COMPLEX64, [1], [1j])
    path = saved(tmp_path / "m.onnx", nodes, {"w": WEIGHT}, others=[("sigma", [1])], types=[strange])
    with pytest.raises(UsageError, match="6 reasons why it is not read:") as caught:
        load_onnx(path, input="x")
    parts = ["also needs the input sigma", "not read: NonZero, com.acme.Mine", "strange: type COMPLEX64"]
    parts += ["Conv window (gives b)", "AveragePool pool (gives c)", "DynamicQuantizeLinear dynamic"]
    assert [str(caught.value).count(part) for part in parts] == [1] * 6


def test_forms_inside_of_a_loop_are_told_at_once(tmp_path):
    inside = [
        N("Gather", ["steps", "i"], ["now"], axis=0),
        N("Resize", ["now", "", "ones"], ["r"], name="first", mode="linear", extrapolation_value=3.0),
        N("Conv", ["now", "w"], ["c"], name="second"),
        N("Sum", ["h", "r", "c"], ["after"]),
    ]
    value = helper.make_tensor_value_info
    body = helper.make_graph(inside, "b", [value("i", 7, []), value("go", 9, []), value("h", 1, [1, 4])],
                             [value("go", 9, []), value("after", 1, [1, 4])])  # fmt: skip
    nodes = [
        N("Transpose", ["x"], ["steps"], perm=[2, 0, 1]),
        N("Shape", ["steps"], ["sizes"]),
        N("Gather", ["sizes", "zero"], ["count"]),
        N("Loop", ["count", "true", "start"], ["last"], name="loop", body=body),
        N("Unsqueeze", ["last", "two"], ["wide"]),
        N("Add", ["x", "wide"], ["y"]),
    ]
    constants = {"zero": np.array(0), "true": np.array(True), "start": np.zeros((1, 4), np.float32),
                 "two": np.array([2]), "ones": np.ones(2, np.float32), "w": WEIGHT}  # fmt: skip
    reasons = told(saved(tmp_path / "m.onnx", nodes, constants), torch.randn(1, 4, 32))
    assert [r.partition(" (")[0] for r in reasons] == ["Resize first", "Conv second"]


def test_a_file_for_one_item_is_refused_for_its_forms_not_for_its_batch(tmp_path):
    path = saved(tmp_path / "m.onnx", [PADDED, WINDOW, POOL, HALF], FOUR, shape=(1, 4, 64))
    model = load_onnx(path)
    free_batch(model, (1, 4, 64))
    with pytest.raises(UnsupportedError, match="5 reasons why it is not read"):
        model(torch.zeros(1, 4, 64))
