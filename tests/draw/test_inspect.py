"""What `inspect` finds, in numbers: maps, statistics, sums, what of a file is looked at."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.nn import functional as F

import mediaconv.nn as mnn
from mediaconv.config import load_config, parse_config
from mediaconv.draw.inspect import excerpt, inspect_config
from mediaconv.draw.inspect.budget import MAX_PIXELS
from mediaconv.draw.inspect.data import page_data
from mediaconv.draw.inspect.sheets import envelope, from_gray, picture_sheet, to_gray
from mediaconv.draw.inspect.stats import measure
from mediaconv.draw.inspect.sums import Kept, plan_sums, take_apart
from mediaconv.errors import UsageError
from mediaconv.model.build import build_stack
from mediaconv.pipeline import find

torch.set_num_threads(1)

BLOCKS = [
    {"conv": {"out_channels": 4, "kernel_size": 3}},
    "relu",
    {"residual": [{"conv": {"out_channels": 4, "kernel_size": 3, "groups": 2}}, "tanh"]},
    {
        "branches": {
            "paths": [[{"conv": {"out_channels": 2, "kernel_size": 3, "stride": 2}}], ["AVG"]],
            "merge": "concat",
        }
    },
    {"gated": {"out_channels": 3, "kernel_size": 2}},
    {"conv_transpose": {"out_channels": 2, "kernel_size": 4, "stride": 2}},
]
AVG = {"avg_pool": {"kernel_size": 2, "stride": 2}}


def blocks():
    import copy

    stack = copy.deepcopy(BLOCKS)
    stack[3]["branches"]["paths"][1] = [AVG]
    return stack


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "sound.wav"
    data = np.random.default_rng(0).uniform(-0.5, 0.5, (400, 2))
    soundfile.write(path, data, 8000, subtype="FLOAT")
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8))
    return path


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "film"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for i in range(12):
        cv2.imwrite(str(folder / f"{i:03d}.png"), rng.integers(0, 256, (12, 16, 3), np.uint8))
    return folder


def settings(pipeline, stack, path, **keys):
    import json

    read = {"sequence": True} if pipeline == "video" else {}
    return parse_config(
        json.dumps(
            {"pipeline": pipeline, "input": str(path), "output": "out", "stack": stack, "read": read}
            | {"normalize": "none"}
            | keys
        )
    )


def loaded(config, path):
    """The whole file as the stack gets it, and the stack, apart from `inspect`."""
    pipeline = find(config.pipeline)
    with pipeline.open(path, config.read, config.limits) as source:
        data = np.concatenate([c.data for c in source.chunks(1000)])
        rate = None if source.info.rate is None else float(source.info.rate)
        stack = build_stack(config, pipeline, channels=source.info.channels, rate_hz=rate)
        x = torch.from_numpy(np.moveaxis(data, -1, 0).astype(np.float32) / source.info.scale)[None]
    return stack, x


def outputs(stack, x):
    """Output of every module by name, caught by torch's own hooks."""
    caught = {}
    for name, module in stack.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: caught.__setitem__(name, o))
    with torch.no_grad():
        stack(x)
    return caught


def maps(node, file=0):
    """(C, steps, ...) values as the page holds them, and half a gray step of each channel."""
    sheet = node.sheets[file]
    rows = 2 if len(node.lengths) == 1 else 1
    values = [
        [from_gray(sheet.tile(rows * c, k), *node.ranges[c]) for k in range(sheet.columns)]
        for c in range(node.shown)
    ]
    return np.array(values), np.array([(high - low) / 508 for low, high in node.ranges])


