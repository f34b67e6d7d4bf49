"""Quantized models against onnxruntime, with its optimizations and without, and in chunks."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from torch import Tensor, nn

from mediaconv.errors import UsageError
from mediaconv.model_files.onnx_file import load_onnx
from mediaconv.nn import stream, to_streaming

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # exports and captures
UINT8, INT8, UINT16 = QuantType.QUInt8, QuantType.QInt8, QuantType.QUInt16


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.c = nn.Conv1d(3, 16, 5, padding=2), nn.Conv1d(16, 4, 1)
        self.b, self.pool = nn.Conv1d(16, 16, 3, padding=2, dilation=2, groups=4), nn.MaxPool1d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        y = y + torch.sigmoid(self.b(self.pool(y)))
        return self.c(torch.cat([y[:, :8] * 2, y[:, 8:]], 1))


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.up = nn.Linear(3, 12), nn.Linear(12, 4), nn.ConvTranspose1d(4, 4, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.b(torch.relu(self.a(x.transpose(1, 2)))).transpose(1, 2))


class Examples(CalibrationDataReader):
    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.left = [generator.standard_normal((1, 3, 64)).astype(np.float32) for _ in range(4)]

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


@pytest.fixture(scope="module", params=[Branches, Products])
def exported(request, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("quantized") / "float.onnx"
    axes = {"x": {0: "n", 2: "t"}, "y": {0: "n", 2: "t"}}
    names = {"input_names": ["x"], "output_names": ["y"]}
    x = torch.randn(1, 3, 64)
    torch.onnx.export(request.param().eval(), (x,), str(path), dynamo=False, dynamic_axes=axes, **names)
    return path


def by_onnxruntime(path, x: Tensor, optimized: bool) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


FORMS = {
    "unsigned": {"activation_type": UINT8, "weight_type": UINT8},
    "mixed": {"activation_type": UINT8, "weight_type": INT8},
    "by channel": {"activation_type": INT8, "weight_type": INT8, "per_channel": True},
    "operators": {"quant_format": QuantFormat.QOperator, "op_types_to_quantize": ["Conv", "MatMul"]},
    "16 bits": {"activation_type": UINT16, "weight_type": INT8},
}


LONG = ("unsigned", "16 bits")


@pytest.mark.parametrize("form", [pytest.param(f, marks=pytest.mark.long) if f in LONG else f for f in FORMS])
def test_a_quantized_model_is_onnxruntimes_and_streams(exported, tmp_path, form):
    path = tmp_path / "m.onnx"
    quantize_static(exported, path, Examples(), **{"quant_format": QuantFormat.QDQ, **FORMS[form]})
    x = torch.randn(2, 3, 300)
    module = load_onnx(path).eval()
    wanted = by_onnxruntime(path, x, optimized=False)
    with torch.no_grad():
        y = module(x)
        s = stream(to_streaming(module, example=torch.randn(1, 3, 64)))
        ours = torch.cat([s.push(x[:, :, :7]), s.push(x[:, :, 7:200]), s.push(x[:, :, 200:]), s.flush()], 2)
    if form == "16 bits":
        # sums in another order may round to the next of 65,536 steps
        assert float((y - wanted).abs().max()) < 2e-4
        assert float((ours - y).abs().max()) < 2e-4
        return
    # whole numbers are summed: not a bit differs, by whichever way onnxruntime goes
    assert torch.equal(y, wanted)
    assert torch.equal(y, by_onnxruntime(path, x, optimized=True))
    assert torch.equal(ours, y)


def test_scales_that_follow_from_the_whole_are_refused(exported, tmp_path):
    quantize_dynamic(exported, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"DynamicQuantizeLinear .*which no chunk knows.*quantize_static"):
        load_onnx(tmp_path / "m.onnx")


def test_operators_of_onnxruntimes_own_are_refused_with_the_way_out(exported, tmp_path):
    quantize_static(exported, tmp_path / "m.onnx", Examples(), quant_format=QuantFormat.QOperator)
    model = onnx.load(tmp_path / "m.onnx")
    if not any(n.domain == "com.microsoft" for n in model.graph.node):
        pytest.skip("onnxruntime wrote none")
    with pytest.raises(UsageError, match=r"com\.microsoft\..*QuantFormat\.QDQ"):
        load_onnx(tmp_path / "m.onnx")


def saved(path, nodes, x, **tensors):
    value = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    initial = [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    graph = helper.make_graph(nodes, "g", [value], [helper.make_empty_tensor_value_info("y")], initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("axis", [None, 1])
def test_values_are_rounded_to_even_and_held_in_their_range(tmp_path, kind, axis):
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    steps = np.concatenate([np.arange(low - 3, low + 9), np.arange(high - 9, high + 3)]).astype(np.float32)
    x = np.stack([steps, steps + 0.5, steps * 0.5])[None].astype(np.float32)
    count = 1 if axis is None else 3
    scale = np.array([1.0, 0.5, 0.25][:count], np.float32)
    zero = np.array([1, 0, 3][:count], kind)
    if axis is None:
        scale, zero = scale[0], zero[0]
    options = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **options),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **options),
    ]
    saved(tmp_path / "m.onnx", nodes, x, s=np.asarray(scale), z=np.asarray(zero))
    wanted = by_onnxruntime(tmp_path / "m.onnx", torch.from_numpy(x), optimized=False)
    assert torch.equal(load_onnx(tmp_path / "m.onnx")(torch.from_numpy(x)), wanted)


def test_a_scale_for_each_position_of_the_stream_is_refused(tmp_path):
    x = np.zeros((1, 3, 24), np.float32)
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=2)]
    saved(tmp_path / "m.onnx", nodes, x, s=np.ones(24, np.float32), z=np.zeros(24, np.uint8))
    with pytest.raises((TypeError, ValueError)):
        to_streaming(load_onnx(tmp_path / "m.onnx"), example=torch.zeros(1, 3, 24))


def test_integer_products_of_a_quantized_input_are_onnxruntimes(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 3, 20)).astype(np.float32)
    w = generator.integers(-128, 128, (4, 3, 3)).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("ConvInteger", ["q", "w", "z"], ["i"], pads=[1, 1]),
        helper.make_node("Cast", ["i"], ["y"], to=1),
    ]
    saved(tmp_path / "m.onnx", nodes, x, s=np.array(0.02, np.float32), z=np.array(100, np.uint8), w=w)
    wanted = by_onnxruntime(tmp_path / "m.onnx", torch.from_numpy(x), optimized=False)
    assert torch.equal(load_onnx(tmp_path / "m.onnx")(torch.from_numpy(x)), wanted)
