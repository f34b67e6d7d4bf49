"""Whole ONNX models: both exporters of torch, TensorFlow's habits, and files of strangers."""

import os
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.export import Dim

from mediaconv.errors import UsageError
from mediaconv.model_files.onnx_file import load_onnx
from mediaconv.model_files.onnx_operators.node import UnsupportedError
from mediaconv.model_files.open_model import files_of, open_model
from mediaconv.nn import to_streaming
from mediaconv.nn.graph.capture.obstacles import obstacles_removed
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(2, c)
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return x + self.conv(torch.nn.functional.silu(self.norm(x)))


class UNet(nn.Module):
    """Down and up with skips, channel attention, a reshape by sizes, padding to whole blocks."""

    sized = True

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), Block(8), nn.Conv2d(8, 8, 2, 2))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), Block(8), nn.ConvTranspose2d(8, 12, 2, 2))
        self.squeeze = nn.Conv2d(12, 12, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x):
        n, _, h, w = x.shape
        y = self.up(self.down(x))
        y = y * torch.sigmoid(self.squeeze(y.mean((2, 3), keepdim=True)))
        y = torch.cat([y[:, :4], nn.functional.pad(y[:, 4:], (1, 0, 0, 0))[..., :-1]], 1)
        y = y.reshape(n, 3, 4, h, w).mean(2) if self.sized else y.unflatten(1, (3, 4)).mean(2)
        return nn.functional.interpolate(y, scale_factor=2, mode="bilinear")


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 6, 5, padding=2, padding_mode="replicate")
        self.lstm = nn.LSTM(6, 5, 2, batch_first=True)
        self.gru = nn.GRU(5, 4, bidirectional=True, batch_first=True)
        self.out = nn.Linear(8, 2)
        self.norm = nn.LayerNorm(6)

    def forward(self, x):
        y = self.norm(self.conv(x).transpose(1, 2))
        y = self.gru(self.lstm(y)[0])[0]
        return self.out(y).permute(0, 2, 1) * 2 + x.clamp(-1, 1)


class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv3d(1, 4, 3)
        self.b = nn.BatchNorm3d(4)
        self.c = nn.utils.parametrizations.weight_norm(nn.Conv3d(4, 2, (2, 1, 1), stride=(2, 1, 1)))

    def forward(self, x):
        y = torch.cat([x[:, :, :1], x[:, :, :1], x], 2)
        y = nn.functional.leaky_relu(self.b(self.a(nn.functional.pad(y, (1, 1, 1, 1)))), 0.1)
        first, second = self.c(y).chunk(2, 1)
        return torch.tanh(first) * torch.sigmoid(second)


MODELS = {
    "unet": (UNet, (1, 3, 16, 24), (1, 3, 24, 32)),
    "recurrent": (Recurrent, (1, 2, 30), (1, 2, 47)),
    "causal": (Causal, (1, 1, 6, 5, 7), (1, 1, 10, 9, 8)),
}


def exported(module, x, path, dynamo, opset):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = (dict.fromkeys(range(2, x.ndim), Dim.DYNAMIC),)
            torch.onnx.export(module, (x,), path, dynamo=True, opset_version=opset, dynamic_shapes=shapes,
                              verbose=False, external_data=opset == 18, input_names=["x"])  # fmt: skip
        else:
            axes = {"x": {i: f"d{i}" for i in range(2, x.ndim)}}
            torch.onnx.export(module, (x,), path, dynamo=False, opset_version=opset, dynamic_axes=axes,
                              input_names=["x"])  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dynamo", "opset"), [(False, 11), (False, 13), (False, 17), (True, 18), (True, 21)])