@pytest.mark.parametrize("kind", ["audio", "image", "video"])
@pytest.mark.parametrize("causal", [False, True])
def test_maps_of_every_layer_are_what_the_modules_give(kind, causal, sound, picture, film):
    path = {"audio": sound, "image": picture, "video": film}[kind]
    config = settings(kind, blocks(), path, causal=causal)
    found = inspect_config(config, [path])
    stack, x = loaded(config, path)
    caught = outputs(stack, x)
    nodes = {n.name: n for n in found.nodes[1:]}
    named = {
        "0",
        "1",
        "2.layers.0",
        "2.layers.1",
        "2",
        "3.branches.0.0",
        "3.branches.1.0",
        "3",
        "4.conv",
        "4.gate",
        "5",
    }
    assert set(nodes) == named
    for name, node in nodes.items():
        y = caught[name][0].numpy()
        assert node.lengths == y.shape[1:]
        assert node.channels == y.shape[0]
        # layers run one by one as in the whole stack; convolution may still pick another algorithm
        np.testing.assert_allclose(node.stats.low, y.reshape(len(y), -1).min(1), atol=1e-6)
        np.testing.assert_allclose(node.stats.mean, y.reshape(len(y), -1).mean(1), atol=1e-6)
        values, half = maps(node)
        if kind == "audio":
            values, shown = values[:, 0, 0], y
        elif kind == "image":
            values, shown = values[:, 0], y
        else:
            shown = y[:, node.steps[0]]
        error = np.abs(values - shown).reshape(len(y), -1).max(1)
        assert (error <= half + 1e-6).all()


