"""`model:` in a stack: a stranger's file, in chunks, equals the model on the whole."""

import random
import warnings
from collections import OrderedDict
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

import mediaconv.nn as mnn
from mediaconv.config import parse_config
from mediaconv.errors import MediaconvError, UsageError
from mediaconv.model.build import build_stack
from mediaconv.model_files.open_model import open_model
from mediaconv.pipeline import find
from mediaconv.run.jobs.identity import run_identity
from tests.program import run_program

pytestmark = pytest.mark.slow  # captures


class Denoiser(nn.Module):
    def __init__(self, channels=1, causal=False):
        super().__init__()
        self.causal = causal
        self.a = nn.Conv1d(channels, 4, 5, padding=0 if causal else 2)
        self.b = nn.Conv1d(4, channels, 3, padding=1 if not causal else 0)

    def forward(self, x):
        if self.causal:
            return x + self.b(nn.functional.pad(torch.relu(self.a(nn.functional.pad(x, (4, 0)))), (2, 0)))
        return x + self.b(torch.relu(self.a(x)))


class Last(nn.Module):
    """(N, T, C), as recurrent models have it."""

    def __init__(self):
        super().__init__()
        self.inner = Denoiser(2)

    def forward(self, x):
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


def image_model(channels=3, out=3):
    return nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, out, 3, padding=1))


def save_onnx(module, x, path, dynamic):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (x,), path, dynamo=False, opset_version=17, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": dynamic},
        )  # fmt: skip
    return path


def save_pt2(module, x, path, dynamic):
    torch.export.save(
        torch.export.export(module, (x,), dynamic_shapes=(dict.fromkeys(dynamic, Dim.AUTO),)), path
    )
    return path


def config_of(pipeline, layer, more=""):
    return parse_config(
        f"pipeline: {pipeline}\ninput: in\noutput: out\nstack: [{{model: {layer}}}]\n{more}", name="c"
    )


def stack_of(pipeline, layer, channels, more=""):
    return build_stack(config_of(pipeline, layer, more), find(pipeline), channels=channels)


