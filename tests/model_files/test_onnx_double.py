"""ONNX models in 64 bits: a run in float64 computes with the file's own weights, not with rounded ones."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import mediaconv


@pytest.mark.parametrize("axes", ["n c t", "n t c"])
def test_weights_in_64_bits_are_not_rounded_in_a_run_in_float64(tmp_path, axes):
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((3, 2, 5)), rng.standard_normal(3)
    last = axes == "n t c"
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1] if last else [0, 1, 2]),
        helper.make_node("Conv", ["a", "w", "b"], ["c"], pads=[2, 2]),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 1] if last else [0, 1, 2]),
    ]
    info = helper.make_tensor_value_info
    shape = ["n", "t", 2] if last else ["n", 2, "t"]
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.DOUBLE, shape)], [info("y", TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )  # fmt: skip
    path = tmp_path / "double.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    x = rng.standard_normal((2, 40))
    # onnxruntime has no convolution in float64
    (wanted,) = ReferenceEvaluator(str(path)).run(None, {"x": x.T[None] if last else x[None]})
    stack = [{"model": {"file": str(path), "axes": axes}}]
    y = mediaconv.convert(stack, x, normalize="none", precision="float64", chunk=7)
    np.testing.assert_allclose(y, wanted[0].T if last else wanted[0], rtol=0, atol=1e-13)
