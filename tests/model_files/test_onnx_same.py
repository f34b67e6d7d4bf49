"""TensorFlow's SAME padding under strides, which follows from the file's length, from array to array."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import mediaconv
from mediaconv.errors import UsageError


def strided(path, dims, opset, upper):
    """A convolution, a pool and a depthwise convolution, each with a stride of two or three."""
    rng = np.random.default_rng(dims)
    w, dw = (rng.standard_normal(s).astype(np.float32) for s in ((4, 2, *[3] * dims), (4, 1, *[2] * dims)))
    pads = {"auto_pad": "SAME_UPPER" if upper else "SAME_LOWER"}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2] * dims, **pads),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[3] * dims, strides=[2] * dims, **pads),
        helper.make_node("Conv", ["b", "dw"], ["y"], strides=[3] * dims, group=4, **pads),
    ]
    info, initial = helper.make_tensor_value_info, {"w": w, "dw": dw}
    graph = helper.make_graph(
        nodes, "same", [info("x", TensorProto.FLOAT, ["n", 2, *"thw"[:dims]])],
        [info("y", TensorProto.FLOAT, None)], [numpy_helper.from_array(v, k) for k, v in initial.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path)
    )


@pytest.mark.parametrize(
    ("dims", "opset", "upper"), [(1, 11, True), pytest.param(2, 21, False, marks=pytest.mark.slow)]
)
def test_every_remainder_of_the_length_gives_what_onnxruntime_does(tmp_path, dims, opset, upper):
    path = tmp_path / "same.onnx"
    strided(path, dims, opset, upper)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for n in range(24, 36):
        x = rng.standard_normal((2, n, 15)[: dims + 1]).astype(np.float32)
        (wanted,) = session.run(None, {"x": x[None]})
        y = mediaconv.convert([{"model": str(path)}], x, normalize="none", chunk=5)
        np.testing.assert_allclose(y, wanted[0], rtol=1e-4, atol=1e-5)


def test_an_iterator_does_not_tell_its_length_before_its_end(tmp_path):
    path = tmp_path / "same.onnx"
    strided(path, 1, 17, upper=True)
    x = np.zeros((2, 25), np.float32)
    with pytest.raises(UsageError, match=r"padding in front follows from the input's length"):
        list(mediaconv.convert([{"model": str(path)}], iter([x[:, :9], x[:, 9:]]), normalize="none"))
