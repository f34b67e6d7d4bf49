"""A model by its path (`.onnx`, `.pt2`) or its installed name (entry points `mediaconv.models`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError, nearest
from mediaconv.installed import installed
from mediaconv.model_files import OTHER_PRECISION
from mediaconv.model_files.typed_code import build_typed, code_of, is_trusted

if TYPE_CHECKING:
    import torch
    from torch import nn

GROUP = "mediaconv.models"
SUFFIXES = (".onnx", ".pt2")
_FEATURES = ("input_size", "embed_dim", "in_features")
"""What recurrent, attention and linear layers of torch say that they take."""
_REFUSED = (".pt", ".pth", ".ts", ".torchscript", ".pkl", ".bin", ".ckpt", ".safetensors")


def is_file(name: str) -> bool:
    """Whether a model is named by a path, not by the name it is installed under."""
    return (
        code_of(name) is not None
        or Path(name).suffix.lower() in (*SUFFIXES, *_REFUSED)
        or "/" in name
        or "\\" in name
    )


def is_factory(name: str) -> bool:
    """Whether a model is what a function gives, of a package or a file of Python, not a file itself."""
    return not is_file(name) or code_of(name) is not None


def installed_names() -> set[str]:
    """The names of all installed models."""
    return {entry.name for entry in installed(GROUP)}


def entry_of(name: str) -> EntryPoint:
    """The entry point of an installed model. Raises UsageError."""
    by_name = {entry.name: entry for entry in installed(GROUP)}
    if name not in by_name:
        known = ", ".join(sorted(by_name)) or "none is installed"
        code = (
            f"; of Python code, on the command line, --model {name}:FUNCTION" if name.endswith(".py") else ""
        )
        raise UsageError(
            f"model: got {name!r}, expected a path that ends in .onnx or .pt2, or an installed model: {known}"
            f"{code or nearest(name, by_name)}"
        )
    return by_name[name]


def open_model(
    name: str,
    *,
    input: str | None = None,
    output: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The module, in evaluation mode, on the CPU.

    input, output: names in an ONNX file. options: arguments of an installed model's factory.
    Raises UsageError.
    """
    if is_factory(name):
        if input is not None:
            raise UsageError(
                f"input: {name} is a function that gives a module of one input: leave the key out"
            )
        made = _installed if code_of(name) is None else build_typed
        return made(name, dict(options or {}))
    path = Path(name)
    suffix = path.suffix.lower()
    if options:
        raise UsageError(f"options: {name} is a file; options are for the factory of an installed model")
    if suffix == ".onnx":
        from mediaconv.model_files.onnx_file import load_onnx

        loaded = load_onnx(path, input=input, output=output)
        _check_floats(name, loaded.input_type)
        return loaded
    import torch

    from mediaconv.model_files.pt2_file import load_pt2
    from mediaconv.model_files.pt2_graph import WAY_OUT
    from mediaconv.nn.graph.capture.exported_program import module_of, to_single

    if suffix != ".pt2":
        raise UsageError(
            f"model: {name}: {suffix or 'such'} files are weights, TorchScript or pickles: {WAY_OUT}; "
            "weights go into a stack by the key `weights`, or are loaded by a function of yours: --model "
            "FILE.py:FUNCTION on the command line"
        )
    if input is not None:
        raise UsageError(f"input: {name} has its inputs in order and without names: leave the key out")
    program = load_pt2(path)
    value = _declared(program)
    _check_floats(name, str(value.dtype).removeprefix("torch."))
    module = module_of(program)
    module.input_shape = tuple(  # type: ignore[assignment]
        size if isinstance(size, int) else None for size in value.shape
    )
    if value.dtype != torch.float32:
        to_single(module, value.dtype)
        module.notes = [OTHER_PRECISION]  # type: ignore[assignment]
    return module


def exact_weights(
    name: str, *, input: str | None = None, output: str | None = None
) -> dict[str, torch.Tensor]:
    """The weights in 64 bits of an `.onnx` or `.pt2` file, by their names in the module; of others none."""
    import torch

    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES or not is_file(name):
        return {}
    if suffix == ".onnx":
        from mediaconv.model_files.onnx_file import load_onnx

        state = load_onnx(Path(name), input=input, output=output, double=True).state_dict()
    else:
        from mediaconv.model_files.pt2_file import load_pt2
        from mediaconv.nn.graph.capture.exported_program import module_of

        state = module_of(load_pt2(Path(name))).state_dict()
    return {key: value for key, value in state.items() if value.dtype == torch.float64}