def test_torchs_exports_compute_what_onnxruntime_does(tmp_path, name, dynamo, opset):
    kind, small, large = MODELS[name]
    torch.manual_seed(0)
    model = kind().eval()
    if name == "causal":
        nn.utils.parametrize.remove_parametrizations(model.c, "weight")
    path = tmp_path / "model.onnx"
    try:
        exported(model, torch.randn(small), path, dynamo, opset)
    except Exception as error:
        if name == "recurrent" and dynamo:
            pytest.skip(f"torch does not export it: {type(error).__name__}")
        raise
    module = load_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in (small, large):
        x = torch.randn(shape)
        (wanted,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            # float32 sums in another order
            np.testing.assert_allclose(module(x).numpy(), wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dynamo", [False, True])
def test_a_module_from_onnx_is_exported_with_a_dynamic_length(tmp_path, name, dynamo):
    kind, small, large = MODELS[name]
    model = kind().eval()
    model.sized = False  # torch itself does not export this model with both sizes in a reshape
    path = tmp_path / "model.onnx"
    try:
        exported(model, torch.randn(small), path, dynamo, 18 if dynamo else 17)
    except Exception:
        if name == "recurrent" and dynamo:
            pytest.skip("torch does not export it")
        raise
    module = load_onnx(path).double()
    shapes = (dict.fromkeys(range(2, len(small)), Dim.AUTO),)
    with obstacles_removed(module):
        program = torch.export.export(module, (torch.randn(small).double(),), dynamic_shapes=shapes)
    x = torch.randn(large).double()
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), module(x), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(module(x), model.double()(x), rtol=1e-6, atol=1e-6)


def test_a_graph_in_the_manner_of_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    w, dw = (rng.standard_normal(s).astype(np.float32) for s in ((6, 3, 4, 3), (6, 1, 3, 3)))
    half = numpy_helper.from_array(np.array([0.5], np.float32), "half")
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "w"], ["b"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Conv", ["b", "dw"], ["c"], auto_pad="SAME_UPPER", group=6),
        helper.make_node("Clip", ["c", "zero", "six"], ["d"]),
        helper.make_node("Transpose", ["d"], ["e"], perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["e"], ["s"]),
        helper.make_node("Slice", ["s", "one", "three", "axis"], ["hw"]),
        helper.make_node("Cast", ["hw"], ["hwf"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["hwf", "half"], ["hw2"]),
        helper.make_node("Cast", ["hw2"], ["hwi"], to=TensorProto.INT64),
        helper.make_node("Shape", ["d"], ["sd"]),
        helper.make_node("Slice", ["sd", "axis", "two", "axis"], ["nc"]),
        helper.make_node("Concat", ["nc", "hwi"], ["sizes"], axis=0),
        helper.make_node("Resize", ["d", "", "", "sizes"], ["f"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="tf_half_pixel_for_nn"),
        helper.make_node("Transpose", ["f"], ["y"], perm=[0, 2, 3, 1]),
    ]  # fmt: skip
    constants = {"zero": np.float32(0), "six": np.float32(6), "one": np.array([1]), "two": np.array([2]),
                 "three": np.array([3]), "axis": np.array([0]), "w": w, "dw": dw}  # fmt: skip
    initial = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "tf", [info("x", TensorProto.FLOAT, [1, "h", "w", 3])],
        [info("y", TensorProto.FLOAT, None)], [*initial, half],
    )  # fmt: skip
    path = tmp_path / "tf.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    module = load_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 16, 20, 3), (1, 13, 9, 3)):
        x = rng.standard_normal(shape).astype(np.float32)
        (wanted,) = session.run(None, {"x": x})
        with torch.no_grad():
            np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), wanted, rtol=1e-4, atol=1e-5)


def small_model(**external):
    weight = numpy_helper.from_array(np.ones((2, 1, 3), np.float32), "w")
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in external.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, str(value)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, [1, 1, "t"])],
        [info(n, TensorProto.FLOAT, None) for n in ("y", "z")], [weight],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    data = np.ones(6, np.float32).tobytes()
    (tmp_path / "secret.bin").write_bytes(data)
    (inside / "good.bin").write_bytes(b"1234" + data)
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe.bin")
    return inside


def test_external_data_beside_the_model_is_read(folder):
    onnx.save(small_model(location="good.bin", offset=4, length=24), folder / "m.onnx")
    assert torch.equal(
        load_onnx(folder / "m.onnx", output="y")(torch.ones(1, 1, 5)), torch.full((1, 2, 3), 3.0)
    )


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("../secret.bin", "inside the model's folder"),
        ("a/../../secret.bin", "inside the model's folder"),
        ("/etc/passwd", "inside the model's folder"),
        ("C:\\secret.bin", "inside the model's folder"),
        ("..\\secret.bin", "inside the model's folder"),
        ("", "inside the model's folder"),
        ("link.bin", "leads out"),
        ("up/secret.bin", "leads out"),
        ("pipe.bin", "is no file"),
        ("none.bin", "no such file"),
        (".", "is no file"),
    ],
)
def test_external_data_elsewhere_is_refused(folder, location, words):
    onnx.save(small_model(location=location), folder / "m.onnx")
    with pytest.raises(UsageError, match=words):
        load_onnx(folder / "m.onnx", output="y")


