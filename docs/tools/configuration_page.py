"""Makes docs/reference/configuration.md from the typed configuration itself, so that the two cannot differ.

python docs/tools/configuration_page.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mediaconv import pipeline as pipelines
from mediaconv.config.normalizers import NORMALIZERS
from mediaconv.config.run_config import RayOptions, RunConfig
from mediaconv.config.schema import config_schema
from mediaconv.config.section import Named
from mediaconv.config.weights_file import WeightsFile
from mediaconv.layers import LAYERS
from mediaconv.layers.keys.initializers import INITIALIZERS
from mediaconv.media.limits import Limits

PATH = Path(__file__).parents[1] / "reference" / "configuration.md"
HEAD = """# Configuration

One YAML file describes a run. Relative paths in it, `weights` and `input` alike, are taken from the folder
where the command runs; `~` is the home folder. `--input`, `--output` and `--set key.path=value` (YAML values,
list items by number) override it:

    mediaconv run configs/video_causal.yaml --set stack.0.conv.kernel_size=5 --set write.lossless=true

All errors of a file are shown at once, each with file, line and key, what was found and what is allowed; the
exit code is 2 then, and where the configuration fits none of its inputs. Keys that are not listed here are
errors.

What is chosen by name, such as a layer, is written `relu`, or `leaky_relu: {negative_slope: 0.2}` with its
options. The outputs of `INPUT/a/b/clip.mp4` are `OUTPUT/a/b/clip.mp4/channel_0.mp4`, `channel_1.mp4` and so
on; INPUT is the folder given, of a glob the part before its first wildcard, of a single file its own folder.
Of a folder with films and no sounds the audio pipeline takes the films' sound.

`mediaconv validate` checks a file, `mediaconv schema` prints the JSON Schema that editors complete by; the
first line of a file names it: `# yaml-language-server: $schema=docs/schema.json`. This page is made from the
program by `docs/tools/configuration_page.py`.

## A run
"""
LINKS = {
    "layer": "[a layer](#layers)",
    "kernel": "[a kernel](kernels.md)",
    "initializer": "[an initializer](#initializers)",
    "normalizer": "[a normalizer](#normalizers)",
    "limits": "[mapping](#limits-and-ray)",
    "ray": "[mapping](#limits-and-ray)",
    "weights": "path, or [mapping](#weights)",
}
"""What a part of the schema is called, and where this page tells of it."""

LEVELS = """
A stack with random weights gives small values around its biases. Without a `gain`, a `sigmoid` or `tanh`
stores them as sound some 28 dB below full scale around a DC offset, and as pictures that are almost
gray. `gain` scales, and `bias` (or `bias: false` in the layers) centres; `mediaconv init FILE` and `run
FILE --stack` measure both on the file's first part. A run and a report say so where sound is quiet; the
report's players scale what is heard and drawn.
"""

SIZES = """
A value per axis is one number or a list in torch's axis order: time; height, width; time, height, width.
`causal: true` is `pad` for sound and film and `raster` for images. `pad` pads the past alone, `mask` sets
future taps to zero, `raster` sets every tap after the position in reading order to zero (`{raster: A}` the
position itself as well).
"""


def page() -> str:
    """The whole page."""
    schema = config_schema()
    parts = [HEAD, table(RunConfig.model_fields.items(), schema["properties"], RunConfig)]
    for name in pipelines.names():
        kind = pipelines.find(name)
        if not type(kind).__module__.startswith("mediaconv."):
            continue
        for key, options in (("read", kind.read_options), ("write", kind.write_options)):
            parts.append(f"\n### `{key}` of {name}\n")
            parts.append(
                table(options.model_fields.items(), options.model_json_schema()["properties"], options)
            )
    parts.append("\n### `weights`\n")
    weights = next(form for form in schema["$defs"]["weights"]["anyOf"] if "properties" in form)
    parts.append(table(WeightsFile.model_fields.items(), weights["properties"], WeightsFile))
    parts.append("\n### `limits` and `ray`\n")
    for model in (Limits, RayOptions):
        properties = schema["$defs"]["limits" if model is Limits else "ray"]["properties"]
        parts.append(table(model.model_fields.items(), properties, model) + "\n")
    parts.append("\n## Layers\n" + SIZES)
    parts += named(LAYERS.usable(), schema["$defs"]["layer"])
    parts.append("\n## Normalizers\n" + LEVELS)
    parts += named(NORMALIZERS, schema["$defs"]["normalizer"])
    parts.append("\n## Initializers\n\nUnder a convolution's `init`, by torch's names.\n")
    parts += named(INITIALIZERS, schema["$defs"]["initializer"])
    parts.append("\nThe kernels by name are on a page of their own: [kernels.md](kernels.md).\n")
    return "\n".join(parts)


def named(kinds: Mapping[str, type[BaseModel]], schema: Mapping[str, Any]) -> list[str]:
    """A section for each kind with keys of its own; those without in one list."""
    bodies = next(option["properties"] for option in schema["anyOf"] if "properties" in option)
    sections, bare = [], []
    for name, kind in kinds.items():
        about = " ".join((kind.__doc__ or "").split())
        if kind.model_fields:
            forms = [bodies[name], *bodies[name].get("anyOf", [])]
            properties = next(form["properties"] for form in forms if "properties" in form)
            sections += [f"### `{name}`\n\n{about}\n", table(kind.model_fields.items(), properties, kind), ""]
        else:
            bare.append(f"- `{name}`: {about}")
    return sections + (["Without options:\n", *bare] if bare else [])


def table(fields: Iterable[tuple[str, FieldInfo]], schema: Mapping[str, Any], model: type[BaseModel]) -> str:
    """A row per key: what it may be, its default, what it is for."""
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for name, field in fields:
        default = "required" if field.is_required() else plain(field.get_default(call_default_factory=True))
        about = (field.description or "").replace("|", "or")
        rows.append(f"| `{name}` | {allowed(schema.get(name, {}))} | {default} | {about} |")
    return "\n".join(rows)


def plain(value: Any) -> str:
    """A default as YAML spells it; nothing where the description tells."""
    if isinstance(value, Named):
        return f"`{value.name}`"
    if value is None or isinstance(value, BaseModel) or value in ((), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(schema: Mapping[str, Any]) -> str:
    """What a value may be, from its JSON Schema, in few words."""
    if "anyOf" in schema:
        words = [allowed(option) for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(word for word in words if word))
    if "$ref" in schema:
        return LINKS[schema["$ref"].rsplit("/", 1)[-1]]
    if "enum" in schema:
        return ", ".join(f"`{str(v).lower() if isinstance(v, bool) else v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "")
    if kind == "array":
        inner = allowed(schema.get("items", {}))
        return f"list, each {inner}" if inner else "list"
    if kind in ("integer", "number"):
        if "minimum" in schema and "maximum" in schema:
            return f"{kind} from {schema['minimum']} to {schema['maximum']}"
        bounds = [f">= {schema['minimum']}"] if "minimum" in schema else []
        bounds += [f"> {schema['exclusiveMinimum']}"] if "exclusiveMinimum" in schema else []
        return " ".join([str(kind), *bounds])
    if isinstance(kind, list):  # it may be left empty, too
        kind = kind[0]
    if kind == "object" and len(schema.get("properties", {})) == 1:
        ((key, value),) = schema["properties"].items()
        return " or ".join(f"`{{{key}: {choice}}}`" for choice in value["enum"])
    return {"object": "mapping", "boolean": "`true`, `false`", "string": "text"}.get(str(kind), "")


if __name__ == "__main__":
    PATH.write_text(page())