def test_paths_of_blocks_are_named_and_merged(sound):
    found = inspect_config(settings("audio", blocks(), sound), [sound])
    nodes = {n.name: n for n in found.nodes}
    relu = nodes["1"]
    assert nodes["2"].paths == [
        ("layers", nodes["2.layers.1"].id),
        ("shortcut (what comes in, unchanged)", relu.id),
    ]
    assert nodes["3"].paths == [
        ("path 0", nodes["3.branches.0.0"].id),
        ("path 1", nodes["3.branches.1.0"].id),
    ]
    assert nodes["2"].merge == "add"
    assert nodes["3"].merge == "concat"
    assert nodes["3"].merge_difference == 0
    assert nodes["2"].merge_difference < 1e-6
    kinds = [kind for kind, _ in found.outline]
    assert kinds.count("enter") == kinds.count("leave") == 2
    assert kinds.count("path") == 4


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_part_has_the_values_of_the_whole_file(sound, film, causal, stride):
    for kind, path, start, steps in (("audio", sound, 117, 40), ("video", film, 5, 3)):
        inner = [stride, 1, 1] if kind == "video" else stride
        stack = [
            {"conv": {"out_channels": 3, "kernel_size": 3, "stride": inner}},
            {"conv": {"out_channels": 2, "kernel_size": 2}},
            {"conv_transpose": {"out_channels": 2, "kernel_size": 3, "stride": inner}},
        ]
        config = settings(kind, stack, path, causal=causal)
        found = inspect_config(config, [path], start=start, steps=steps)
        modules, x = loaded(config, path)
        caught = outputs(modules, x)
        for node in found.nodes[1:]:
            whole = caught[node.name][0].numpy()
            first = int(start // node.stride)
            part = whole[:, first : first + node.lengths[0]]
            assert part.shape[1:] == node.lengths
            assert node.lengths[0] >= max(1, int(steps / node.stride))
            flat = part.reshape(len(part), -1)
            np.testing.assert_allclose(node.stats.low, flat.min(1), atol=1e-6)
            np.testing.assert_allclose(node.stats.high, flat.max(1), atol=1e-6)
            np.testing.assert_allclose(node.stats.mean, flat.mean(1), atol=1e-6)


def test_histograms_count_every_value_once(picture):
    found = inspect_config(settings("image", blocks(), picture), [picture])
    stack, x = loaded(found.config, picture)
    y = outputs(stack, x)["0"][0]
    stats = found.nodes[1].stats
    assert stats.counts.sum() == stats.values == y.numel()
    assert (stats.counts.sum(1) == y[0].numel()).all()
    low, high = stats.edges[0], stats.edges[-1]
    assert (low, high) == (stats.low.min(), stats.high.max())
    for c in range(4):
        # by hand: how many values lie at or above an edge, away from the edges themselves
        for edge in stats.edges[1:-1:9]:
            above = int(stats.counts[c][np.searchsorted(stats.edges, edge) :].sum())
            near = int(((y[c] - edge).abs() < 1e-6).sum())
            assert abs(above - int((y[c] >= edge).sum())) <= near


LAYERS = [
    lambda: mnn.Conv1d(5, 6, 3, stride=2, padding="same", padding_mode="reflect"),
    lambda: mnn.CausalConv1d(4, 4, 3, dilation=2, groups=4),
    lambda: mnn.CausalConv2d(3, 4, 3, mode="raster", bias=False),
    lambda: mnn.Conv2d(6, 4, 3, groups=2, padding=1),
    lambda: mnn.CausalConv3d(2, 3, (3, 2, 2), mode="mask"),
    lambda: mnn.ConvTranspose1d(4, 6, 4, stride=2, groups=2),
    lambda: mnn.CausalConvTranspose2d(3, 2, 3, stride=2),
    lambda: mnn.ConvTranspose3d(3, 2, 2, stride=2, output_padding=1),
    lambda: mnn.DeformConv2d(3, 4, 3, padding=1, modulation=True),
    lambda: mnn.Conv2d(40, 3, 1),
]


def whole(t):
    array = t.numpy()[None] if t.ndim != 3 else t.numpy()
    return Kept(array, array.reshape(-1)[:1].astype(np.float64))


@pytest.mark.parametrize("make", LAYERS)
def test_shares_of_input_channels_add_up_to_the_output(make):
    torch.manual_seed(0)
    layer = make().eval()
    if hasattr(layer, "offset"):
        nn.init.normal_(layer.offset.weight, std=0.3)
    dims = int(type(layer).__name__[-2])
    x = torch.randn(1, layer.in_channels, *(9, 8, 7)[:dims])
    with torch.no_grad():
        y = layer(x)
        plan = plan_sums(layer, x, y, outputs=8)
        sums = take_apart(layer, x, y, plan, whole)
        assert sums.difference <= sums.bound
        # the bound is no blank cheque: a thousandth of the output's size
        assert sums.bound < 1e-3 * float(y.abs().max())
        for i, o in enumerate(plan.outputs):
            shares = sum(k.pictures for k in sums.shares[i]) + (
                0 if sums.rest[i] is None else sums.rest[i].pictures
            )
            bias = 0 if layer.bias is None else float(layer.bias[o])
            np.testing.assert_allclose(shares + bias, whole(y[0, o]).pictures, atol=sums.bound)
            np.testing.assert_array_equal(sums.output[i].pictures, whole(y[0, o]).pictures)
        if not hasattr(layer, "offset"):
            _check_one_share(layer, x, plan, sums)


def _check_one_share(layer, x, plan, sums):
    """A share is the layer over an input whose other channels are silent: by the input, not the weight."""
    o, c = plan.outputs[-1], plan.shown[-1][0]
    alone = torch.zeros_like(x)
    alone[:, c] = x[:, c]
    bias = 0 if layer.bias is None else layer.bias[o]
    expected = whole(layer(alone)[0, o] - bias).pictures
    np.testing.assert_allclose(sums.shares[-1][0].pictures, expected, atol=sums.bound)


def test_a_layer_that_does_not_add_up_is_told():
    layer = mnn.Conv1d(2, 2, 3, padding="same")
    x = torch.randn(1, 2, 20)
    with torch.no_grad():
        y = layer(x) + 0.01
        sums = take_apart(layer, x, y, plan_sums(layer, x, y, outputs=8), whole)
    assert sums.difference == pytest.approx(0.01, rel=1e-3)
    assert sums.difference > sums.bound


def test_kernels_go_by_output_and_input_channel():
    from mediaconv.draw.inspect.kernel_maps import kernels_of

    conv = mnn.CausalConv2d(4, 6, 3, mode="raster", groups=2)
    kernels = kernels_of(conv)
    assert kernels.weight.shape == (6, 2, 3, 3)
    assert kernels.inputs.tolist() == [[0, 1]] * 3 + [[2, 3]] * 3
    assert not kernels.mask[1, 2]
    assert not kernels.mask[2].any()
    assert kernels.mask[1, 1]
    assert (kernels.weight[..., ~kernels.mask] == 0).all()
    turned = mnn.ConvTranspose1d(4, 6, 3, groups=2)
    kernels = kernels_of(turned)
    x = torch.zeros(1, 4, 1)
    x[0, 3, 0] = 1
    # one input of 1 writes the kernel itself into the output
    y = F.conv_transpose1d(x, turned.weight, None, groups=2)[0].detach().numpy()
    assert kernels.inputs[5].tolist() == [2, 3]
    np.testing.assert_array_equal(kernels.weight[3:, 1], y[3:])


def test_planted_dead_and_saturated_channels_are_pointed_out(picture):
    n = 5
    weight = np.zeros((n, 3, 1, 1))
    for channel in (0, 2, 3, 4):  # one colour minus another: healthy, on both sides of zero
        weight[channel, channel % 3], weight[channel, (channel + 1) % 3] = 0.4, -0.4
    bias = [0.0, -1.0, 0.0, 30.0, 0.0]
    stack = [{"conv": {"out_channels": n, "kernel_size": 1, "weight": weight.tolist(), "bias": bias}}, "ACT"]

    def flags(activation):
        stack[1] = activation
        found = inspect_config(settings("image", stack, picture), [picture])
        return {(f.channel, f.kind) for f in found.nodes[2].stats.flags}

    assert flags("relu") == {(1, "dead")}
    assert flags("relu6") == {(1, "dead"), (3, "dead"), (3, "saturated")}
    assert flags("sigmoid") == {(1, "dead"), (3, "dead"), (3, "saturated")}
    assert flags("tanh") == {(1, "dead"), (3, "dead"), (3, "saturated")}
    assert flags("identity") == {(1, "dead")}


def test_saturated_means_more_than_99_percent():
    def kinds(count, module, value):
        x = torch.linspace(0.1, 0.9, 1000)
        x[:count] = value
        return [f.kind for f in measure([x.reshape(1, 1, -1)], module).flags]

    assert kinds(990, nn.Hardtanh(), 1.0) == []
    assert kinds(991, nn.Hardtanh(), 1.0) == ["saturated"]
    assert kinds(991, nn.Hardtanh(), 0.9999) == []
    assert kinds(991, nn.Sigmoid(), 0.9995) == ["saturated"]
    assert kinds(991, nn.Sigmoid(), 0.998) == []
    assert kinds(991, nn.ReLU(), 0.0) == ["saturated"]
    assert kinds(1000, None, 0.3) == ["dead"]
    assert kinds(999, None, 0.3) == []


def test_a_channel_is_dead_over_all_files_or_not_at_all(tmp_path):
    paths = []
    for i, level in enumerate((40, 90)):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.full((8, 8), level, np.uint8))
        paths.append(path)
    config = settings("image", ["identity"], paths[0], read={"color": "gray"})
    assert [f.kind for f in inspect_config(config, paths[:1]).nodes[1].stats.flags] == ["dead"]
    both = inspect_config(config, paths).nodes[1]
    assert both.stats.flags == ()
    assert [round(float(maps(both, i)[0].mean()) * 255) for i in range(2)] == [40, 90]


