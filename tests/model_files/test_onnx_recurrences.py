"""Loops and scans as exporters write recurrent layers: whole against onnxruntime, then streamed in chunks."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser
from torch import Tensor, nn

import mediaconv
from mediaconv.errors import UsageError
from mediaconv.model_files.onnx_file import load_onnx
from mediaconv.nn import stream, to_streaming
from mediaconv.nn.export.export_step import export_step
from mediaconv.nn.export.exported_step import run_step
from mediaconv.nn.export.step_files import write_step
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.steps import stepwise_step

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
NUMBERS = np.random.default_rng(0)
GRU = """
g (float[n, t, 3] x) => (float[n, t, 5] y)
<float[3, 15] w, float[5, 15] r, float[2, 15] b, int32 zero = {0}, int64[1] units = {5}, int64[1] first = {0},
 int64[1] second = {1}, float nought = {0}> {
  steps = Transpose <perm = [1, 0, 2]> (x)
  sizes = Shape (steps)
  sizes32 = Cast <to = 6> (sizes)
  length1 = Slice (sizes32, first, second, first)
  length = Squeeze (length1, first)
  count = Cast <to = 7> (length)
  length_f = Cast <to = 1> (length)
  begins1 = Less (nought, length_f)
  begins = And (begins1, begins1)
  whole = Shape (x)
  batch = Slice (whole, first, second, first)
  shape = Concat <axis = 0> (batch, units)
  h0 = Expand (nought, shape)
  t_end, h_end, n_end, w_end, r_end, b_end, ys = Loop (count, begins, zero, h0, length, w, r, b) <
   body = step (
    int64 i, bool on, int32 time, float[n, 5] h, int32 limit,
    float[3, 15] wi, float[5, 15] ri, float[2, 15] bi
  ) => (bool more, int32 later, float[n, 5] h_copy, int32 limit, float wi, float ri, float bi,
    float[n, 5] h_next)
  <int32 one = {1}, float unit = {1}, int64[1] axis = {0}> {
    now = Gather (steps, time)
    later = Add (time, one)
    bx, bh = Split <axis = 0> (bi)
    bx1 = Squeeze (bx, axis)
    bh1 = Squeeze (bh, axis)
    wx = MatMul (now, wi)
    wb = Add (wx, bx1)
    rh = MatMul (h, ri)
    rb = Add (rh, bh1)
    xz, xr, xn = Split <axis = -1> (wb)
    hz, hr, hn = Split <axis = -1> (rb)
    z1 = Add (xz, hz)
    z = Sigmoid (z1)
    r1 = Add (xr, hr)
    reset = Sigmoid (r1)
    n1 = Mul (reset, hn)
    n2 = Add (xn, n1)
    new = Tanh (n2)
    z3 = Sub (unit, z)
    kept = Mul (z, h)
    added = Mul (z3, new)
    h_next = Add (kept, added)
    h_copy = Identity (h_next)
    later_f = Cast <to = 1> (later)
    limit_f = Cast <to = 1> (limit)
    more1 = Less (later_f, limit_f)
    i_f = Cast <to = 1> (i)
    length_g = Cast <to = 1> (length)
    more2 = Less (i_f, length_g)
    more = And (more2, more1)
  }>
  y = Transpose <perm = [1, 0, 2]> (ys)
}
"""
"""A Keras GRU as tf2onnx writes it."""
IMAGES = """
g (float[n, t, 2, 6] x) => (float[n, t, 3, 6] y)
<float[3, 5, 3] w, int64[1] first = {0}, int64[1] second = {1}, float nought = {0}> {
  sizes = Shape (x)
  batch = Slice (sizes, first, second, first)
  rest = Constant <value = int64[2] {3, 6}> ()
  shape = Concat <axis = 0> (batch, rest)
  h0 = Expand (nought, shape)
  h_end, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], body = step (
    float[n, 3, 6] h, float[n, 2, 6] now) => (float[n, 3, 6] h_copy, float[n, 3, 6] h_next) {
      both = Concat <axis = 1> (now, h)
      c = Conv <pads = [1, 1]> (both, w)
      h_next = Tanh (c)
      h_copy = Identity (h_next)
  }> (h0, x)
}
"""
COUNTED = """
g (float[n, 3, t] x) => (float[n, 3, t] y) <int64[1] axis = {2}, float half = {0.5}> {
  sizes = Shape (x)
  two = Constant <value_int = 2> ()
  count = Gather (sizes, two)
  nothing = Constant <value_int = 0> ()
  go = Constant <value = bool {1}> ()
  start = Gather <axis = 2> (x, nothing)
  h_end, ys = Loop (count, go, start) <body = step (int64 i, bool on, float[n, 3] h)
    => (bool on, float[n, 3] h_next, float[n, 3] out) {
      now = Gather <axis = 2> (x, i)
      h_half = Mul (h, half)
      h_next = Add (h_half, now)
      place = Cast <to = 1> (i)
      out = Add (h_next, place)
  }>
  y = Transpose <perm = [1, 2, 0]> (ys)
}
"""
"""It computes with the number of the step, and begins with the first position."""

TWO_STATES = """
g (float[n, 3, t] x) => (float[n, 3, t] y) <int64[1] axis = {2}, float half = {0.5}> {
  sizes = Shape (x)
  two = Constant <value_int = 2> ()
  count = Gather (sizes, two)
  nothing = Constant <value_int = 0> ()
  go = Constant <value = bool {1}> ()
  first = Gather <axis = 2> (x, nothing)
  zeros = Sub (first, first)
  a_end, b_end, ys = Loop (count, go, zeros, zeros) <body = step (
    int64 i, bool on, float[n, 3] a, float[n, 3] b
  ) => (bool on, float[n, 3] a_next, float[n, 3] b_next, float[n, 3] out) {
      now = Gather <axis = 2> (x, i)
      b_half = Mul (b, half)
      b_next = Add (b_half, now)
      a_next = Sub (b_next, a)
      out = Mul (a_next, now)
  }>
  y = Transpose <perm = [1, 2, 0]> (ys)
}
"""
"""Both states begin as one tensor, as the two of tf2onnx's ConvLSTM do."""


