"""Weights from files: what fits goes in exactly, all that does not is said at once and changes nothing."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import mediaconv.nn as mnn
from mediaconv import load_config
from mediaconv.errors import UsageError
from mediaconv.model.weights import apply_weights, load_weights
from mediaconv.run.jobs.identity import run_identity


def stack() -> mnn.Sequential:
    return mnn.Sequential(
        mnn.Conv1d(2, 4, 3), nn.ReLU(), mnn.CausalConv1d(4, 1, 5, mode="mask"), nn.BatchNorm1d(1)
    )


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 1, 5), nn.BatchNorm1d(1)).state_dict()


def refused(weights: dict[str, torch.Tensor]) -> list[str]:
    """The lines of the error; the stack is checked to be untouched."""
    module = stack()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        apply_weights(module, weights, "my.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    return str(caught.value).splitlines()


def sharded(folder: Path, **changes: str) -> Path:
    """A state in two files with an index. changes: of what the index says."""
    names, whole = list(state()), state()
    for i, part in enumerate((names[:3], names[3:])):
        save_file({name: whole[name] for name in part}, folder / f"part{i}.safetensors")
    places = {name: f"part{int(i >= 3)}.safetensors" for i, name in enumerate(names)}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {**places, **changes}}))
    return path


def test_an_index_of_several_files_is_their_tensors(tmp_path):
    loaded = load_weights(sharded(tmp_path))
    assert loaded.keys() == state().keys()
    assert all(torch.equal(loaded[name], value) for name, value in state().items())
    with pytest.raises(UsageError, match="leave it out"):
        load_weights(tmp_path / "model.safetensors.index.json", key="model")


def test_the_files_of_an_index_are_part_of_a_runs_identity(tmp_path):
    layer = "{conv: {out_channels: 4, kernel_size: 3}}"
    text = f"pipeline: audio\ninput: a\noutput: b\nweights: {sharded(tmp_path)}\nstack: [{layer}]\n"
    (tmp_path / "c.yaml").write_text(text)
    before = run_identity(load_config(tmp_path / "c.yaml"))
    save_file({name: value + 1 for name, value in state().items()}, tmp_path / "part1.safetensors")
    assert run_identity(load_config(tmp_path / "c.yaml")) != before
    (tmp_path / "part1.safetensors").unlink()
    with pytest.raises(UsageError, match=r"part1\.safetensors cannot be read: No such file"):
        run_identity(load_config(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("../part0.safetensors", "beside the index"),
        ("/etc/passwd", "beside the index"),
        ("none.safetensors", "no such file"),
        ("part1.safetensors", "part1.safetensors has no '0.weight'"),
        ("out.safetensors", "beside the index"),
    ],
)
def test_an_index_names_files_beside_it_alone(tmp_path, place, words):
    (tmp_path / "inside").mkdir()
    save_file(state(), tmp_path / "out.safetensors")
    (tmp_path / "inside" / "out.safetensors").symlink_to(tmp_path / "out.safetensors")
    with pytest.raises(UsageError, match=words) as error:
        load_weights(sharded(tmp_path / "inside", **{"0.weight": place}))
    assert "\n" not in str(error.value)


def test_an_index_that_is_none_is_one_error(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    for text in ("{", "[]", "{}", '{"weight_map": 3}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="is no index of safetensors files"):
            load_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_what_was_saved_is_loaded(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    save_file(state(), path) if suffix == ".safetensors" else torch.save(state(), path)
    loaded = load_weights(path)
    assert set(loaded) == set(state())
    assert all(torch.equal(loaded[key], value) for key, value in state().items())


def test_a_checkpoint_that_holds_a_state_dict_is_loaded(tmp_path):
    torch.save({"epoch": 3, "state_dict": state()}, tmp_path / "a.pt")
    assert set(load_weights(tmp_path / "a.pt")) == set(state())


class Stranger:
    """Runs code when it is unpickled by a careless reader."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