def test_values_that_are_no_numbers_are_counted_and_drawn_apart():
    x = torch.rand(1, 2, 4, 5)
    x[0, 1, 0, 0], x[0, 1, 0, 1] = float("nan"), float("inf")
    stats = measure([x])
    assert stats.not_finite == 2
    assert stats.counts.sum() == 38
    assert [(f.channel, f.kind) for f in stats.flags] == [(1, "not finite")]
    gray = to_gray(x[0, 1].numpy(), 0.0, 1.0)
    assert (gray[0, :2] == 0).all()
    assert (gray.reshape(-1)[2:] > 0).all()


def test_the_page_has_the_numbers_and_no_raw_floats(film):
    found = inspect_config(settings("video", blocks(), film, normalize="sigmoid"), [film], steps=5)
    data = page_data(found)
    assert [n["title"] for n in data["nodes"]][-1] == "normalize: sigmoid"
    for node in data["nodes"]:
        assert len(node["sheets"][0]["at"]) == len(found.ticks[0])
        import base64

        png = base64.b64decode(node["sheets"][0]["png"])
        gray = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(gray, found.nodes[node["id"]].sheets[0].gray)


def test_a_frame_of_a_strided_layer_is_the_last_one_that_is_there(film):
    stack = [{"conv": {"out_channels": 1, "kernel_size": 3, "stride": [2, 1, 1]}}]
    found = inspect_config(settings("video", stack, film, causal=True), [film], start=3, steps=4)
    at = page_data(found)["nodes"][1]["sheets"][0]["at"]
    assert found.nodes[1].steps == [[1, 2, 3]]
    assert at == [0, 1, 1, 2]  # frames 3, 4, 5, 6 show outputs 1, 2, 2, 3