def weights(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [(NUMBERS.standard_normal(shape) * 0.5).astype(np.float32) for shape in shapes]


def saved(path, text, **tensors):
    model = parser.parse_model(HEADER + text)
    for tensor in list(model.graph.initializer):
        if tensor.name in tensors:
            model.graph.initializer.remove(tensor)
    kept = [v for v in model.graph.value_info if v.name in tensors]
    for value in kept:
        model.graph.value_info.remove(value)
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    onnx.save(model, path)
    return model


class AsOurs(nn.Module):
    """A model with its time where `at` says, as (N, C, T, ...)."""

    def __init__(self, model: nn.Module, at: int) -> None:
        super().__init__()
        self.model, self.at = model, at

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.movedim(2, self.at)).movedim(self.at, 2)


class LastChannels(AsOurs):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.mT).mT


MODELS = {
    "gru": (GRU, {"w": (3, 15), "r": (5, 15), "b": (2, 15)}, LastChannels, (3, 9)),
    "images": (IMAGES, {"w": (3, 5, 3)}, AsOurs, (2, 9, 6)),
    "counted": (COUNTED, {}, None, (3, 9)),
    "two states": (TWO_STATES, {}, None, (3, 9)),
}


def made(name, folder):
    text, shapes, wrap, shape = MODELS[name]
    tensors = dict(zip(shapes, weights(*shapes.values()), strict=True))
    saved(folder / "m.onnx", text, **tensors)
    model = load_onnx(folder / "m.onnx")
    model = model if wrap is None else wrap(model, 1)
    return model.eval(), shape