def _check_floats(name: str, kind: str) -> None:
    """Refuse a model whose input is no floating-point numbers: values would be of another range."""
    if "float" not in kind and kind not in ("double", "undefined"):
        raise UsageError(
            f"model: {name}: its input takes {kind} numbers; a stack hands on floating-point ones: export "
            "the model with a float input, without the conversion at its beginning"
        )


def _module_of(layer: Mapping[str, Any]) -> nn.Module:
    """The module that a layer `model` names by its keys. Raises UsageError."""
    name, output = layer["file"], layer.get("output")
    named = str(output) if output is not None and Path(name).suffix.lower() == ".onnx" else None
    return open_model(name, input=layer.get("input"), output=named, options=layer.get("options"))


def _declared(program: Any) -> Any:
    """The tensor, without numbers, of a program's one input. Raises UsageError where it takes several."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise UsageError(f"model: takes {len(names)} inputs, expected one: export a module of one tensor")
    (node,) = [n for n in program.graph.nodes if n.name == names[0]]
    return node.meta["val"]


def _installed(name: str, options: dict[str, Any]) -> nn.Module:
    from mediaconv.model_files.factories import made

    return made(name, entry_of(name).load, options)


def files_of(name: str) -> list[Path]:
    """Files that a model's outputs follow from: its own, and the external data of an ONNX file."""
    if not is_file(name):
        return []
    code = code_of(name)
    if code is not None:
        return [code[0]]
    path = Path(name)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return [path]
    from mediaconv.model_files.external_data import external_files

    return [path, *external_files(path)]


def origin_of(name: str, options: Mapping[str, Any]) -> str:
    """What a factory's model follows from besides its files: the package's version, and the weights it gives.

    Of `.onnx` and `.pt2` nothing, and of code that may not be run.
    """
    from mediaconv.model_files.factories import weights_of

    if is_file(name):
        return weights_of(open_model(name, options=options)) if is_trusted(name) else ""
    entry = entry_of(name)
    package = "" if entry.dist is None else f" {entry.dist.name}-{entry.dist.version}"
    return f"{entry.value}{package} {weights_of(open_model(name, options=options))}"


def axes_of(layer: Mapping[str, Any]) -> int | None:
    """Axes after the channels of what a model takes: by its `axes`, by what its file states, or by its first
    convolution; a model that has none of them, but a recurrent, attention or linear layer, takes one.

    layer: `file`, and the other keys of the layer `model`. Raises UsageError.
    """
    from torch import nn

    from mediaconv.nn.axes_pattern import AxesPattern

    if isinstance(text := layer.get("axes"), str):
        try:
            return len(AxesPattern.parse(text).letters)
        except ValueError as error:
            raise UsageError(f"model.axes: {error}") from None
    module = _module_of(layer)
    shape = getattr(module, "input_shape", None)
    if shape is not None:
        return max(1, len(shape) - 2)
    for part in module.modules():
        if isinstance(part, nn.modules.conv._ConvNd):
            return part.weight.ndim - 2
    return 1 if any(hasattr(part, name) for part in module.modules() for name in _FEATURES) else None


def channels_of(layer: Mapping[str, Any], axis: int | None, *, last: bool = False) -> int | None:
    """Channels of a model's input: as its file states them along `axis`, or as its first convolution has.

    layer: as of `axes_of`. last: they are its last axis: a first layer may be one that takes features.
    """
    try:
        module = _module_of(layer)
    except (UsageError, ValueError):  # told of where the model is built
        return None
    shape = getattr(module, "input_shape", None)
    if shape is not None and len(shape) == 2:
        return 1  # samples without an axis of channels, which `axes` must state
    if shape is not None:
        return shape[axis] if axis is not None and axis < len(shape) else None
    stated = ("in_channels", *(_FEATURES if last else ()))
    counts = (getattr(layer, key, None) for layer in module.modules() for key in stated)
    return next((count for count in counts if isinstance(count, int)), None)
