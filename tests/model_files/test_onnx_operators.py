"""Every operator, in the forms of old and new opsets, against onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mediaconv.errors import UsageError
from mediaconv.model_files.onnx_file import load_onnx

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def i64(*values):
    return np.array(values, dtype=np.int64)


def node(kind, x, *constants, outputs=1, **attributes):
    return (kind, x, constants, outputs, attributes)


X3, X4, X5 = f(2, 4, 12), f(2, 4, 8, 6), f(1, 4, 5, 6, 4)
X7 = np.random.default_rng(2).standard_normal((7, 2, 4)).astype(np.float32)
POSITIVE = np.abs(X4) + 0.5
UNIT = np.tanh(X4) * 0.9
W, R, B = (f(2, 12, 4) * 0.4, f(2, 12, 3) * 0.4, f(2, 24) * 0.4)
P = np.random.default_rng(1).standard_normal((2, 9)).astype(np.float32)
CASES = {
    "conv1d": node("Conv", X3, f(6, 4, 3), f(6), pads=[1, 1]),
    "conv-asymmetric": node("Conv", X3, f(6, 4, 3), pads=[2, 0], dilations=[2]),
    "conv-groups": node("Conv", X4, f(8, 2, 3, 3), f(8), group=2, strides=[2, 1], pads=[1, 1, 1, 1]),
    "conv-same-upper": node("Conv", X4, f(3, 4, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv-same-lower": node("Conv", X3, f(3, 4, 4), auto_pad="SAME_LOWER", dilations=[1]),
    "conv-valid": node("Conv", X3, f(3, 4, 4), auto_pad="VALID"),
    "conv3d": node("Conv", X5, f(2, 4, 3, 3, 3), pads=[2, 1, 1, 0, 1, 1]),
    "transposed": node("ConvTranspose", X3, f(4, 3, 4), f(3), strides=[2], pads=[1, 1]),
    "transposed-trim": node("ConvTranspose", X3, f(4, 3, 5), strides=[2], pads=[0, 3]),
    "transposed-2d": node(
        "ConvTranspose", X4, f(4, 2, 3, 3), strides=[2, 2], pads=[1] * 4, output_padding=[1, 1], group=2
    ),
    "max-pool": node("MaxPool", X4, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
    "max-pool-left": node("MaxPool", X3, kernel_shape=[3], pads=[2, 0]),
    "max-pool-ceil": node("MaxPool", X3, kernel_shape=[5], strides=[3], ceil_mode=1),
    "max-pool-same": node("MaxPool", X3, kernel_shape=[4], strides=[3], auto_pad="SAME_UPPER"),
    "average-pool": node("AveragePool", X4, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0]),
    "average-pool-counted": node("AveragePool", X3, kernel_shape=[3], pads=[1, 1], count_include_pad=1),
    "average-pool-left": node("AveragePool", X3, kernel_shape=[3], pads=[2, 0]),
    "average-pool-left-counted": node("AveragePool", X3, kernel_shape=[3], pads=[2, 0], count_include_pad=1),
    "global-average": node("GlobalAveragePool", X4),
    "global-max": node("GlobalMaxPool", X5),
    "batch-norm": node("BatchNormalization", X4, f(4), f(4), f(4), np.abs(f(4)), epsilon=1e-3),
    "instance-norm": node("InstanceNormalization", X3, f(4), f(4)),
    "lrn": node("LRN", X4, size=3, alpha=0.2, bias=1.5),
    "lp-norm": node("LpNormalization", X3, axis=1),
    "mvn": node("MeanVarianceNormalization", X4),
    "softmax": node("Softmax", X3, axis=1),
    "softmax-default": node("Softmax", X3),
    "log-softmax": node("LogSoftmax", X4, axis=2),
    "gemm": node("Gemm", f(3, 4), f(5, 4), f(5), transB=1),
    "gemm-scaled": node("Gemm", f(4, 3), f(4, 5), f(3, 5), transA=1, alpha=0.5, beta=2.0),
    "matmul": node("MatMul", X4, f(6, 5)),
    "depth-to-space": node("DepthToSpace", X4, blocksize=2),
    "depth-to-space-crd": node("DepthToSpace", X4, blocksize=2, mode="CRD"),
    "space-to-depth": node("SpaceToDepth", X4, blocksize=2),
    "pad": node("Pad", X4, i64(0, 0, 2, 1, 0, 0, 0, 3), np.float32(0.5)),
    "pad-channels": node("Pad", X3, i64(0, 1, 0, 0, 2, 0)),
    "pad-crop": node("Pad", X3, i64(0, 0, -2, 0, 0, 1)),
    "pad-reflect": node("Pad", X4, i64(0, 0, 2, 1, 0, 0, 0, 3), mode="reflect"),
    "pad-edge": node("Pad", X5, i64(0, 0, 2, 1, 0, 0, 0, 0, 0, 1), mode="edge"),
    "pad-edge-middle": node("Pad", X4, i64(0, 2, 1, 0, 0, 0, 0, 0), mode="edge"),
    "slice": node("Slice", X4, i64(1, -3), i64(2**63 - 1, -1), i64(2, 3)),
    "slice-far": node("Slice", X4, i64(1, -(10**9)), i64(10**9, 2**31 - 1), i64(2, 3)),
    "slice-from-the-least": node("Slice", X3, i64(-(2**63)), i64(2**63 - 1), i64(2)),
    "slice-reversed-far": node("Slice", X3, i64(-1), i64(-(10**9)), i64(2), i64(-1)),
    "slice-step": node("Slice", X3, i64(1), i64(11), i64(2), i64(3)),
    "slice-reversed": node("Slice", X3, i64(-1), i64(-(2**63)), i64(2), i64(-1)),
    "transpose": node("Transpose", X4, perm=[0, 2, 3, 1]),
    "reshape": node("Reshape", X4, i64(0, 2, 2, -1)),
    "flatten": node("Flatten", X4),
    "flatten-2": node("Flatten", X4, axis=2),
    "expand": node("Expand", f(2, 1, 3), i64(4, 1)),
    "tile": node("Tile", X3, i64(1, 2, 1)),
    "gather": node("Gather", X4, i64(2, 0, -1), axis=1),
    "gather-one": node("Gather", X4, np.int64(1), axis=2),
    "gather-range": node("Gather", X4, i64(1, 3), axis=1),
    "gather-table": node("Gather", X4, np.array([[0, 1], [2, 3]]), axis=3),
    "gather-elements": node("GatherElements", f(3, 4), np.array([[0, 1, 2, 0], [2, 1, 0, 1]]), axis=0),
    "concat": node("Concat", X3, f(2, 3, 12), axis=1),
    "trilu": node("Trilu", f(4, 4), np.int64(1), upper=0),
    "cumsum": node("CumSum", X3, np.int64(2)),
    "prelu": node("PRelu", X4, f(4, 1, 1)),
    "clip": node("Clip", X3, np.float32(-0.5), np.float32(0.7)),
    "clip-high": node("Clip", X3, None, np.float32(0.7)),
    "leaky-relu": node("LeakyRelu", X3, alpha=0.2),
    "elu": node("Elu", X3, alpha=0.5),
    "celu": node("Celu", X3, alpha=0.5),
    "selu": node("Selu", X3),
    "hard-sigmoid": node("HardSigmoid", X3, alpha=0.3),
    "thresholded-relu": node("ThresholdedRelu", X3, alpha=0.3),
    "shrink": node("Shrink", X3, lambd=0.3, bias=0.1),
    "dropout": node("Dropout", X3),
    "cast": node("Cast", X3 * 3, to=TensorProto.INT32),
    "where": node("Where", X3 > 0, f(2, 4, 12), np.float32(2)),
    "einsum": node("Einsum", X3, f(5, 4), equation="nct,dc->ndt"),
    "resize-nearest": node(
        "Resize", X4, None, np.array([1, 1, 2, 3], np.float32), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    "resize-tensorflow": node("Resize", X4, None, None, i64(2, 4, 16, 12), mode="nearest"),
    "resize-down": node(
        "Resize", X4, None, np.array([1, 1, 0.5, 0.5], np.float32), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    "resize-channels-last": node("Resize", X4, None, np.array([1, 2, 2, 1], np.float32), mode="nearest"),
    "resize-linear": node("Resize", X4, None, np.array([1, 1, 2, 2], np.float32), mode="linear"),
    "resize-linear-1d": node("Resize", X3, None, np.array([1, 1, 3], np.float32), mode="linear"),
    "resize-linear-sizes": node("Resize", X4, None, None, i64(2, 4, 11, 17), mode="linear"),
    "resize-corners": node(
        "Resize", X4, None, np.array([1, 1, 2, 2], np.float32), mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "resize-cubic": node("Resize", X4, None, np.array([1, 1, 2, 2], np.float32), mode="cubic"),
    **{
        f"resize-{mode}-{transform}-{scale:.2f}": node(
            "Resize", X4, None, np.array([1, 1, scale, 2], np.float32), mode=mode,
            coordinate_transformation_mode=transform, **more,
        )
        for scale in (3, 1.5, 0.5)
        for transform in ("half_pixel", "asymmetric")
        for mode, more in (
            ("nearest", {"nearest_mode": "ceil"}), ("nearest", {"nearest_mode": "round_prefer_ceil"}),
            ("linear", {}), ("cubic", {"cubic_coeff_a": -0.5}), ("cubic", {"exclude_outside": 1}),
        )
    },
    "max-pool-wide-padding": node("MaxPool", X3, kernel_shape=[3], strides=[2], pads=[2, 2]),
    "max-pool-ceil-one-side": node("MaxPool", X3, kernel_shape=[4], strides=[3], pads=[2, 1], ceil_mode=1),
    "average-wide-padding": node("AveragePool", X3, kernel_shape=[3], strides=[2], pads=[2, 1]),
    "average-ceil-one-side": node(
        "AveragePool", X3, kernel_shape=[4], strides=[3], pads=[2, 1], ceil_mode=1, count_include_pad=1
    ),
    "transposed-shape": node("ConvTranspose", X3, f(4, 3, 4), strides=[2], output_shape=[24]),
    "transposed-shape-upper": node(
        "ConvTranspose", X4, f(4, 3, 3, 3), strides=[2, 2], output_shape=[16, 11], auto_pad="SAME_UPPER"
    ),
    "lstm": node("LSTM", f(7, 2, 4), W[:1], R[:1], B[:1], hidden_size=3),
    "lstm-both": node("LSTM", f(7, 2, 4), W, R, B, hidden_size=3, direction="bidirectional", outputs=3),
    "lstm-reverse": node("LSTM", f(7, 2, 4), W[:1], R[:1], hidden_size=3, direction="reverse"),
    "lstm-state": node(
        "LSTM", f(7, 2, 4), W[:1], R[:1], B[:1], None, f(1, 2, 3), f(1, 2, 3), hidden_size=3, outputs=3
    ),
    "gru": node("GRU", f(7, 2, 4), W[:1, :9], R[:1, :9], B[:1, :18], hidden_size=3, linear_before_reset=1),
    "gru-before": node("GRU", X7, W[:1, :9], R[:1, :9], B[:1, :18], None, f(1, 2, 3), hidden_size=3,
                       outputs=2),
    "gru-before-both": node("GRU", X7, W[:, :9], R[:, :9], hidden_size=3, outputs=2,
                            direction="bidirectional"),
    "gru-others": node("GRU", X7, W[:1, :9], R[:1, :9], B[:1, :18], hidden_size=3, linear_before_reset=1,
                       activations=["HardSigmoid", "ScaledTanh"], activation_alpha=[0.3, 1.5], clip=0.8,
                       activation_beta=[0.4, 0.7], direction="reverse"),
    "gru-affine": node("GRU", X7, W[:1, :9], R[:1, :9], hidden_size=3, activations=["Sigmoid", "Affine"],
                       activation_alpha=[0.5], activation_beta=[0.1]),
    "rnn": node("RNN", X7, W[:1, :3], R[:1, :3], B[:1, :6], None, f(1, 2, 3), hidden_size=3, outputs=2),
    "rnn-relu": node("RNN", f(7, 2, 4), W[:, :3], R[:, :3], hidden_size=3, direction="bidirectional",
                     activations=["Relu", "Relu"]),
    "rnn-mixed": node("RNN", X7, W[:, :3], R[:, :3], B[:, :6], hidden_size=3, direction="bidirectional",
                      activations=["LeakyRelu", "Softsign"], activation_alpha=[0.2], outputs=2),
    "rnn-elu": node("RNN", f(7, 2, 4), W[:1, :3], R[:1, :3], hidden_size=3, activations=["Elu"], clip=2.0),
    "rnn-lengths": node("RNN", X7, W[:1, :3], R[:1, :3], None, np.array([7, 7], np.int32), hidden_size=3),
    "lstm-peepholes": node("LSTM", f(7, 2, 4), W[:1], R[:1], B[:1], None, f(1, 2, 3), f(1, 2, 3), P[:1],
                           hidden_size=3, outputs=3),
    "lstm-coupled": node("LSTM", X7, W, R, B, hidden_size=3, input_forget=1, direction="bidirectional"),
    "lstm-clipped": node("LSTM", f(7, 2, 4), W, R, B, None, None, None, P, hidden_size=3, clip=0.5,
                         direction="bidirectional", outputs=3),
    "lstm-others": node("LSTM", f(7, 2, 4), W[:1], R[:1], B[:1], hidden_size=3, outputs=3,
                        activations=["HardSigmoid", "Softplus", "ThresholdedRelu"],
                        activation_alpha=[0.3, 0.1], activation_beta=[0.4]),
    "reversed": node("ReverseSequence", X3, i64(2, 2, 2, 2), batch_axis=1, time_axis=0),
}  # fmt: skip
CASES |= {
    kind.lower(): node(kind, X3)
    for kind in [
        "Relu",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "Exp",
        "Neg",
        "Abs",
        "Sin",
        "Cos",
        "Atan",
        "Erf",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Sinh",
        "Cosh",
        "Asinh",
        "HardSwish",
        "Identity",
        "Mish",
        "Gelu",
    ]
}
CASES |= {kind.lower(): node(kind, POSITIVE) for kind in ("Log", "Sqrt", "Reciprocal")}
CASES |= {kind.lower(): node(kind, UNIT) for kind in ("Asin", "Acos", "Atanh", "Tan")}
CASES |= {
    kind.lower(): node(kind, X4, f(6) + 3)
    for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
}
CASES |= {"pow": node("Pow", POSITIVE, np.float32(1.5)), "mod": node("Mod", X3, np.float32(0.7), fmod=1)}
CASES |= {f"{k.lower()}-of-three": node(k, X3, f(4, 1), f(12)) for k in ("Sum", "Mean", "Max", "Min")}
REDUCED = "Mean Sum Max Min L1 L2 SumSquare LogSumExp Prod".split()  # noqa: SIM905

OLDER = {
    11: {
        "squeeze": node("Squeeze", f(2, 1, 3), axes=[1]),
        "unsqueeze": node("Unsqueeze", X3, axes=[0, 2]),
        "split": node("Split", X3, split=[1, 3], axis=1, outputs=2),
        "reduce-sum": node("ReduceSum", X4, axes=[1, 3], keepdims=0),
        "upsample-11": CASES["resize-nearest"],
        "softmax-2d": node("Softmax", X4, axis=2),
    },
    13: {
        "squeeze": node("Squeeze", f(2, 1, 3), i64(1)),
        "unsqueeze": node("Unsqueeze", X3, i64(0, -1)),
        "split": node("Split", X3, i64(1, 3), axis=1, outputs=2),
        "reduce-sum": node("ReduceSum", X4, i64(1, 3), keepdims=0),
        "reduce-mean": node("ReduceMean", X4, axes=[1]),
    },
    18: {
        "split-count": node("Split", X3, axis=2, num_outputs=3, outputs=3),
        "pad-axes": node("Pad", X4, i64(1, 2), None, i64(3)),
        "pad-axes-last": node("Pad", X4, i64(1, 2), None, i64(-1)),
        "layer-norm": node("LayerNormalization", X4, f(6), f(6)),
        "layer-norm-two": node("LayerNormalization", X4, f(8, 6), axis=-2),
        "group-norm-18": node("GroupNormalization", X4, f(2), f(2), num_groups=2),
        "resize-axes": node("Resize", X4, None, np.array([2.0], np.float32), axes=[3], mode="nearest"),
        **{f"reduce-{k}": node(f"Reduce{k}", POSITIVE, i64(1, -1)) for k in REDUCED},
    },
    21: {
        "group-norm-21": node("GroupNormalization", X4, f(4), f(4), num_groups=2),
        "gelu-tanh": node("Gelu", X3, approximate="tanh"),
    },
    23: {"rms-norm": node("RMSNormalization", X4, f(6))},
}  # fmt: skip
SINCE = {"mish": 18, "gelu": 20, "hardswish": 14, "trilu": 14, "celu": 12, "einsum": 12, "greaterorequal": 12,
         "lessorequal": 12}  # fmt: skip


def model_of(case, opset):
    kind, x, constants, outputs, attributes = case
    names = ["x", *(f"c{i}" if c is not None else "" for i, c in enumerate(constants))]
    initial = [
        numpy_helper.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants) if c is not None
    ]
    ys = [f"y{i}" for i in range(outputs)]
    if kind == "Resize" and opset < 13:  # its inputs could not be left out
        names = [name or "none" for name in names]
        initial.append(numpy_helper.from_array(np.zeros(0, np.float32), "none"))
    made = helper.make_node(kind, names, ys, **attributes)
    x = np.asarray(x)
    value = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    infos = [helper.make_empty_tensor_value_info(y) for y in ys]
    graph = helper.make_graph([made], "g", [value], infos, initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def expected(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})


def all_cases():
    for opset in (11, 13, 18, 22):
        for name, case in CASES.items():
            if opset >= SINCE.get(name, 11):
                yield pytest.param(case, opset, id=f"{name}-{opset}")
    for opset, cases in OLDER.items():
        for name, case in cases.items():
            yield pytest.param(case, opset, id=f"{name}-{opset}")


@pytest.mark.parametrize(("case", "opset"), list(all_cases()))
def test_an_operator_computes_what_onnxruntime_does(tmp_path, case, opset):
    model = model_of(case, opset)
    x = np.asarray(case[1])
    try:
        wanted = expected(model, x)
    except Exception as error:  # forms that onnxruntime has no kernel for
        if "NOT_IMPLEMENTED" in str(error) or "Could not find an implementation" in str(error):
            pytest.skip("onnxruntime does not compute it")
        raise
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    for i, target in enumerate(wanted):
        module = load_onnx(path, output=f"y{i}")
        with torch.no_grad():
            result = module(torch.from_numpy(x))
        assert list(result.shape) == list(target.shape)
        # float32 sums in another order; no more
        np.testing.assert_allclose(result.numpy(), target, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (node("NonZero", X3), "operators that are not read: NonZero"),
        (node("GRU", f(7, 2, 4), W[:1, :9], R[:1, :9], None, np.array([7, 5], np.int32), hidden_size=3),
         r"sequence_lens: got \[7, 5\] for 7 steps"),
        (node("RNN", X7, W[:1, :3], R[:1, :3], hidden_size=3, activations=["Erf"]), "got erf"),
        (node("RNN", f(7, 2, 4), W[:1, :3], R[:1, :3], hidden_size=3, activations=["Affine"]), "state them"),
        (node("Resize", X4, None, np.array([1, 1, 1.5, 1], np.float32), mode="nearest",
              coordinate_transformation_mode="align_corners"), "depend on the length"),
        (node("Resize", X4, None, None, i64(2, 4, 11, 6), mode="nearest"), "no whole multiple"),
        (node("Resize", X4, None, np.array([1, 1, 1 / 8, 1], np.float32), mode="linear",
              coordinate_transformation_mode="pytorch_half_pixel"), "to a single position"),
        (node("MaxPool", X3, kernel_shape=[3], strides=[2], pads=[0, 2], ceil_mode=1), "padding 2 after"),
        (node("MaxPool", X3, kernel_shape=[3], dilations=[2], auto_pad="SAME_UPPER"), "SAME with dilations"),
        (node("AveragePool", X3, kernel_shape=[1], strides=[2], auto_pad="SAME_LOWER"), "over the kernel"),
        (node("MaxPool", X3, kernel_shape=[2], outputs=2), "indices"),
        (node("Resize", X4, None, np.array([1, 1, 0.5, 1], np.float32), mode="linear", antialias=1),
         "antialias"),
        (node("ConvTranspose", X3, f(4, 3, 4), strides=[2], output_shape=[60]), "the kernel reaches"),
    ],
)  # fmt: skip
def test_forms_that_are_not_read_are_refused_by_name(tmp_path, case, words):
    path = tmp_path / "model.onnx"
    onnx.save(model_of(case, 13), path)
    with pytest.raises((UsageError, ValueError), match=words):
        load_onnx(path, output="y0")(torch.from_numpy(np.asarray(case[1])))