@pytest.mark.parametrize("beside", ["link", "file", "linked data"])
def test_data_of_a_model_that_is_a_link_is_found_on_either_side_and_is_hashed(tmp_path, beside):
    stored, shown = tmp_path / "stored", tmp_path / "shown"
    stored.mkdir()
    shown.mkdir()
    onnx.save(small_model(location="w.bin"), stored / "a1")
    (shown / "m.onnx").symlink_to(stored / "a1")
    data = {"link": shown / "w.bin", "file": stored / "w.bin", "linked data": stored / "b2"}[beside]
    data.write_bytes(np.full(6, 2, np.float32).tobytes())
    if beside == "linked data":  # as caches of downloads lay their files: names lead to contents
        (shown / "w.bin").symlink_to(data)
    y = load_onnx(shown / "m.onnx", output="y")(torch.ones(1, 1, 5))
    assert torch.equal(y, torch.full((1, 2, 3), 6.0))
    assert data.resolve() in [file.resolve() for file in files_of(str(shown / "m.onnx"))]


def test_data_of_a_linked_model_that_leads_elsewhere_is_refused(tmp_path):
    stored, shown = tmp_path / "stored", tmp_path / "shown"
    stored.mkdir()
    shown.mkdir()
    onnx.save(small_model(location="w.bin"), stored / "m.onnx")
    (shown / "m.onnx").symlink_to(stored / "m.onnx")
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    (stored / "w.bin").write_bytes(bytes(24))
    (shown / "w.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(UsageError, match="leads out"):
        load_onnx(shown / "m.onnx", output="y")
    assert files_of(str(shown / "m.onnx")) == [shown / "m.onnx"]


@pytest.mark.parametrize("entries", [{"offset": 8}, {"offset": -4}, {"length": 12}, {"length": 2**40}])
def test_external_data_holds_exactly_the_tensor(folder, entries):
    onnx.save(small_model(location="good.bin", **entries), folder / "m.onnx")
    with pytest.raises(UsageError, match="are wanted; the file has 28"):
        load_onnx(folder / "m.onnx", output="y")


def test_huge_shapes_are_refused_before_anything_is_made(tmp_path):
    model = small_model()
    model.graph.initializer[0].dims[0] = 2**40
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="the weights exceed 8 GiB"):
        load_onnx(tmp_path / "m.onnx", output="y")
    model.graph.initializer[0].dims[0] = 3
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="takes 36 bytes, got 24"):
        load_onnx(tmp_path / "m.onnx", output="y")
    sizes = numpy_helper.from_array(np.array([1, 2**20, 2**20]), "sizes")
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["sizes"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "t"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [sizes],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="makes a tensor of shape"):
        load_onnx(tmp_path / "m.onnx")


