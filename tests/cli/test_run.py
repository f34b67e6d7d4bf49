"""How `mediaconv run` ends where the configuration, not a file, is at fault."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from mediaconv.cli.main import app

CONV = {"conv": {"out_channels": 2, "kernel_size": 3}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`mediaconv run` over a gray and a colour picture, in this process: exit code, stdout, stderr."""
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "colour.png"), np.zeros((6, 5, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "in" / "gray.png"), np.zeros((6, 5), np.uint8))
    monkeypatch.chdir(tmp_path)

    def call(config, *options):
        done = CliRunner().invoke(app, ["run", config.name, "--executor", "serial", *options])
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.fixture
def keys():
    """The keys of a run over these pictures."""
    return {"pipeline": "image", "input": "in", "output": "out", "stack": [CONV]}


def test_an_input_that_is_not_there_is_told_with_its_line(run, keys, config):
    keys["input"] = "nowhere"
    code, out, err = run(config(**keys), "--json")
    assert (code, out) == (2, "")
    assert err.startswith("error: config.yaml:2: input: nowhere does not exist")
    assert run(config(**keys), "--input", "far")[2].startswith(
        "error: --input far: input: far does not exist"
    )
    assert run(config(**keys), "--input", "in", "--set", "pipeline=audio")[2].startswith(
        "error: --input in: input: in holds nothing for the pipeline audio; it takes .aac "
    )


def test_a_stack_that_fits_no_input_is_an_error_of_the_configuration(run, keys, config):
    keys["stack"] = [CONV, {"conv": {"in_channels": 3, "out_channels": 1, "kernel_size": 1}}]
    code, out, err = run(config(**keys), "--json")
    assert code == 2
    assert json.loads(out)["failed"] == 2
    said = "config.yaml:8: stack[1].conv: in_channels: got 3, but what comes before gives 2 channels"
    assert [failure["reason"] for failure in json.loads(out)["failures"]] == [said, said]
    assert f"failed: gray.png: compute: {said}" in err


def test_weights_that_cannot_be_are_an_error_of_the_configuration(run, keys, config, tmp_path):
    weight = torch.zeros(2, 3, 3, 3)
    save_file({"0.weight": weight / 0, "0.bias": torch.zeros(2)}, tmp_path / "nan.safetensors")
    code, _, err = run(config(**keys, weights="nan.safetensors"), "--quiet")
    assert code == 2
    assert "config.yaml:8: weights: nan.safetensors: 0.weight: 54 of 54 numbers are NaN or infinite" in err


def test_one_input_that_does_not_fit_is_a_failure_among_others(run, keys, config):
    keys["stack"] = [{"conv": {"in_channels": 3, "out_channels": 1, "kernel_size": 1}}]
    assert run(config(**keys))[0] == 1  # the gray one has one channel
    assert run(config(**keys))[0] == 1  # the other one is done already


def test_a_broken_file_alone_is_no_error_of_the_configuration(run, keys, config, tmp_path):
    (tmp_path / "in" / "gray.png").write_text("no picture")
    keys["input"] = "in/gray.png"
    assert run(config(**keys))[0] == 1
