"""The nodes of an ONNX file in an order in which they can be computed, as onnxruntime sorts them."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mediaconv.errors import UsageError
from mediaconv.model_files.onnx_file import load_onnx

FLOAT = TensorProto.FLOAT
node = helper.make_node


def saved(path: Path, *nodes, initializers=(), output: str = "y") -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, (1, 1, "t"))],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        initializer=list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_nodes_that_stand_before_what_they_read_are_sorted(tmp_path: Path) -> None:
    chain = [node("Sigmoid", [f"v{i}"], [f"v{i + 1}"]) for i in range(1, 2000)]
    path = saved(
        tmp_path / "m.onnx",
        node("Add", ["v2000", "v1"], ["y"]),
        *reversed(chain),
        node("Relu", ["x"], ["v1"]),
    )
    x = np.linspace(-2, 2, 9, dtype=np.float32)[None, None]
    (wanted,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    # sigmoid differs in its last bit
    np.testing.assert_allclose(load_onnx(path)(torch.from_numpy(x)).detach().numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "output", "told"),
    [
        (
            [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Add", ["a", "b"], ["y"])],
            "y",
            "a circle",
        ),
        ([node("Add", ["x", "y"], ["y"], name="own")], "y", "Add (own) reads what follows from its own"),
        ([node("Add", ["x", "lost"], ["y"])], "y", "nothing gives 'lost', which Add (gives y) reads"),
        ([node("Relu", ["x"], ["y"])], "z", "nothing gives the output 'z'"),
        ([node("Relu", ["x"], ["y"]), node("Sigmoid", ["x"], ["y"])], "y", "two nodes give 'y'"),
    ],
)
def test_a_graph_that_no_order_makes_good_is_refused_by_the_name_at_fault(
    tmp_path: Path, nodes, output: str, told: str
) -> None:
    path = saved(tmp_path / "m.onnx", *nodes, output=output)
    with pytest.raises(Exception, match=r"ONNXRuntimeError|[Ii]nvalid|Duplicate|not output"):
        onnxruntime.InferenceSession(path)
    with pytest.raises(UsageError) as refused:
        load_onnx(path)
    assert f"{path}: its graph is inconsistent: " in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (node("Conv", ["x", "w"], ["y"], kernel_shape=[5]), "kernel_shape: got [5], and a weight of [3]"),
        (
            node("Conv", ["x", "w"], ["y"], auto_pad="ALL"),
            "auto_pad: got 'ALL', expected one of NOTSET, SAME",
        ),
        (node("ConvTranspose", ["x", "w"], ["y"], auto_pad="ALL"), "auto_pad: got 'ALL'"),
        (node("Resize", ["x", "", "s"], ["y"]), "scales: got [1.0, 1.0, -2.0], expected numbers above 0"),
    ],
)
def test_attributes_that_runtimes_refuse_are_refused(tmp_path: Path, wrong, told: str) -> None:
    constants = [
        numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "w"),
        numpy_helper.from_array(np.array([1, 1, -2], np.float32), "s"),
    ]
    path = saved(tmp_path / "m.onnx", wrong, initializers=constants)
    x = np.ones((1, 1, 8), np.float32)
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        onnxruntime.InferenceSession(path).run(None, {"x": x})
    with pytest.raises(ValueError, match=re.escape(told)):
        load_onnx(path)(torch.from_numpy(x))
