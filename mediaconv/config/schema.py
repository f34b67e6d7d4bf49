"""The JSON Schema of a configuration file, for editors: keys, descriptions, choices, layers' options."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mediaconv import pipeline as pipelines
from mediaconv.config.normalizers import NORMALIZERS
from mediaconv.config.run_config import RayOptions, RunConfig
from mediaconv.config.section import Named
from mediaconv.config.weights_file import WeightsFile
from mediaconv.layers import LAYERS
from mediaconv.layers.filters.filter_keys import KERNELS
from mediaconv.layers.keys.initializers import INITIALIZERS
from mediaconv.media.limits import Limits

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_CHOICES: dict[str, Mapping[str, type[Named]]] = {
    "kernel": KERNELS,
    "initializer": INITIALIZERS,
    "normalizer": NORMALIZERS,
}
_MODELS: dict[str, type[BaseModel]] = {"limits": Limits, "ray": RayOptions}


def config_schema() -> dict[str, Any]:
    """The schema of a whole file, for the pipelines that are installed here."""
    schema = _object(RunConfig)
    schema["properties"]["pipeline"] = {**schema["properties"]["pipeline"], "enum": pipelines.names()}
    schema["title"] = "mediaconv run"
    schema["allOf"] = [_of_pipeline(name) for name in pipelines.names()]
    schema["$defs"] = {noun: _choice(kinds) for noun, kinds in {"layer": LAYERS.usable(), **_CHOICES}.items()}
    schema["$defs"] |= {name: _nullable(_object(model)) for name, model in _MODELS.items()}
    weights = _object(WeightsFile)
    schema["$defs"]["weights"] = {"anyOf": [copy.deepcopy(weights["properties"]["file"]), weights]}
    return {"$schema": DIALECT, **_linked(schema)}


def _object(model: type[BaseModel]) -> dict[str, Any]:
    """A model's own schema, its definitions written in place."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return _inlined(schema, definitions)


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        reference = value.get("$ref", "")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return _inlined({**definitions[reference.removeprefix("#/$defs/")], **rest}, definitions)
        kept = {key: item for key, item in value.items() if key != "title" or not isinstance(item, str)}
        return {key: _inlined(item, definitions) for key, item in kept.items()}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def _choice(kinds: Mapping[str, type[Named]]) -> dict[str, Any]:
    """`name`, or `{name: options}`."""
    bodies = {}
    for name, kind in kinds.items():
        body = _object(kind)
        if kind.shorthand:
            body = {
                "anyOf": [copy.deepcopy(body["properties"][kind.shorthand]), body],
                "description": kind.__doc__,
            }
        bodies[name] = body if {"required", "anyOf"} & set(body) else _nullable(body)
        if torch_name := getattr(kind, "torch_name", ""):
            bodies[torch_name.lower()] = bodies[name]
    bare = [name for name, body in bodies.items() if "null" in body.get("type", ())]
    spelt = {
        "type": "object",
        "properties": bodies,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"anyOf": [{"enum": bare}, spelt]}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """An object whose key may stand alone, with nothing below it."""
    return {**schema, "type": ["object", "null"]} if schema.get("type") == "object" else schema


def _of_pipeline(name: str) -> dict[str, Any]:
    """What `read` and `write` take under one pipeline."""
    try:
        pipeline = pipelines.find(name)
    except Exception:
        # a plug-in that cannot be loaded has no say in the schema; running it tells why
        return {}
    options = {
        "read": _nullable(_object(pipeline.read_options)),
        "write": _nullable(_object(pipeline.write_options)),
    }
    named = {"properties": {"pipeline": {"const": name}}, "required": ["pipeline"]}
    return {"if": named, "then": {"properties": options}}


def _linked(value: Any) -> Any:
    """Markers left by the value types, turned into references."""
    if isinstance(value, dict):
        linked = {
            key: _linked(item)
            for key, item in value.items()
            if key not in ("x-choice", "x-model", "x-pipelines")
        }
        target = value.get("x-choice") or value.get("x-model")
        return {**linked, "$ref": f"#/$defs/{target}"} if isinstance(target, str) else linked
    return [_linked(item) for item in value] if isinstance(value, list) else value
