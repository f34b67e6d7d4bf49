"""The JSON Schema: valid itself, takes what runs, marks what does not, names everything there is."""

from __future__ import annotations

import json

import pytest
import yaml

from mediaconv.config import config_schema, dump_config, parse_config
from mediaconv.config.document import Loader
from mediaconv.config.normalizers import NORMALIZERS
from mediaconv.layers import LAYERS
from tests.config.test_config_load import GOOD

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(json.dumps(config_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", GOOD)
def test_what_runs_is_valid(validator: jsonschema.Draft202012Validator, name: str) -> None:
    for text in (GOOD[name], dump_config(parse_config(GOOD[name]))):
        # the editor's YAML is 1.2, where 1e-3 is a number: our loader reads it so
        validator.validate(yaml.load(text, Loader))


@pytest.mark.parametrize(
    "line",
    [
        "stakc: []",
        "seed: -1",
        "causal: treu",
        "precision: float8",
        "read: {fsp: 3}",
        "stack: [rleu]",
        "stack: [conv: {kernel_sise: 3}]",
        "stack: [residual: [rleu]]",
        "stack: [branches: [[conv: {kernel_size: 0}]]]",
        "stack: [conv: {kernel: {sobel: {axis: q}}}]",
        "stack: []",
        "normalize: {sigmoid: {gian: 3}}",
        "limits: {max_pixels: 0}",
        "pipeline: vidoe",
    ],
)
def test_what_does_not_run_is_marked(validator: jsonschema.Draft202012Validator, line: str) -> None:
    content = {"pipeline": "video", "input": "a", "output": "b", "stack": ["relu"]}
    validator.validate(content)
    assert not validator.is_valid(content | yaml.safe_load(line))


def test_an_editor_can_complete_every_name() -> None:
    schema = config_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    bare, spelt = schema["$defs"]["layer"]["anyOf"]
    assert set(LAYERS) | {"leakyrelu"} <= set(spelt["properties"])
    assert {"relu", "leaky_relu", "leakyrelu", "gated"} <= set(bare["enum"])
    assert not {"conv", "residual", "max_pool"} & set(bare["enum"])
    assert set(NORMALIZERS) == set(schema["$defs"]["normalizer"]["anyOf"][1]["properties"])
    assert schema["properties"]["pipeline"]["enum"] == ["audio", "image", "video"]
    assert all("description" in entry for key, entry in schema["properties"].items())
    conv = spelt["properties"]["conv"]["properties"]
    assert all("description" in entry for entry in conv.values())


def test_each_pipeline_brings_its_own_options() -> None:
    for rule in config_schema()["allOf"]:
        assert set(rule["then"]["properties"]["read"]["properties"]) == {
            "fps",
            "size",
            "channels",
            "start_seconds",
        }
        assert set(rule["then"]["properties"]["write"]["properties"]) == {"crf", "lossless", "bit_depth"}