def test_the_budget_holds_and_what_is_left_out_is_said(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (300, 450, 3), np.uint8))
    stack = [{"conv": {"out_channels": 40, "kernel_size": 1}}] * 10
    found = inspect_config(settings("image", stack, path), [path])
    assert sum(s.gray.size for n in found.nodes for s in n.sheets) <= MAX_PIXELS
    assert any("first 32" in note for note in found.notes)
    assert any("shrunk" in note for note in found.notes)
    assert found.nodes[1].stats.values == 40 * 300 * 450
    monkeypatch.setattr(excerpt, "MAX_VALUES", 40 * 100 * 100)
    cut = inspect_config(settings("image", stack[:1], path), [path])
    assert any("the middle" in note for note in cut.notes)
    assert cut.nodes[1].stats.values <= 40 * 100 * 100


def test_fewer_frames_where_memory_would_not_do(film, monkeypatch):
    monkeypatch.setattr(excerpt, "MAX_VALUES", 4 * 12 * 16 * 4)
    stack = [{"conv": {"out_channels": 4, "kernel_size": [2, 1, 1]}}]
    found = inspect_config(settings("video", stack, film, causal=True), [film], steps=12)
    assert found.nodes[1].lengths[0] < 12
    assert any("need too much memory" in note for note in found.notes)


def test_shrinking_averages_and_curves_keep_their_peaks():
    picture = np.arange(64.0).reshape(8, 8).astype(np.float32)
    sheet = picture_sheet([[picture]], [(0.0, 63.0)], side=4)
    expected = picture.reshape(4, 2, 4, 2).mean((1, 3))
    np.testing.assert_allclose(from_gray(sheet.tile(0, 0), 0, 63), expected, atol=63 / 508 + 1e-6)
    curve = np.zeros(10000)
    curve[5001], curve[77] = 5, -3
    low, high = envelope(curve, 100)
    assert high.max() == 5
    assert low.min() == -3
    assert len(low) == 100


def test_files_of_a_batch_must_fit_one_stack(tmp_path):
    mono = tmp_path / "mono.wav"
    stereo = tmp_path / "stereo.wav"
    soundfile.write(mono, np.zeros(50), 8000)
    soundfile.write(stereo, np.zeros((50, 2)), 8000)
    with pytest.raises(UsageError, match=r"stereo.wav has 2 channels, mono.wav has 1"):
        inspect_config(settings("audio", ["relu"], mono), [mono, stereo])
    soundfile.write(stereo, np.zeros(50), 16000)
    hertz = [{"conv": {"kernel": {"low_pass": {"cutoff_hz": 500, "taps": 9}}}}]
    with pytest.raises(UsageError, match="different stacks"):
        inspect_config(settings("audio", hertz, mono), [mono, stereo])
    assert len(inspect_config(settings("audio", ["relu"], mono), [mono, stereo]).clips) == 2