def by_onnxruntime(path, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": np.ascontiguousarray(x.numpy())})[0])


def in_chunks(graph, x: Tensor, sizes=(1, 0, 3, 2, 1, 100)) -> Tensor:
    s, out, at = stream(graph), [], 0
    for size in sizes:
        size = min(size, x.shape[2] - at)
        out.append(s.push(x.narrow(2, at, size)))
        at += size
    return torch.cat([*out, s.flush()], 2)


@pytest.mark.parametrize("name", MODELS)
def test_a_loop_over_time_computes_what_onnxruntime_does_and_streams(tmp_path, name):
    model, shape = made(name, tmp_path)
    x = torch.randn(2, shape[0], 23, *shape[2:])
    wrap = model if hasattr(model, "at") else None
    theirs = x if wrap is None else x.mT if isinstance(wrap, LastChannels) else x.movedim(2, 1)
    wanted = by_onnxruntime(tmp_path / "m.onnx", theirs.contiguous())
    wanted = wanted if wrap is None else wanted.mT if isinstance(wrap, LastChannels) else wanted.movedim(1, 2)
    with torch.no_grad():
        # float32 sums in another order, over 23 steps
        torch.testing.assert_close(model(x), wanted, rtol=0, atol=1e-5)
        graph = to_streaming(model, example=torch.zeros(1, *shape))
        torch.testing.assert_close(in_chunks(graph, x), wanted, rtol=0, atol=1e-5)
    assert (graph.latency, graph.lookback, graph.notes) == (0, torch.inf, [])
    double, x = graph.double(), x.double()
    with torch.no_grad():
        torch.testing.assert_close(in_chunks(double, x), double(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_loops_state_is_taken_out_put_back_and_reset(tmp_path, name):
    model, shape = made(name, tmp_path)
    graph = to_streaming(model, example=torch.zeros(1, *shape)).double()
    x = torch.randn(2, shape[0], 12, *shape[2:], dtype=torch.float64)
    with torch.no_grad():
        whole = graph(x)
        s = stream(graph)
        s.push(x[:, :, :5])
        torch.save(s.state_dict(), tmp_path / "state.pt")
        s.push(torch.randn_like(x))
        again = stream(graph)
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        after = torch.cat([again.push(x[:, :, 5:]), again.flush()], 2)
        torch.testing.assert_close(after, whole[:, :, 5:], rtol=0, atol=1e-12)
        s = stream(graph)
        s.push(x[:, :, :5])
        if name != "counted":  # the number of a step is the same for all items
            s.reset([1])
            rest = torch.cat([s.push(x[:, :, 5:]), s.flush()], 2)
            torch.testing.assert_close(rest[:1], whole[:1, :, 5:], rtol=0, atol=1e-12)
            torch.testing.assert_close(rest[1:], graph(x[1:, :, 5:]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_loops_step_is_exported(tmp_path, name):
    model, shape = made(name, tmp_path)
    graph = to_streaming(model, example=torch.zeros(1, *shape)).double()
    x = torch.randn(1, shape[0], 17, *shape[2:], dtype=torch.float64)
    step = export_step(graph, x[:, :, :4])
    with torch.no_grad():
        torch.testing.assert_close(run_step(step, step.info, step.start(), x), graph(x), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_loops_step_runs_in_onnxruntime(tmp_path):
    model, shape = made("gru", tmp_path)
    graph = to_streaming(model, example=torch.zeros(1, *shape))
    facts = write_step(export_step(graph, torch.zeros(1, 3, 4)), tmp_path / "step.onnx", graph)
    assert facts["checked"]["largest_difference"] <= 1e-5


def test_gradients_flow_through_a_loop_in_chunks(tmp_path):
    model, shape = made("gru", tmp_path)
    graph = to_streaming(model, example=torch.zeros(1, *shape)).double()
    x = torch.randn(1, *shape, dtype=torch.float64)
    outputs = (graph(x), in_chunks(graph, x))
    grads = [torch.autograd.grad(y.square().sum(), list(graph.parameters())) for y in outputs]
    for a, b in zip(*grads, strict=True):
        assert float(a.abs().max()) > 0
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("now = Gather (steps, time)", "now = Gather (steps, later)"), r"reads \+1 steps from the one"),
        (("more = And (more2, more1)", "m = ReduceMax <keepdims = 0> (h)\n more = Less (m, unit)"),
         "ends when what it computes says so"),
        (("Loop (count,", "Loop (zero64,"), "another number of steps than the axis"),
        (("now = Gather (steps, time)", "last = Sub (limit, later)\n now = Gather (steps, last)"),
         "takes no step of a tensor from outside"),
    ],
)  # fmt: skip
def test_other_loops_are_refused_by_name(tmp_path, change, words):
    text = GRU.replace(*change).replace("int32 zero", "int64 zero64 = {7}, int32 zero")
    shapes = MODELS["gru"][1]
    saved(tmp_path / "m.onnx", text, **dict(zip(shapes, weights(*shapes.values()), strict=True)))
    with pytest.raises(
        (UsageError, ValueError, CaptureError), match=rf"Loop.*{words}.*export recurrent layers"
    ):
        to_streaming(LastChannels(load_onnx(tmp_path / "m.onnx"), 1).eval(), example=torch.zeros(1, 3, 9))


class Listed(nn.Module):
    """A recurrence written as a loop over a list of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.state, self.outer = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(0), 4)
        ys: list[Tensor] = []
        for i in range(x.size(2)):
            h = torch.tanh(self.inner(x[:, :, i]) + self.state(h))
            ys.append(self.outer(h))
        return torch.stack(ys, 2)


class Unbound(Listed):
    def forward(self, x: Tensor) -> Tensor:
        steps = x.permute(2, 0, 1)
        h = torch.zeros(steps.size(1), 4)
        ys: list[Tensor] = []
        for now in steps.unbind(0):
            h = torch.tanh(self.inner(now) + self.state(h))
            ys += [self.outer(h).unsqueeze(2)]
        return torch.cat(ys, 2)


@pytest.mark.parametrize("kind", [Listed, Unbound])
@pytest.mark.filterwarnings("ignore")
def test_a_scripted_loop_of_torchs_export_streams(tmp_path, kind):
    torch.manual_seed(0)
    names = {"input_names": ["x"], "output_names": ["y"]}
    axes = {"x": {0: "n", 2: "t"}, "y": {0: "n", 2: "t"}}
    scripted = torch.jit.script(kind().eval())
    path = tmp_path / "m.onnx"
    torch.onnx.export(scripted, (torch.randn(2, 3, 9),), str(path), dynamo=False, dynamic_axes=axes, **names)
    x = torch.randn(2, 3, 15)
    wanted = by_onnxruntime(path, x)
    with torch.no_grad():
        graph = to_streaming(load_onnx(path), example=torch.zeros(1, 3, 9))
        torch.testing.assert_close(in_chunks(graph, x), wanted, rtol=0, atol=1e-5)


CELLS = {
    "gru": ("GRU", 3, 'direction = "forward"', 0),
    "rnn": ("RNN", 1, 'activations = ["Softsign"]', 0),
    "lstm": ("LSTM", 4, "clip = 0.7", 0),
    "both": ("GRU", 3, 'direction = "bidirectional"', torch.inf),
    "back": ("RNN", 1, 'direction = "reverse", clip = 3.0', torch.inf),
}


@pytest.mark.parametrize("name", CELLS)
def test_cells_by_their_definition_stream_or_are_held(tmp_path, name):
    kind, gates, options, latency = CELLS[name]
    ways = 1 + (name == "both")
    text = f"""
g (float[t, n, 3] x) => (float[t, w, n, 4] y)
<float[{ways}, {4 * gates}, 3] w, float[{ways}, {4 * gates}, 4] r> {{
  y = {kind} <hidden_size = 4, {options}> (x, w, r)
}}"""
    w, r = weights((ways, 4 * gates, 3), (ways, 4 * gates, 4))
    saved(tmp_path / "m.onnx", text, w=w, r=r)

    class Ours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = load_onnx(tmp_path / "m.onnx")

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x.permute(2, 0, 1)).permute(2, 1, 3, 0).flatten(1, 2)

    x = torch.randn(2, 3, 15)
    wanted = by_onnxruntime(tmp_path / "m.onnx", x.permute(2, 0, 1).contiguous())
    with torch.no_grad():
        graph = to_streaming(Ours().eval(), example=torch.zeros(1, 3, 9))
        y = in_chunks(graph, x)
    torch.testing.assert_close(y, wanted.permute(2, 1, 3, 0).flatten(1, 2), rtol=0, atol=1e-5)
    assert graph.latency == latency
    assert bool(graph.notes) == bool(latency)


PEEPHOLES = """
g (float[t, n, 3] x) => (float[t, w, n, 4] y)
<float[1, 16, 3] w, float[1, 16, 4] r, float[1, 32] b, float[1, 12] p> {
  y = LSTM <hidden_size = 4, OPTIONS> (x, w, r, b, , , , p)
}"""


@pytest.mark.parametrize(
    "options", ["clip = 0.7", "input_forget = 1", 'activations = ["Sigmoid", "Elu", "Tanh"]']
)
def test_peepholes_are_as_onnxruntime_has_them(tmp_path, options):
    shapes = {"w": (1, 16, 3), "r": (1, 16, 4), "b": (1, 32), "p": (1, 12)}
    tensors = dict(zip(shapes, weights(*shapes.values()), strict=True))
    saved(tmp_path / "m.onnx", PEEPHOLES.replace("OPTIONS", options), **tensors)
    x = torch.randn(9, 2, 3)
    with torch.no_grad():
        y = load_onnx(tmp_path / "m.onnx")(x)
    # float32 sums in another order
    torch.testing.assert_close(y, by_onnxruntime(tmp_path / "m.onnx", x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_long_example_of_steps_is_checked_at_a_short_length(tmp_path, name, monkeypatch):
    model, shape = made(name, tmp_path)
    long, steps = 4800, []
    ran = stepwise_step.run_stepwise
    monkeypatch.setattr(
        stepwise_step, "run_stepwise", lambda b, xs, *rest: steps.append(len(xs[0])) or ran(b, xs, *rest)
    )
    graph = to_streaming(model, example=torch.randn(1, shape[0], long, *shape[2:]))
    assert 100 < sum(steps) < 1000
    x = torch.randn(1, shape[0], 17, *shape[2:])
    with torch.no_grad():
        torch.testing.assert_close(in_chunks(graph, x), graph(x), rtol=0, atol=1e-5)


def test_a_step_is_the_same_with_and_without_what_chooses_its_operations(tmp_path, monkeypatch):
    for name in MODELS:
        model, shape = made(name, tmp_path)
        x = torch.randn(2, shape[0], 9, *shape[2:])
        with torch.no_grad():
            quick = model(x)
        with torch.enable_grad():  # by the operators, one after the other
            slow = model(x.requires_grad_())
        assert slow.requires_grad
        assert torch.equal(quick, slow)


@pytest.mark.parametrize("axes", ["n c t", "n t c"])
def test_a_reason_begins_with_the_files_node_not_with_our_classes(tmp_path, axes):
    size = "n, 2, t" if axes == "n c t" else "n, t, 2"
    body = "<int64 axis = {2}> { y = CumSum <reverse = 1> (x, axis) }"
    text = f"g (float[{size}] x) => (float[{size}] y) {body}"
    saved(tmp_path / "m.onnx", text)
    x = np.zeros((2, 30), np.float32)
    with pytest.raises(UsageError, match="CumSum") as caught:
        mediaconv.convert([{"model": {"file": str(tmp_path / "m.onnx"), "axes": axes}}], x)
    assert not any(word in str(caught.value) for word in ("OnnxModule", "AdaptedModel", "_Selected"))