def broken_files(folder):
    save_file(state(), folder / "whole.safetensors")
    data = (folder / "whole.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(data[:-10])
    (folder / "head.safetensors").write_bytes(data[:20])
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "text.safetensors").write_text("no weights at all")
    (folder / "huge.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    (folder / "folder.safetensors").mkdir()
    (folder / "other.bin").write_bytes(data)
    save_file({}, folder / "none.safetensors")
    torch.save(state(), folder / "whole.pt")
    (folder / "cut.pt").write_bytes((folder / "whole.pt").read_bytes()[:-200])
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("no weights at all")
    torch.save([1, 2], folder / "list.pt")
    torch.save({"model": nn.Linear(1, 1).state_dict()}, folder / "nested.pt")
    torch.save({"weight": torch.eye(2).to_sparse()}, folder / "sparse.pt")
    torch.save(nn.Linear(1, 1), folder / "module.pt")
    torch.save(Stranger(), folder / "stranger.pt")
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data/0", bytes(20_000_000))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.safetensors", "no such file"),
        ("folder.safetensors", "is no file"),
        ("cut.safetensors", "no complete safetensors file"),
        ("head.safetensors", "no complete safetensors file"),
        ("empty.safetensors", "no complete safetensors file"),
        ("text.safetensors", "no complete safetensors file"),
        ("huge.safetensors", "no complete safetensors file"),
        ("none.safetensors", "holds no tensors"),
        ("other.bin", "got a file of type '.bin', expected one of .safetensors, .pt, .pth"),
        ("cut.pt", "is a damaged archive"),
        ("empty.pt", "no file of plain tensors"),
        ("text.pt", "no file of plain tensors"),
        ("list.pt", "got a list, expected a state_dict"),
        ("nested.pt", "'model': got a OrderedDict, expected a plain tensor; state_dicts stand under 'model'"),
        ("sparse.pt", "'weight': got a torch.sparse_coo tensor"),
        ("module.pt", "no file of plain tensors"),
        ("stranger.pt", "no file of plain tensors"),
        ("bomb.pt", "compressed entries that inflate to 20000000"),
    ],
)
def test_a_file_without_weights_is_an_error_of_one_line(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    broken_files(tmp_path)
    with pytest.raises(UsageError) as caught:
        load_weights(tmp_path / name)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


def test_weights_of_torchs_own_layers_go_in_and_the_mask_stays():
    module = stack()
    apply_weights(module, state(), "my.safetensors")
    found = module.state_dict()
    for key, value in state().items():
        if key == "2.weight":
            assert torch.equal(found[key][..., :3], value[..., :3])
            assert not found[key][..., 3:].any()
        else:
            assert torch.equal(found[key], value)


def test_all_problems_are_said_at_once():
    weights = state()
    weights["0.wieght"] = weights.pop("0.weight")
    weights["2.weight"] = torch.zeros(1, 4, 3)
    weights["2.bias"] = torch.tensor([float("nan")])
    weights["3.running_var"] = torch.tensor([float("inf")])
    assert refused(weights) == [
        "weights: my.safetensors: 0.weight: is missing; the stack has it with shape [4, 2, 3] "
        "(did you mean '0.wieght'?)",
        "weights: my.safetensors: 0.wieght: is not in the stack (did you mean '0.weight'?)",
        "weights: my.safetensors: 2.weight: got shape [1, 4, 3], but the weight of layer 2 (CausalConv1d) "
        "has [1, 4, 5]",
        "weights: my.safetensors: 2.bias: 1 of 1 numbers are NaN or infinite",
        "weights: my.safetensors: 3.running_var: 1 of 1 numbers are NaN or infinite",
    ]


def test_numbers_take_the_stacks_type():
    weights = {key: value.double() if value.is_floating_point() else value for key, value in state().items()}
    weights["0.weight"] = weights["0.weight"] + 1e-12
    module = stack()
    apply_weights(module, weights)
    assert torch.equal(module.state_dict()["0.weight"], weights["0.weight"].float())
    assert module.state_dict()["0.weight"].dtype == torch.float32


def test_a_large_float64_is_kept_in_float64_and_refused_in_float32():
    weights = {key: value.double() if value.is_floating_point() else value for key, value in state().items()}
    weights["0.weight"] = weights["0.weight"].clone()
    weights["0.weight"][0, 0, 0] = 1e200
    assert refused(weights) == [
        "weights: my.safetensors: 0.weight: 1 of 24 numbers are too large for float32"
    ]
    module = stack().double()
    apply_weights(module, weights)
    assert module.state_dict()["0.weight"][0, 0, 0] == 1e200


def test_complex_numbers_are_refused_and_the_training_counter_is_not_needed():
    weights = state()
    del weights["3.num_batches_tracked"]
    apply_weights(stack(), weights)
    weights["0.bias"] = weights["0.bias"].to(torch.complex64)
    assert refused(weights) == ["weights: my.safetensors: 0.bias: got complex numbers, expected real ones"]


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_quantized_numbers_are_refused_whose_scale_stands_elsewhere(kind):
    weights = state()
    weights["0.weight"] = (weights["0.weight"] * 99).to(getattr(torch, kind))
    weights["0.weight_scale"] = torch.tensor(1 / 99)
    with pytest.raises(UsageError, match=rf"0\.weight: got quantized numbers \({kind}\)"):
        apply_weights(stack(), weights, strict=False)


def checkpoint(folder):
    """A training checkpoint: the stack's numbers of DataParallel deep inside, beside other things."""
    mine = {f"module.{key}": value for key, value in state(1).items()}
    other = {"module.other": torch.ones(2)}
    torch.save({"epoch": 3, "model": {"net": mine, "ema.slow": {**mine, **other}}}, folder / "last.pth")
    return folder / "last.pth"


def test_a_key_and_a_prefix_lead_to_the_stacks_part_of_a_checkpoint(tmp_path):
    path = checkpoint(tmp_path)
    for key in ("model.net", "model.ema.slow"):
        loaded = load_weights(path, key=key, prefix="module.")
        assert all(torch.equal(loaded[name], value) for name, value in state(1).items())
    with pytest.raises(
        UsageError, match=r"key: got 'model.nets', which is not there; .* 'model.net', 'model"
    ):
        load_weights(path, key="model.nets")
    with pytest.raises(UsageError, match=r"prefix: got 'modul:', with which no name begins.*'module.'"):
        load_weights(path, key="model.net", prefix="modul:")
    with pytest.raises(
        UsageError, match=r"'epoch': got a int, .* 'model.net', 'model.ema.slow': name one by key"
    ):
        load_weights(path)
    save_file(state(), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="key: 'model': a safetensors file holds tensors alone"):
        load_weights(tmp_path / "a.safetensors", key="model")


def test_names_that_all_differ_are_one_error_with_the_prefix_that_fits():
    assert refused({f"net.module.{key}": value for key, value in state().items()}) == [
        "weights: my.safetensors: its names begin with 'net.module.': state that by weights.prefix"
    ]
    (line,) = refused({"a.weight": torch.ones(1)})
    assert line.startswith(
        "weights: my.safetensors: none of its names ('a.weight') is in the stack, which has '0.w"
    )


def test_what_only_one_side_has_is_passed_over_unless_strict():
    weights = state(1)
    del weights["2.bias"]
    weights["head.weight"] = torch.ones(3)
    assert len(refused(weights)) == 2
    module = stack()
    before = module.state_dict()["2.bias"].clone()
    apply_weights(module, weights, strict=False)
    assert torch.equal(module.state_dict()["0.weight"], weights["0.weight"])
    assert torch.equal(module.state_dict()["2.bias"], before)
    weights["0.weight"] = torch.ones(1)
    with pytest.raises(UsageError, match=r"0.weight: got shape \[1\]"):
        apply_weights(module, weights, strict=False)


def test_a_long_error_is_cut():
    many = {f"extra.{i}": torch.ones(1) for i in range(100)} | {"0.bias": torch.zeros(4)}
    lines = refused(many)
    assert len(lines) == 21
    assert lines[-1].endswith(" more")


def test_what_is_taken_from_a_file_is_part_of_the_identity_and_its_path_is_not(tmp_path):
    path = checkpoint(tmp_path)
    base = {"pipeline": "audio", "input": "a", "output": "b", "stack": ["relu"]}

    def identity(**weights):
        return run_identity(load_config({**base, "weights": weights}))["weights"]

    first = identity(file=str(path), key="model.net", prefix="module.")
    moved = path.rename(tmp_path / "moved.pth")
    assert identity(file=str(moved), key="model.net", prefix="module.") == first
    assert identity(file=str(moved), key="model.ema.slow", prefix="module.") != first
    assert identity(file=str(moved)) != first