LONG = np.ones((2**17, 1), np.float32)
BOMBS = {
    "Add": (["a", "b"], {}),
    "MatMul": (["a", "b"], {}),
    "Einsum": (["a", "b"], {"equation": "ij,kl->ijkl"}),
    "Pad": (["a", "pads"], {}),
    "Resize": (["r", "", "s"], {"mode": "nearest"}),
    "ConvTranspose": (["r", "w"], {"strides": [2**20]}),
    "Gather": (["b", "i"], {}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_constants_that_would_fill_the_memory_are_refused_before_they_are_made(tmp_path, kind):
    inputs, attributes = BOMBS[kind]
    tensors = {"a": LONG, "b": LONG.T, "pads": np.array([0, 0, 0, 2**16]), "i": np.zeros(2**17, np.int64)}
    tensors |= {"r": LONG.reshape(1, 1, -1), "s": np.array([1, 1, 2**12], np.float32)}
    tensors["w"] = np.ones((1, 1, 1), np.float32)
    nodes = [
        helper.make_node(kind, inputs, ["c"], **attributes),
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Add", ["x", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "t"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in tensors.items() if k in inputs],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=rf"{kind} .*makes a tensor of shape .*expected at most"):
        load_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", ["Pad", "Resize"])
def test_inputs_that_would_fill_memory_or_time_are_refused_before_anything_is_made(tmp_path, kind):
    far = {"Pad": np.array([0, 0, 10**11, 0, 0, 0]), "Resize": np.array([1, 1, 1e9], np.float32)}[kind]
    inputs = ["x", "s"] if kind == "Pad" else ["x", "", "s"]
    attributes = {} if kind == "Pad" else {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, ["y"], **attributes)],
        "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "t"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [numpy_helper.from_array(far, "s")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError, match="expected"):
        load_onnx(tmp_path / "m.onnx")(torch.ones(1, 1, 4))


def functions_model(depth, calls, last):
    """A model whose node F0 calls F1 `calls` times, F1 F2 so, and so on; the last calls `last`."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    functions = []
    for i in range(depth):
        kind, domain = (f"F{i + 1}", "mine") if i < depth - 1 else (last, "" if last == "Relu" else "mine")
        names = ["a", *(f"v{k}" for k in range(calls - 1)), "b"]
        nodes = [helper.make_node(kind, [names[k]], [names[k + 1]], domain=domain) for k in range(calls)]
        functions.append(helper.make_function("mine", f"F{i}", ["a"], ["b"], nodes, opsets))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("F0", ["x"], ["y"], domain="mine")], "g",
        [info("x", TensorProto.FLOAT, [1, 1, "t"])], [info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    return helper.make_model(graph, functions=functions, opset_imports=opsets)


def test_functions_of_a_file_are_put_in_place_and_those_without_end_are_refused(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(functions_model(5, 2, "Relu"), path)
    module = load_onnx(path)
    assert torch.equal(module(torch.tensor([[[-1.0, 2.0]]])), torch.tensor([[[0.0, 2.0]]]))
    onnx.save(functions_model(60, 2, "Relu"), path)
    with pytest.raises(UsageError, match=f"come to {2**60} nodes, expected at most"):
        load_onnx(path)
    onnx.save(functions_model(3, 1, "F0"), path)
    with pytest.raises(UsageError, match="'F0' calls itself"):
        load_onnx(path)


def test_inputs_outputs_and_operators_are_named_in_errors(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(small_model(), path)
    with pytest.raises(UsageError, match="output: the model has 2, expected one of y, z"):
        load_onnx(path)
    with pytest.raises(UsageError, match=r"output: got 'w', expected one of y, z"):
        load_onnx(path, output="w")
    with pytest.raises(UsageError, match=r"input: got 'xx', expected one of x \(did you mean 'x'\?\)"):
        load_onnx(path, input="xx", output="y")
    model = small_model()
    model.graph.node[0].op_type, model.graph.node[1].domain = "NonZero", "com.acme"
    onnx.save(model, path)
    with pytest.raises(UsageError, match=r"not read: NonZero, com\.acme\.Relu"):
        load_onnx(path, output="z")
    for opset in (9, 99):
        model = small_model()
        model.opset_import[0].version = opset
        onnx.save(model, path)
        with pytest.raises(UsageError, match=f"opset {opset}, expected 11 to"):
            load_onnx(path, output="z")


def test_damaged_files_are_errors(tmp_path):
    path = tmp_path / "m.onnx"
    data = small_model().SerializeToString()
    for content in (b"", b"hello", data[: len(data) // 2], os.urandom(200)):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            load_onnx(path, output="z")


def model_with_input(kind, more=(), weight=np.float32):
    """A convolution after a conversion, of an input in a type of ONNX."""
    info = helper.make_tensor_value_info
    w = np.arange(9, dtype=weight).reshape(1, 1, 9) / 8
    to = helper.np_dtype_to_tensor_dtype(np.dtype(weight))
    nodes = [helper.make_node("Cast", ["x"], ["c"], to=to), helper.make_node("Conv", ["c", "w"], ["y"]),
             *(helper.make_node("Add", ["y", name], ["z"]) for name in more[:1])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [info("x", kind, [1, 1, "t"]), *(info(name, TensorProto.FLOAT, []) for name in more)],
        [info("z" if more else "y", to, None)], [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_an_input_of_whole_numbers_is_refused(tmp_path):
    onnx.save(model_with_input(TensorProto.UINT8), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="takes uint8 numbers"):
        open_model(str(tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("kind", "weight"), [(TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)]
)
def test_a_model_in_another_precision_is_computed_in_float32_and_says_so(tmp_path, kind, weight):
    path = tmp_path / "m.onnx"
    onnx.save(model_with_input(kind, weight=weight), path)
    module = open_model(str(path))
    x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(1, 1, 40)
    wanted = np.correlate(x[0, 0], np.arange(9, dtype=np.float32) / 8, "valid")  # onnxruntime has no double
    ours = module(torch.from_numpy(x))
    assert ours.dtype == torch.float32
    # float32 sums in another order
    np.testing.assert_allclose(ours.detach().numpy()[0, 0], wanted, rtol=0, atol=1e-6)
    assert "not float32" in module.notes[0]


def test_inputs_that_nothing_gives_are_named(tmp_path):
    onnx.save(model_with_input(TensorProto.FLOAT, ("sigma", "unused")), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="also needs the input sigma:"):
        load_onnx(tmp_path / "m.onnx", input="x")


def test_reasons_name_the_nodes_of_the_file(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="enc/act"),
        helper.make_node("Concat", ["x", "a"], ["b"], name="enc/twice", axis=2),
        helper.make_node("Concat", ["a", "x"], ["c"], axis=2),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, ["n", 2, "t"])], [info("y", TensorProto.FLOAT, None)]
    )
    path = tmp_path / "twice.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(CaptureError) as refused:
        to_streaming(load_onnx(path), example=torch.zeros(1, 2, 16))
    why = "it puts one stream after another's end"
    assert refused.value.reasons == [f"Concat enc/twice (gives b): {why}", f"Concat (gives c): {why}"]


def test_sizes_are_padded_as_the_exports_of_dilated_convolutions_do(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "two", "three"], ["t"]),
        helper.make_node("Pad", ["t", "front", "less"], ["sizes"]),
        helper.make_node("Reshape", ["x", "sizes"], ["y"]),
    ]
    constants = {"two": [2], "three": [3], "front": [1, 0], "less": -1}
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, ["n", 2, "t"])], [info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()],
    )  # fmt: skip
    path = tmp_path / "sizes.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    x = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
    (wanted,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert np.array_equal(load_onnx(path)(torch.from_numpy(x)).numpy(), wanted)


@pytest.mark.parametrize("end", [10**9, 2**31 - 1, 2**63 - 1])
def test_a_slice_to_a_number_past_every_length_streams_to_the_end(tmp_path, end):
    constants = [numpy_helper.from_array(np.array([n]), name) for n, name in ((2, "s"), (end, "e"), (2, "a"))]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2, None]) for n in "xy")
    nodes = [helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Slice", ["t", "s", "e", "a"], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "cut.onnx"
    onnx.save(model, path)
    graph = to_streaming(load_onnx(path), example=torch.zeros(1, 2, 64))
    given = torch.randn(1, 2, 500)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": given.numpy()})
    streamed = run_chunks(graph, given.split(70, 2), 0)
    # tanh is another function of the C library's there, and differs in the last bit
    np.testing.assert_allclose(streamed.numpy(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "factor", ["scales", ", sizes"], ids=["scales of seven tenths", "sizes of five halves"]
)
def test_a_resize_by_no_whole_factor_is_computed_at_the_end(tmp_path, factor):
    path = tmp_path / "resize.onnx"
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g (float[1, 2, t] x) => (float[1, 2, s] y)
    <int64[3] five = {{1, 1, 5}}, int64[3] half = {{1, 1, 2}}, float[3] scales = {{1, 1, 0.7}}> {{
      own = Shape (x)
      more = Mul (own, five)
      sizes = Div (more, half)
      y = Resize <mode = "linear"> (x, , {factor})
    }}"""
    onnx.save(onnx.parser.parse_model(text), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    graph = to_streaming(load_onnx(path), example=torch.zeros(1, 2, 48))
    for length in (40, 47, 120):
        x = torch.randn(1, 2, length)
        (wanted,) = session.run(None, {"x": x.numpy()})
        # where an output lies is rounded to float32, at 120 by some 1e-5, in another order than onnxruntime's
        np.testing.assert_allclose(run_chunks(graph, x.split(7, 2)).numpy(), wanted, rtol=0, atol=1e-4)


class Window(nn.Module):
    """Attention in a window of the past; the newer exporter writes numbers of its mask as initializers."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(2, 12)

    def forward(self, x):
        q, k, v = self.mix(x.mT)[:, None].chunk(3, -1)
        i = torch.arange(x.shape[2])
        distance = i[:, None] - i[None]
        mask = (distance >= 0) & (distance < 6)
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)[:, 0].mT


def test_attention_by_the_newer_exporter_streams(tmp_path):
    torch.manual_seed(0)
    path, x = tmp_path / "model.onnx", torch.randn(1, 2, 50)
    exported(Window().eval(), x, path, dynamo=True, opset=18)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x.numpy()})
    with torch.no_grad():
        y = run_chunks(to_streaming(load_onnx(path), example=x), x.split([1, 7, 30, 12], 2))
    np.testing.assert_allclose(y.numpy(), wanted, rtol=0, atol=1e-6)  # float32 sums in another order