def test_a_file_that_does_not_fit_the_stack_is_named(tmp_path):
    for name, channels in (("mono", 1), ("stereo", 2)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros((50, channels)), 8000)
    stack = [{"conv": {"in_channels": 2, "out_channels": 1, "kernel_size": 3}}]
    paths = [tmp_path / "stereo.wav", tmp_path / "mono.wav"]
    with pytest.raises(UsageError, match=r"^mono\.wav: .*in_channels: got 2"):
        inspect_config(settings("audio", stack, paths[0]), paths)


def test_errors_say_what_to_do(sound, tmp_path):
    config = settings("audio", [{"conv": {"out_channels": 1, "kernel_size": 500, "padding": "valid"}}], sound)
    with pytest.raises(UsageError, match="leaves no output"):
        inspect_config(config, [sound])
    plain = settings("audio", ["relu"], sound)
    with pytest.raises(UsageError, match=r"start: got 400, but sound.wav has 400 steps"):
        inspect_config(plain, [sound], start=400)
    with pytest.raises(UsageError, match="frames: got 0"):
        inspect_config(plain, [sound], steps=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is in the way"):
        inspect_config(plain, [sound]).save(tmp_path / "file" / "a.html")


def test_command_writes_page_and_pictures(mediaconv, config, sound, tmp_path):
    path = config(
        pipeline="audio",
        input=str(sound),
        output="out",
        stack=[{"conv": {"out_channels": 4, "kernel_size": 3}}, *blocks()[2::3]],
    )
    done = mediaconv(
        "inspect", path, "--input", sound, "-o", "page.html", "--png", "pictures", "--frames", "200"
    )
    assert "page.html" in done.stdout
    assert "samples 0 to 199" in done.stdout
    text = (tmp_path / "page.html").read_text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    for expected in ("kernels", "maps", "sums", "values"):
        assert f"01_0_conv_{expected}.png" in names
    assert any(n.endswith("conv_transpose_before_after.png") for n in names)
    assert any(n.endswith("residual_paths.png") for n in names)
    for name in names:
        drawn = cv2.imread(str(tmp_path / "pictures" / name))
        assert drawn.min() < 128
        assert drawn.max() == 255
    mediaconv("inspect", path, "-o", "page.gif", code=2)
    (tmp_path / "pictures/00_input_maps.png").write_bytes(b"mine")
    for taken in ("page.html", "pictures"):  # told before the input is read
        told = mediaconv("inspect", path, "--input", "missing.wav", "--png", taken, code=2).stderr
        assert "is in the way" in told
    assert (tmp_path / "pictures/00_input_maps.png").read_bytes() == b"mine"


def test_titles_of_pictures_are_whole(sound, tmp_path):
    stack = [
        {"residual": [{"residual": [{"conv": {"out_channels": 2, "kernel_size": 1}}]}]},
        {"conv": {"out_channels": 1, "kernel_size": 1}},
    ]
    inspect_config(settings("audio", stack, sound), [sound]).save_pngs(tmp_path / "p")
    titles = [cv2.imread(str(path))[8:26] for path in (tmp_path / "p").glob("*_kernels.png")]
    assert len(titles) == 2
    for title in titles:
        assert title.min() < 80  # ink
        assert (title[:, -6:] == 255).all()  # none at the right edge


def test_a_resampled_sound_is_looked_at_behind_the_resampling(sound):
    config = settings(
        "audio", [{"conv": {"out_channels": 2, "kernel_size": 5}}], sound, read={"sample_rate": 4000}
    )
    whole_run = inspect_config(config, [sound])
    part = inspect_config(config, [sound], start=70, steps=50)
    assert whole_run.nodes[0].lengths == (200,)
    assert part.nodes[0].lengths == (50,)
    for a, b in zip(whole_run.nodes, part.nodes, strict=True):
        values, half = maps(a)
        piece, more = maps(b)
        error = np.abs(values[:, 0, 0, 70:120] - piece[:, 0, 0]).max(1)
        assert (error <= half + more + 1e-6).all()
    assert part.rate == 4000


def test_shipped_configurations_can_be_inspected(root):
    config = load_config(root / "configs" / "video_causal.yaml")
    found = inspect_config(config, [root / "data" / "video" / "lightning.mp4"], start=18, steps=3)
    flash = found.nodes[0].stats
    assert flash.high.max() > 0.9  # lightning in frame 20
    assert found.clips[0].first == 18 - 8 - 1
    assert found.nodes[1].sums[0].difference <= found.nodes[1].sums[0].bound


def test_a_stack_in_float64_is_looked_at_in_float32(sound):
    def values(precision):
        config = parse_config(
            f"pipeline: audio\ninput: {sound}\noutput: out\nprecision: {precision}\n"
            "stack: [{conv: {out_channels: 3, kernel_size: 5}}, tanh]",
            name="c",
        )
        nodes = inspect_config(config, [sound]).nodes
        return [(n.title, n.stats.low.tolist(), n.stats.high.tolist(), n.stats.mean.tolist()) for n in nodes]

    assert values("float64") == values("float32")


class Denoiser(nn.Module):
    """With a skip, and a channel that is always dead."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv1d(2, 4, 5, padding=2)
        self.b = nn.Conv1d(4, 2, 5, padding=2)
        with torch.no_grad():
            self.a.weight[3], self.a.bias[3] = 0, -1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.b(torch.relu(self.a(x)))


def test_a_trained_model_is_shown_by_its_operations(sound, tmp_path):
    """Their values, kernels and dead channels, over a part of the file as over the whole."""
    from torch.export import Dim, export, save

    model = Denoiser().eval()
    program = export(model, (torch.zeros(1, 2, 64),), dynamic_shapes=({2: Dim.AUTO},))
    save(program, tmp_path / "m.pt2")
    stack = ["relu", {"model": str(tmp_path / "m.pt2")}]
    config = settings("audio", stack, sound)
    found = inspect_config(config, [sound], start=100, steps=50)
    nodes = {n.name: n for n in found.nodes}
    assert [n.title for n in found.nodes] == [
        "input", "relu", "conv1d 5", "relu", "conv1d 5", "add", "model",
    ]  # fmt: skip
    x = torch.from_numpy(soundfile.read(sound, dtype="float32")[0].T[None]).relu()
    with torch.no_grad():
        expected = {"1.a": model.a(x), "1.b": model.b(model.a(x).relu()), "1.add": model(x)}
    for name, y in expected.items():
        part = y[0, :, 100:150].numpy()
        np.testing.assert_allclose(nodes[name].stats.mean, part.mean(1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(nodes[name].stats.high, part.max(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(nodes["1.a"].kernels.weight, model.a.weight.detach().numpy())
    assert nodes["1.b"].sums[0].difference <= nodes["1.b"].sums[0].bound
    assert "dead" in str(nodes["1.relu"].stats.flags)
    assert nodes["1.a"].source == nodes["0"].id
    assert [kind for kind, _ in found.outline].count("enter") == 1
    assert "its operations" in found.html()


class Long(nn.Module):
    """A convolution and seventy operations without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(2, 2, 3, padding=1), nn.Conv1d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(70):
            x = torch.tanh(x)
        return self.last(x)


def test_operations_of_a_large_model_that_are_not_shown_are_named(sound, tmp_path):
    from torch.export import Dim, export, save

    program = export(Long().eval(), (torch.zeros(1, 2, 64),), dynamic_shapes=({2: Dim.AUTO},))
    save(program, tmp_path / "m.pt2")
    found = inspect_config(settings("audio", [{"model": str(tmp_path / "m.pt2")}], sound), [sound], steps=50)
    shown = {n.name for n in found.nodes}
    assert {"0.first", "0.last"} <= shown
    (note,) = [n for n in found.notes if "operations" in n]
    assert note.startswith("layer 0: at most 64 of its operations are shown, those with weights first; not")
    assert note.endswith("and 58 more")
    assert "not shown: tanh, tanh (2), " in found.html()
