"""`.pt2` files: a stranger's archive gives a module or an error, and runs nothing."""

import ast
import io
import json
import math
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn
from torch.export import Dim

import mediaconv.nn
from mediaconv.errors import UsageError
from mediaconv.model_files.pt2_file import load_pt2
from mediaconv.nn import to_streaming
from mediaconv.nn.graph.capture.exported_program import condition, module_of, require


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(1, 4, 3, padding=1)
        self.b = nn.Conv1d(4, 1, 3, stride=2, padding=1)
        self.c = nn.Conv1d(1, 4, 3, padding=1)
        self.c.weight = self.a.weight
        self.register_buffer("scale", torch.tensor([2.0, 3.0])[:1])
        self.register_buffer("mean", torch.arange(8.0)[::2], persistent=False)

    def forward(self, x):
        y = self.b(torch.relu(self.a(x))) * self.scale + self.mean[1]
        return y.flatten(2).reshape(1, 1, x.shape[2] // 2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = Tied().eval()
    x = torch.randn(1, 1, 64)
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    torch.export.save(torch.export.export(model, (x,), dynamic_shapes=({2: Dim.AUTO},)), path)
    return model, path


def rewritten(path, target, change):
    """A copy of an archive, `change(name, content)` giving each entry's new content."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            content = change(name.partition("/")[2], source.read(name))
            if content is not None:
                out.writestr(name, content)
    return target


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def changed_json(path, target, change):
    def edit(name, content):
        if name.startswith("models/"):
            program = json.loads(content)
            change(program)
            return json.dumps(program).encode()
        return content

    return rewritten(path, target, edit)


def test_a_program_computes_what_the_module_does(saved):
    model, path = saved
    program = load_pt2(path).module()
    x = torch.randn(1, 1, 64)
    assert torch.equal(program(x), model(x))
    longer = torch.randn(1, 1, 200)
    assert torch.equal(program(longer), model(longer))
    assert set(program.state_dict()) >= set(model.state_dict())


def test_torch_runs_the_pickle_of_sample_inputs_and_we_do_not(saved, tmp_path):
    model, path = saved
    for loader, runs in ((torch.export.load, True), (load_pt2, False)):
        mark = tmp_path / f"ran-{runs}"
        buffer = io.BytesIO()
        torch.save(Evil(mark), buffer)
        evil = buffer.getvalue()
        bad = rewritten(
            path,
            tmp_path / f"{runs}.pt2",
            lambda name, content, new=evil: new if "sample_inputs" in name else content,
        )
        program = loader(bad) if not runs else None
        if runs:
            with pytest.raises(Exception):  # noqa: B017, PT011 - what torch says afterwards is torch's
                loader(bad)
        assert mark.exists() == runs
        if program is not None:
            x = torch.randn(1, 1, 64)
            assert torch.equal(program.module()(x), model(x))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pickled_payload_is_a_plain_tensor_or_refused(saved, tmp_path, compressed):
    _, path = saved
    mark = tmp_path / "ran"
    evil = pickle.dumps(Evil(mark))
    if compressed:
        buffer = io.BytesIO()
        torch.save(torch.zeros(4), buffer)
        squeezed = io.BytesIO()
        with zipfile.ZipFile(buffer) as a, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as b:
            for name in a.namelist():
                b.writestr(name, a.read(name))
        evil = squeezed.getvalue()

    def edit(name, content):
        if name.endswith("weights_config.json"):
            config = json.loads(content)
            config["config"]["b.weight"] |= {"use_pickle": True, "path_name": "evil"}
            return json.dumps(config)
        return content

    bad = rewritten(path, tmp_path / "bad.pt2", edit)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(f"{archive.namelist()[0].partition('/')[0]}/data/weights/evil", evil)
    with pytest.raises(UsageError, match=r"b\.weight"):
        load_pt2(bad)
    assert not mark.exists()


def test_custom_objects_are_refused_by_name(saved, tmp_path):
    _, path = saved

    def edit(name, content):
        if name.endswith("constants_config.json"):
            config = json.loads(content)
            key = next(iter(config["config"]))
            config["config"][key] |= {"path_name": "custom_obj_0"}
            return json.dumps(config)
        return content

    with pytest.raises(UsageError, match="is an object, not a tensor"):
        load_pt2(rewritten(path, tmp_path / "bad.pt2", edit))


def expressions(value):
    if isinstance(value, dict):
        if "expr_str" in value:
            yield value
        for item in value.values():
            yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').mkdir({mark!r})",
        "s0.__class__.__base__",
        "(lambda: s0)()",
        "Integer(2)**s0",
        "9**9**9**9",
        "[s0 for s0 in (1,)][0]",
        "s0 if s0 else 1",
        "'s0'",
        "factorial(10**8)",
        "FloorDiv(s0, evalf=1)",
    ],
)
def test_sizes_are_arithmetic_alone(saved, tmp_path, text):
    _, path = saved
    mark = tmp_path / "ran"

    def change(program):
        found = list(expressions(program))
        assert found
        found[0]["expr_str"] = text.format(mark=str(mark))

    with pytest.raises(UsageError, match="no arithmetic on sizes"):
        load_pt2(changed_json(path, tmp_path / "bad.pt2", change))
    assert not mark.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.hub.load",
        "os.mkdir",
        "#x:y",
        "math.factorial",
    ],
)
def test_operators_are_torchs_own(saved, tmp_path, target):
    _, path = saved

    def change(program):
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(UsageError, match="none of torch's own operations"):
        load_pt2(changed_json(path, tmp_path / "bad.pt2", change))


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        (
            "collections.defaultdict",
            '{"default_factory_module": "this", "default_factory_name": "s", "dict_context": []}',
        ),
        ("builtins.dict", '[{"__enum__": true, "fqn": "this:s", "name": "x"}]'),
        ("builtins.dict", '{"__enum__": true, "fqn": "this:s", "name": "x"}'),
        ("my.Output", "null"),
    ],
)
def test_signatures_hold_plain_containers_and_import_nothing(saved, tmp_path, kind, context):
    _, path = saved

    def change(program):
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        tree = json.loads(signature["out_spec"])
        tree[1] = {"type": kind, "context": context, "children_spec": [tree[1]]}
        signature["out_spec"] = json.dumps(tree)

    with pytest.raises(UsageError, match="its input or output is a"):
        load_pt2(changed_json(path, tmp_path / "bad.pt2", change))


def test_declared_sizes_are_checked_before_anything_is_made(saved, tmp_path):
    _, path = saved

    def edit(name, content):
        if name.endswith("weights_config.json"):
            config = json.loads(content)
            config["config"]["b.weight"]["tensor_meta"]["sizes"] = [{"as_int": 10**7}] * 2
            config["config"]["b.weight"]["tensor_meta"]["strides"] = [{"as_int": 0}] * 2
            return json.dumps(config)
        return content

    with pytest.raises(UsageError, match="has 12 numbers in the file"):
        load_pt2(rewritten(path, tmp_path / "bad.pt2", edit))


def test_an_archive_that_would_inflate_is_refused_unread(saved, tmp_path):
    bad = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/archive_format", b"pt2")
        archive.writestr("model/data/weights/weight_0", bytes(50_000_000))
    with pytest.raises(UsageError, match="compressed entries that inflate to 50000003"):
        load_pt2(bad)


def test_torchscript_pickles_and_other_files_are_refused_with_the_way_out(tmp_path):
    script = tmp_path / "script.pt2"
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Conv1d(1, 1, 3))), script)
    pickled = tmp_path / "pickle.pt2"
    torch.save({"a": torch.zeros(1)}, pickled)
    text = tmp_path / "text.pt2"
    text.write_text("hello")
    damaged = tmp_path / "damaged.pt2"
    damaged.write_bytes(b"PK\x03\x04" + bytes(100))
    for file, words in (
        (script, "TorchScript.*torch.export.save"),
        (pickled, "no .pt2.*torch.export.save"),
        (text, "no archive"),
        (damaged, "damaged"),
        (tmp_path / "none.pt2", "no such file"),
        (tmp_path, "is no file"),
    ):
        with pytest.raises(UsageError, match=words):
            load_pt2(file)


class Branches(nn.Module):
    """Goes another way at lengths that are no multiple of 4, from 500 on, and in rows wider than 150."""

    def __init__(self, branch):
        super().__init__()
        self.conv, self.branch = nn.Conv1d(1, 1, 3, padding=1), branch

    def forward(self, x):
        return self.conv(x) * (1 if self.branch(x.shape[2]) else 2)


BRANCHES = {
    "multiple": lambda n: n % 4 == 0,
    "none": lambda n: n % 4 != 1,
    "long": lambda n: n > 300,
    "ceil": lambda n: math.ceil(n / 8) > 40,
    "float": lambda n: n / 8 > 40.5,
    "floor": lambda n: (n // 8) % 2 == 0,
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_lengths_at_which_the_module_went_another_way_are_refused_not_wrong(name, tmp_path):
    """A program holds one way alone: its conditions come along from the file."""
    module, x = Branches(BRANCHES[name]).eval(), torch.randn(1, 1, 400)
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=({2: Dim.AUTO},)), path)
    captured = to_streaming(module_of(load_pt2(path)), example=x)
    taken = 0
    for length in (80, 320, 400, 401, 402, 408, 800):
        x = torch.randn(1, 1, length)
        running = mediaconv.nn.stream(captured)
        try:
            with torch.no_grad():
                given = torch.cat(
                    [running.push(x[:, :, :33]), running.push(x[:, :, 33:]), running.flush()], 2
                )
        except ValueError:
            assert BRANCHES[name](length) != BRANCHES[name](400), length
            continue
        taken += 1
        assert torch.allclose(given, module(x), atol=1e-6), length  # sums in another order
    assert taken >= 2


def test_other_axes_keep_an_exports_longest_size(tmp_path):
    class Wide(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * (1 if x.shape[3] < 150 else 2)

    module, x = Wide(1, 1, 3, padding=1).eval(), torch.randn(1, 1, 40, 104)
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=({2: Dim.AUTO, 3: Dim.AUTO},)), path)
    captured = to_streaming(module_of(load_pt2(path)), example=x)
    with pytest.raises(ValueError, match="goes another way"):
        mediaconv.nn.stream(captured).push(torch.randn(1, 1, 40, 300))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getpid() == 0",
        "L['x'].size().__class__ == 0",
        "d2.real == 2",
        "max == 3",
        "9**9 == 1",
        "[d2] == 1",
        "math.sin(d2) > 1",
        "'a' * d2 == 'a'",
        7,
    ],
)
def test_conditions_that_are_no_arithmetic_on_sizes_are_not_evaluated(text):
    assert condition(text) is None


@pytest.mark.parametrize("text", ["d9 > 1", "d2 % 0 == 1", "max(d2) > 1"])
def test_conditions_that_have_no_value_are_told(text):
    with pytest.raises(ValueError, match="cannot be told"):
        require(torch.zeros(1, 1, 5), text)


@pytest.mark.parametrize("n", [1, 7, 8, 400])
@pytest.mark.parametrize(
    "text",
    [
        "(8*math.ceil(L['x'].size()[2] / 8)) == L['x'].size()[2]",
        "max(5, (-100) + L['x'].size()[2]) > 7",
        "not (L['x'].size()[2] // 4) % 2 != 0 or L['x'].size()[2] < 8",
    ],
)
def test_conditions_are_read_as_python_does(text, n):
    x = torch.zeros(1, 1, n)
    if eval(text, {"L": {"x": x}, "math": math}):
        require(x, ast.unparse(condition(text)))
    else:
        with pytest.raises(ValueError, match="its export holds where"):
            require(x, ast.unparse(condition(text)))


def test_the_length_that_an_export_fixes_for_a_recurrent_layer_is_told_with_another_way():
    class Strided(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.rnn = nn.Conv1d(1, 4, 4, stride=4), nn.GRU(4, 4, batch_first=True)

        def forward(self, x):
            return self.rnn(self.conv(x).mT)[0].mT

    program = torch.export.export(
        Strided().eval(), (torch.zeros(1, 1, 160),), dynamic_shapes=({2: torch.export.Dim.AUTO},)
    )
    with pytest.raises(
        TypeError, match=r"its export holds where .* an ONNX file \(torch.onnx.export\) or the"
    ):
        to_streaming(program, example=torch.zeros(1, 1, 800))


def test_what_is_told_of_an_operation_names_no_line_of_this_package(tmp_path):
    class Reversed(nn.Module):
        def forward(self, x):
            return x.flip(2)

    program = torch.export.export(
        Reversed(), (torch.randn(1, 1, 64),), dynamic_shapes=({2: Dim.AUTO},), strict=False
    )
    torch.export.save(program, tmp_path / "model.pt2")
    graph = to_streaming(load_pt2(tmp_path / "model.pt2"), example=torch.randn(1, 1, 64))
    assert graph.notes == ["flip: it needs the whole input: held to the end"]