def in_chunks(stack, x, sizes):
    stream, parts, at = mnn.stream(stack), [], 0
    with torch.no_grad():
        for size in sizes:
            parts.append(stream.push(x[:, :, at : at + size]))
            at += size
        parts.append(stream.push(x[:, :, at:]))
        parts.append(stream.flush())
    return torch.cat([p for p in parts if p is not None], 2)


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
def test_a_model_of_sound_streams_exactly(tmp_path, save):
    torch.manual_seed(0)
    model = Denoiser().eval()
    path = save(model, torch.randn(1, 1, 64), tmp_path / f"m.{save.__name__[5:]}", [2])
    stack = stack_of("audio", path, 1)
    x = torch.randn(1, 1, 500)
    with torch.no_grad():
        wanted = model(x)
    # float32 sums of chunks in another order
    torch.testing.assert_close(stack(x), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(in_chunks(stack, x, [1, 0, 7, 100, 3]), wanted, rtol=1e-6, atol=1e-6)
    assert stack.latency == 3


def test_channels_last_is_told_by_axes(tmp_path):
    model = Last().eval()
    path = save_onnx(model, torch.randn(1, 64, 2), tmp_path / "m.onnx", [1])
    stack = stack_of("audio", f"{{file: {path}, axes: n t c}}", 2)
    x = torch.randn(1, 2, 300)
    wanted = model(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(in_chunks(stack, x, [5, 60, 1]), wanted.detach(), rtol=1e-6, atol=1e-6)


class Energy(nn.Module):
    """(N, T) to (N, T', C)."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv1d(1, 3, 8, stride=4)

    def forward(self, x):
        return self.inner(x[:, None]).transpose(1, 2)


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
def test_what_a_model_gives_may_have_a_layout_of_its_own(tmp_path, save):
    model = Energy().eval()
    path = save(model, torch.randn(1, 64), tmp_path / f"m.{save.__name__[5:]}", [1])
    layer = f"{{file: {path}, axes: n t -> n t c}}"
    x = torch.randn(1, 1, 301)
    wanted = model(x[:, 0]).transpose(1, 2).detach()
    stack = stack_of("audio", layer, 1)
    torch.testing.assert_close(in_chunks(stack, x, [5, 60, 1]), wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(UsageError, match=r"got 2 channels, but .* takes 1"):
        stack_of("audio", layer, 2)
    with pytest.raises(UsageError, match="give axes='n t -> n t c'"):
        stack_of("audio", f"{{file: {path}, axes: n t -> n c t}}", 1)
    with pytest.raises(UsageError, match=r"its input has 2 axes, .*state its layout by `axes`"):
        stack_of("audio", path, 1)


def test_the_causal_twin_of_a_model_with_channels_last(tmp_path):
    model = Last().eval()
    path = save_onnx(model, torch.randn(1, 64, 2), tmp_path / "m.onnx", [1])
    inner = save_onnx(model.inner, torch.randn(1, 2, 64), tmp_path / "inner.onnx", [2])
    twin = stack_of("audio", f"{{file: {path}, axes: n t c, causal: true}}", 2)
    x = torch.randn(1, 2, 100)
    wanted = stack_of("audio", f"{{file: {inner}, causal: true}}", 2)(x)
    assert twin.latency == 0
    torch.testing.assert_close(in_chunks(twin, x, [5, 60, 1]), wanted, rtol=1e-6, atol=1e-6)


def test_an_image_model_runs_over_the_frames_of_a_film(tmp_path):
    model = image_model().eval()
    path = save_onnx(model, torch.randn(2, 3, 16, 16), tmp_path / "m.onnx", [0, 2, 3])
    stack = stack_of("video", f"{{file: {path}, axes: t c h w}}", 3)
    x = torch.randn(1, 3, 7, 20, 24)
    wanted = torch.stack([model(frame[None])[0] for frame in x[0].unbind(1)], 1)[None].detach()
    torch.testing.assert_close(in_chunks(stack, x, [1, 3]), wanted, rtol=1e-5, atol=1e-6)
    assert stack.latency == 0


@pytest.mark.parametrize("causal", [False, True])
def test_several_frames_are_the_channels(tmp_path, causal):
    model = image_model(9).eval()
    path = save_onnx(model, torch.randn(2, 9, 16, 16), tmp_path / "m.onnx", [0, 2, 3])
    more = "causal: pad" if causal else ""
    stack = stack_of("video", f"{{file: {path}, axes: 1 (t c) h w}}", 3, more)
    x = torch.randn(1, 3, 6, 12, 10)
    before = 2 if causal else 1
    padded = nn.functional.pad(x, (0, 0, 0, 0, before, 2 - before))
    windows = [padded[0, :, i : i + 3].transpose(0, 1).reshape(1, 9, 12, 10) for i in range(6)]
    wanted = torch.stack([model(w)[0] for w in windows], 1)[None].detach()
    torch.testing.assert_close(in_chunks(stack, x, [1, 2, 0, 1]), wanted, rtol=1e-5, atol=1e-6)
    assert stack.latency == (0 if causal else 1)


def test_a_models_weights_are_its_own_whatever_the_seed(tmp_path):
    path = save_onnx(Denoiser().eval(), torch.randn(1, 1, 64), tmp_path / "m.onnx", [2])
    x = torch.randn(1, 1, 50)
    first, second = (stack_of("audio", path, 1, f"seed: {seed}")(x) for seed in (1, 2))
    assert torch.equal(first, second)


def test_channels_are_checked_against_the_file(tmp_path):
    path = save_onnx(Denoiser(2).eval(), torch.randn(1, 2, 64), tmp_path / "m.onnx", [2])
    with pytest.raises(UsageError, match=r"stack\[0\]\.model: got 1 channel, but .*m\.onnx takes 2"):
        stack_of("audio", path, 1)
    with pytest.raises(UsageError, match="its input has 3 axes"):
        stack_of("image", path, 2)


def test_a_model_that_reads_ahead_is_refused_under_causal(tmp_path):
    path = save_onnx(Denoiser().eval(), torch.randn(1, 1, 64), tmp_path / "m.onnx", [2])
    with pytest.raises(UsageError, match="reads 3 steps ahead"):
        stack_of("audio", path, 1, "causal: true")
    causal = save_onnx(Denoiser(causal=True).eval(), torch.randn(1, 1, 64), tmp_path / "c.onnx", [2])
    assert stack_of("audio", causal, 1, "causal: true").latency == 0


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("none.onnx", "none.onnx: no such file"),
        ("weights.pt", "are weights, TorchScript or pickles"),
        ("net.py", "--model net.py:FUNCTION"),
        ("not_installed", "got 'not_installed', expected a path that ends in .onnx or .pt2, or an installed"),
        ("{file: none.onnx, options: {a: 1}}", "options are for the factory"),
    ],
)
def test_what_is_no_model_is_refused_with_the_way_out(layer, words):
    with pytest.raises(UsageError, match=words):
        stack_of("audio", layer, 1)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("axes: n c x", r"model\.axes: got 'n c x', expected the axes n c t"),
        ("axes: n (t c)", r"model\.axes"),
        ("input: 3", r"model\.input"),
        ("outputs: y", r"did you mean 'output'"),
    ],
)
def test_keys_are_checked_before_anything_is_opened(keys, words):
    if keys == "axes: n (t c)":
        keys = "axes: n (c t) x"
    with pytest.raises(MediaconvError, match=words):
        config_of("audio", f"{{file: a.onnx, {keys}}}")


def test_an_installed_model_is_made_by_its_factory(monkeypatch):
    entry = EntryPoint("denoiser", f"{__name__}:Denoiser", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    torch.manual_seed(3)
    stack = stack_of("audio", "{file: denoiser, options: {channels: 2, causal: true}}", 2)
    assert stack(torch.zeros(1, 2, 40)).shape == (1, 2, 40)
    with pytest.raises(UsageError, match=r"has no option 'chanels', expected channels.*mean 'channels'"):
        stack_of("audio", "{file: denoiser, options: {chanels: 2}}", 2)


def sized(width: int, *, depth: "int" = 1, scale, **more):
    return nn.Conv1d(1, 1, width)


def test_options_that_a_factory_needs_are_named_with_how_they_are_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    entry = EntryPoint("sized", f"{__name__}:sized", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    done = run_program("init", "sized", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    words = "sized: its factory needs the options width, scale: write model: {file: sized, "
    assert words + "options: {width: int, scale: VALUE}}" in done.stderr
    assert "--set stack.0.model.options.width=VALUE" in done.stderr
    stack_of("audio", "{file: sized, options: {width: 3, scale: 2, other: 1}}", 1)


def test_an_installed_models_random_weights_are_the_same_in_every_build(monkeypatch, tmp_path):
    entry = EntryPoint("denoiser", f"{__name__}:from_weights", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    layer = "{file: denoiser, options: {channels: 2}}"
    x, outputs, identities = torch.randn(1, 2, 40), [], []
    for _ in range(2):
        torch.rand(1)  # what is drawn elsewhere changes nothing
        outputs.append(build_stack(config_of("audio", layer), find("audio"), channels=2)(x))
        identities.append(run_identity(config_of("audio", layer)))
        monkeypatch.setattr("mediaconv.model_files.capture_cache._kept", OrderedDict())  # as another worker
    assert torch.equal(*outputs)
    assert identities[0] == identities[1]
    kept = tmp_path / "w.pt"
    torch.save(Denoiser().state_dict(), kept)
    layer = f"{{file: denoiser, options: {{weights: {kept}}}}}"
    before = run_identity(config_of("audio", layer))
    torch.save(Denoiser().state_dict(), kept)
    assert run_identity(config_of("audio", layer)) != before


def from_weights(channels=1, weights=None):
    module = Denoiser(channels)
    if weights is not None:
        module.load_state_dict(torch.load(weights))
    return module


def test_a_jobs_identity_follows_the_models_content(tmp_path):
    x = torch.randn(1, 1, 64)
    path = save_onnx(Denoiser().eval(), x, tmp_path / "m.onnx", [2])
    config = config_of("audio", path)
    first = run_identity(config)
    assert run_identity(config) == first
    save_onnx(Denoiser().eval(), x, tmp_path / "m.onnx", [2])
    assert run_identity(config) != first


@pytest.mark.parametrize("where", ["initializer", "Constant", "inner", "function"])
def test_a_jobs_identity_follows_an_onnx_models_external_data(tmp_path, where):
    import onnx

    path = save_onnx(Denoiser().eval(), torch.randn(1, 1, 64), tmp_path / "m.onnx", [2])
    model = onnx.load(path)
    if where != "initializer":  # all the weights are constants of nodes
        tensors = list(model.graph.initializer)
        constants = [onnx.helper.make_node("Constant", [], [t.name], value=t) for t in tensors]
        del model.graph.initializer[:]
        if where == "Constant":
            for node in constants:
                model.graph.node.insert(0, node)
        elif where == "function":
            names = [t.name for t in tensors]
            model.functions.append(
                onnx.helper.make_function(
                    "mine", "F", [], names, constants, [onnx.helper.make_opsetid("", 17)]
                )
            )
            model.graph.node.insert(0, onnx.helper.make_node("F", [], names, domain="mine"))
            model.opset_import.append(onnx.helper.make_opsetid("mine", 1))
        else:  # identity alone: such a model is not read
            outputs = [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
            inner = onnx.helper.make_graph(constants, "inner", [], outputs)
            names = [t.name for t in tensors]
            model.graph.node.insert(0, onnx.helper.make_node("If", ["c"], names, then_branch=inner))
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location="m.bin",
        size_threshold=0,
        convert_attribute=where != "initializer",
    )
    config = config_of("audio", path)
    first = run_identity(config)
    data = bytearray((tmp_path / "m.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "m.bin").write_bytes(data)
    assert run_identity(config) != first


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3], "pads": [0, 1], "strides": [2]}),
        ("AveragePool", {"kernel_shape": [4], "pads": [1, 2]}),
        ("Pad", {}),
    ],
)
def test_channels_last_through_pools_and_pads_streams_as_onnxruntime(tmp_path, kind, attributes):
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    values = {"pads": np.array([0, 3, 0, 0, 1, 0])} if kind == "Pad" else {}
    if kind == "Pad":
        nodes = [helper.make_node("Pad", ["x", "pads"], ["y"])]
    else:
        nodes = [
            helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
            helper.make_node(kind, ["a"], ["b"], **attributes),
            helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 1]),
        ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "t", 2])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(v, k) for k, v in values.items()],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    stack = stack_of("audio", f"{{file: {path}, axes: n t c}}", 2)
    x = torch.randn(1, 2, 101)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x.transpose(1, 2).contiguous().numpy()})
    ours = in_chunks(stack, x, [1, 0, 3, 40, 2]).transpose(1, 2)
    torch.testing.assert_close(ours, torch.from_numpy(wanted), rtol=1e-6, atol=1e-6)


class PerFrame(nn.Module):
    """Whose values depend on all that it is given, or which has a batch of one written into it."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.inner = kind, image_model()

    def forward(self, x):
        y = self.inner(x)
        if self.kind == "mean":
            return y - y.mean((0, 1), keepdim=True)
        return y.reshape(1, 3, *x.shape[2:]) if self.kind == "reshape" else y


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
@pytest.mark.parametrize(("kind", "taken"), [("plain", True), ("mean", False), ("reshape", False)])
def test_a_model_for_a_batch_of_one_runs_over_frames_if_each_is_as_alone(tmp_path, save, kind, taken):
    model = PerFrame(kind).eval()
    path = save(model, torch.randn(1, 3, 16, 16), tmp_path / f"m.{save.__name__[5:]}", [2, 3])
    layer = f"{{file: {path}, axes: t c h w}}"
    if not taken:
        with pytest.raises(UsageError, match="exported for a batch of 1"):
            stack_of("video", layer, 3)
        return
    x = torch.randn(1, 3, 7, 20, 24)
    wanted = torch.stack([model(frame[None])[0] for frame in x[0].unbind(1)], 1)[None].detach()
    torch.testing.assert_close(
        in_chunks(stack_of("video", layer, 3), x, [1, 3]), wanted, rtol=1e-5, atol=1e-6
    )


def test_a_capture_is_not_kept_for_other_weights_of_a_factory(monkeypatch, tmp_path):
    entry = EntryPoint("denoiser", f"{__name__}:from_weights", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    path, x = tmp_path / "w.pt", torch.randn(1, 1, 40)
    for _ in range(2):  # within one process, as in a notebook
        module = Denoiser().eval()
        torch.save(module.state_dict(), path)
        stack = stack_of("audio", f"{{file: denoiser, options: {{weights: {path}}}}}", 1)
        with torch.no_grad():
            assert torch.allclose(stack(x), module(x), atol=1e-6)  # sums in another order


def drawn_by_numpy():
    module = nn.Conv1d(1, 1, 3, padding=1)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.random.uniform(size=(1, 1, 3))))
        module.bias.fill_(random.random())
    return module


def test_weights_drawn_by_numpy_or_python_are_the_same_in_every_build(monkeypatch):
    entry = EntryPoint("drawn", f"{__name__}:drawn_by_numpy", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    made = []
    for seed in range(2):
        np.random.seed(seed)
        random.seed(seed)
        expected = np.random.RandomState(seed).uniform(), random.Random(seed).random()
        made.append(open_model("drawn").state_dict())
        assert (np.random.uniform(), random.random()) == expected  # the caller's own draws go on
    assert torch.equal(made[0]["weight"], made[1]["weight"])
    assert torch.equal(made[0]["bias"], made[1]["bias"])


def test_channels_follow_from_the_options_of_a_factory(monkeypatch):
    entry = EntryPoint("denoiser", f"{__name__}:Denoiser", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    config = config_of("audio", "{file: denoiser, options: {channels: 3}}")
    assert config.stack[0].in_channels == 3


@pytest.mark.parametrize(
    ("keys", "words"),
    [("input: x", "input: denoiser is a function"), ("output: y", "'y', but the module gives one tensor")],
)
def test_names_that_a_factorys_model_has_not_are_refused(monkeypatch, keys, words):
    entry = EntryPoint("denoiser", f"{__name__}:Denoiser", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    with pytest.raises(UsageError, match=words):
        stack_of("audio", f"{{file: denoiser, {keys}}}", 1)


def test_an_output_that_a_program_has_not_is_refused_with_those_it_has(tmp_path):
    class Two(nn.Module):
        def forward(self, x):
            return x + 1, x[:, :1]

    path = save_pt2(Two(), torch.randn(1, 2, 64), tmp_path / "m.pt2", [2])
    with pytest.raises(UsageError, match=r"model: output: got 2, expected one of 0, 1$"):
        stack_of("audio", f"{{file: {path}, output: 2}}", 2)


@pytest.mark.parametrize("exported", [400, 401])
def test_the_example_of_a_capture_is_one_that_the_export_allows(tmp_path, exported):
    """At 401 the export pads, and holds at no multiple of 4; at up to 500 alone."""

    class Padded(nn.Conv1d):
        def forward(self, x):
            size = x.shape[2]
            scaled = x if size <= 500 else 2 * x
            return super().forward(nn.functional.pad(scaled, (0, -size % 4)) if size % 4 else scaled)

    module = Padded(1, 1, 3, padding=1).eval()
    path = save_pt2(module, torch.randn(1, 1, exported), tmp_path / "m.pt2", [2])
    x = torch.randn(1, 1, exported - 40)
    with torch.no_grad():
        given = in_chunks(stack_of("audio", path, 1), x, [100, exported - 140])
        assert torch.allclose(given, module(x), atol=1e-6)  # sums in another order


class Attends(torch.nn.Module):
    def forward(self, x):
        y = x.mT
        return x + torch.nn.functional.scaled_dot_product_attention(y, y, y).mT


def test_what_cannot_stream_is_refused_or_held_to_the_end(tmp_path):
    x = torch.randn(1, 2, 500)
    path = save_pt2(Attends(), x, tmp_path / "a.pt2", [2])
    with pytest.raises(UsageError, match=r"reads the whole input, unbounded.*hold=True"):
        stack_of("audio", path, 2)
    stack = stack_of("audio", f"{{file: {path}, hold: true}}", 2)
    # float32 sums in another order
    torch.testing.assert_close(in_chunks(stack, x, [100, 1, 399]), Attends()(x), rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="held to the end is not causal"):
        config_of("audio", f"{{file: {path}, hold: true, causal: true}}")


def test_where_a_factorys_model_takes_other_channels_the_key_that_changes_them_is_named(monkeypatch):
    entry = EntryPoint("one", f"{__name__}:Denoiser", "mediaconv.models")
    monkeypatch.setattr("mediaconv.model_files.open_model.installed", lambda group: [entry])
    with pytest.raises(UsageError, match=r"given 2 channels, .* takes 1: read: \{channels: mono\}"):
        stack_of("audio", "one", 2)


class Table(nn.Module):
    """A convolution, and a table of 200 positions: it takes no more steps."""

    def __init__(self):
        super().__init__()
        self.table, self.conv = nn.Embedding(200, 1), nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        return self.conv(x) + self.table(torch.arange(x.shape[2])).mT


def test_a_model_that_refuses_our_example_is_captured_with_a_shorter_one(monkeypatch):
    torch.manual_seed(0)
    module = Table().eval()
    monkeypatch.setattr("mediaconv.model_files.open_model.open_model", lambda *_, **__: module)
    x = torch.randn(1, 1, 150)
    with torch.no_grad():
        given = in_chunks(stack_of("audio", "table.pt2", 1), x, [1, 70, 79])
        assert torch.allclose(given, module(x), atol=1e-6)  # sums in another order
