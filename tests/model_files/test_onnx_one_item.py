"""Files as tf2onnx writes models of Keras for a batch of one, which they fold into time."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser

import mediaconv
from mediaconv.model_files.onnx_file import load_onnx
from mediaconv.nn import to_streaming

RNN = """
g (float[1, t, 3] x) => (float[1, t, 2] y)
<float[8, 5] w, float[5, 2] v, int64[3] steps_first = {-1, 1, 3}, int64[3] one_item = {1, -1, 5},
 int64[2] rows = {-1, 5}, int64 at = {1}, int64[3] back = {1, -1, 2}> {
  zeros = Constant <value = float[1, 5] {0, 0, 0, 0, 0}> ()
  sizes = Shape (x)
  count = Gather (sizes, at)
  steps = Reshape (x, steps_first)
  go = Constant <value = bool {1}> ()
  h_end, hs = Loop (count, go, zeros) <body = step (int64 i, bool on, float[1, 5] h)
    => (bool on, float[1, 5] h_next, float[1, 5] out) {
      now = Gather (steps, i)
      both = Concat <axis = 1> (now, h)
      sum = MatMul (both, w)
      h_next = Tanh (sum)
      out = Identity (h_next)
  }>
  items = Reshape (hs, one_item)
  flat = Reshape (items, rows)
  given = MatMul (flat, v)
  y = Reshape (given, back)
}
"""
DILATED = """
g (float[BATCH, t, 12, 3] x) => (float[BATCH, t, 12, 4] y)
<float[4, 3, 3, 3] w, int64 at = {1}, int64 two = {2}, int64[1] none = {0}, int64[1] far = {2147483647},
 int64[1] twice = {2}, int64[1] second = {2}> {
  sizes = Shape (x)
  length = Gather (sizes, at)
  left = Mod (length, two)
  needed = Sub (two, left)
  more = Mod (needed, two)
  more1 = Unsqueeze (more, none)
  after = Add (more1, twice)
  pads = Concat <axis = 0> (none, twice, twice, none, none, after, twice, none)
  padded = Pad (x, pads)
  channels_first = Transpose <perm = [3, 0, 1, 2]> (padded)
  phases = SpaceToDepth <blocksize = 2> (channels_first)
  items = Transpose <perm = [1, 0, 2, 3]> (phases)
  c = Conv (items, w)
  back = Transpose <perm = [1, 0, 2, 3]> (c)
  fine = DepthToSpace <blocksize = 2> (back)
  whole = Equal (more1, none)
  whole_i = Cast <to = 7> (whole)
  cut = Not (whole)
  cut_i = Cast <to = 7> (cut)
  less = Neg (cut_i)
  end1 = Mul (more1, less)
  end2 = Mul (far, whole_i)
  end = Add (end1, end2)
  uncut = Slice (fine, none, end, second)
  y = Transpose <perm = [1, 2, 3, 0]> (uncut)
}
"""
"""A convolution of dilation 2 and padding `same`: by a plain one over each phase of rows and columns."""


def saved(path, text, **tensors):
    model = parser.parse_model('<ir_version: 8, opset_import: ["" : 17]>\n' + text)
    del model.graph.value_info[:]
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    onnx.save(model, path)


def normal(*shape):
    return (np.random.default_rng(len(shape)).standard_normal(shape) * 0.5).astype(np.float32)


def by_onnxruntime(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ascontiguousarray(x)})[0]


def test_a_loop_for_a_batch_of_one_streams(tmp_path):
    path = tmp_path / "rnn.onnx"
    saved(path, RNN, w=normal(8, 5), v=normal(5, 2))
    x = normal(1, 31, 3)
    wanted = by_onnxruntime(path, x)[0].T
    spec = {"file": str(path), "axes": "n t c"}
    y = mediaconv.convert([{"model": spec}], x[0].T, normalize="none", chunk=7)
    # sums of float32 in another order, carried on from step to step
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5)


def test_a_model_for_one_item_says_so_to_a_batch(tmp_path):
    path = tmp_path / "rnn.onnx"
    saved(path, RNN, w=normal(8, 5), v=normal(5, 2))
    model = to_streaming(load_onnx(path), example=torch.zeros(1, 3, 24), axes="n t c").double()
    x = torch.from_numpy(normal(1, 3, 29)).double()
    with torch.no_grad():
        state = model.init_state(0)
        parts = [model.step(part, state, axis=0, last=part.shape[2] == 9) for part in x.split([20, 9], 2)]
        # sums in another order
        torch.testing.assert_close(torch.cat(parts, 2), model(x), rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="batch of 2, the module was captured for 1 alone"):
            model.step(x.expand(2, -1, -1), model.init_state(0), axis=0, last=True)


@pytest.mark.slow  # torch.export takes long for sizes of this kind
@pytest.mark.parametrize(("batch", "length"), [("1", 24), ("n", 31)])
def test_a_dilated_convolution_by_phases_streams(tmp_path, batch, length):
    path, w = tmp_path / "dilated.onnx", normal(4, 3, 3, 3)
    saved(path, DILATED.replace("BATCH", batch), w=w)
    spec = {"file": str(path), "axes": "n h w c"}
    x = normal(1, length, 12, 3)
    wanted = by_onnxruntime(path, x)[0].transpose(2, 0, 1)
    plain = torch.nn.functional.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(w), padding=2, dilation=2
    )
    np.testing.assert_allclose(wanted, plain[0].numpy(), rtol=0, atol=1e-5)  # sums in another order
    y = mediaconv.convert([{"model": spec}], x[0].transpose(2, 0, 1), normalize="none", chunk=7)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5)
