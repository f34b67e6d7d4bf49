"""A `.pt2` of torch.export as an ExportedProgram, read so that nothing of the file is executed.

`torch.export.load` unpickles the sample inputs and some payloads, evaluates size expressions as Python text
and imports modules that the signature names. Here tensors alone are read (`weights_only=True`), sample inputs
are left unread, and the graph's JSON is checked and cleaned before torch sees it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mediaconv.errors import UsageError
from mediaconv.model_files.archive import check_archive, check_entries
from mediaconv.model_files.pt2_graph import WAY_OUT, checked_program


class _Archive:
    """Entries by their names below the archive's one folder."""

    def __init__(self, path: Path, names: list[str], file: ZipFile) -> None:
        self.path, self._file = path, file
        self._root = names[0].partition("/")[0]
        self.names = [name.removeprefix(self._root + "/") for name in names]

    def read(self, name: str) -> bytes:
        if name not in self.names:
            raise UsageError(f"model: {self.path}: the archive has no {name}: it is no complete .pt2")
        return self._file.read(f"{self._root}/{name}")

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))


def load_pt2(path: Path) -> ExportedProgram:
    """The one program of an archive, on the CPU, its example inputs left out.

    Raises UsageError: no `.pt2` of torch.export, TorchScript, what only a pickle could hold, operations that
    are not torch's own.
    """
    names = check_archive(path, "model")
    if names is None:
        raise UsageError(f"model: {path}: is no archive of torch.export: {WAY_OUT}")
    if not names:
        raise UsageError(f"model: {path}: is an empty archive")
    with ZipFile(path) as file:
        archive = _Archive(path, names, file)
        if "archive_format" not in archive.names:
            kind = "TorchScript" if any("constants.pkl" in n for n in names) else "no .pt2"
            raise UsageError(f"model: {path}: is {kind}, which is not read: {WAY_OUT}")
        return _load(archive)


@contextmanager
def _reading(archive: _Archive, part: str) -> Iterator[None]:
    """Refuse a part of an archive by its name, whatever torch, or what reads its JSON, meets in it."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        match = re.search(r"Node\(target='([\w.]{1,100})'", str(error))
        if match is not None:
            part += f", at the operation {match[1]},"
        raise UsageError(
            f"model: {archive.path}: {part} cannot be read: it is damaged, or of a torch that this one "
            f"({torch.__version__}) does not follow: export the model again with torch.export.save, or "
            "install the torch that wrote it"
        ) from error


def _load(archive: _Archive) -> ExportedProgram:
    from torch._export.serde.schema import ExportedProgram as Schema
    from torch._export.serde.serialize import ExportedProgramDeserializer, _bytes_to_dataclass

    for prefix, what in (
        ("data/aotinductor/", "compiled code"),
        ("data/executorch/", "an ExecuTorch program"),
    ):
        if any(name.startswith(prefix) for name in archive.names):
            raise UsageError(f"model: {archive.path}: holds {what}, which is not run: {WAY_OUT}")
    programs = [n for n in archive.names if n.startswith("models/") and n.endswith(".json")]
    if len(programs) != 1:
        raise UsageError(f"model: {archive.path}: holds {len(programs)} programs, expected one")
    name = programs[0].removeprefix("models/").removesuffix(".json")
    with _reading(archive, "its graph"):
        content = archive.json(programs[0])
        _check_version(archive, content)
        graph = checked_program(content, str(archive.path))
    state = _tensors(archive, "data/weights/", f"data/weights/{name}_weights_config.json")
    constants = _tensors(archive, "data/constants/", f"data/constants/{name}_constants_config.json")
    with _reading(archive, "its graph"):
        schema = _bytes_to_dataclass(Schema, json.dumps(graph).encode())
        return ExportedProgramDeserializer().deserialize(schema, state, constants, None)


def _check_version(archive: _Archive, content: Any) -> None:
    """Refuse a version of torch's format that this torch does not read; any other is told by its faults."""
    from torch._export.serde.schema import SCHEMA_VERSION

    version = content.get("schema_version") if isinstance(content, dict) else None
    major = version.get("major") if isinstance(version, dict) else None
    if isinstance(major, int) and major != SCHEMA_VERSION[0]:
        raise UsageError(
            f"model: {archive.path}: has version {major} of torch's format, and this torch "
            f"({torch.__version__}) reads version {SCHEMA_VERSION[0]}: export the model again with it, or "
            "install the torch that wrote it"
        )


def _tensors(archive: _Archive, folder: str, config: str) -> dict[str, Tensor]:
    """Tensors by name, as `config` lists them; those in one payload share it, as tied weights do."""
    tensors: dict[str, Tensor] = {}
    payloads: dict[str, bytearray] = {}
    with _reading(archive, f"the list of tensors {config}"):
        entries = archive.json(config)["config"].items()
    for name, entry in entries:
        with _reading(archive, f"the tensor {str(name)[:100]}"):
            tensors[name] = _tensor(archive, folder, name, entry, payloads)
    return tensors


def _tensor(
    archive: _Archive, folder: str, name: str, entry: dict[str, Any], payloads: dict[str, bytearray]
) -> Tensor:
    file = entry["path_name"]
    if file.startswith("custom_obj"):
        raise UsageError(
            f"model: {archive.path}: {name} is an object, not a tensor: it is not unpickled: {WAY_OUT}"
        )
    meta = entry["tensor_meta"]
    if entry["use_pickle"]:
        value = _unpickled(archive, folder + file, name)
        stated = [] if meta is None else _numbers(meta, "sizes")
        if meta is not None and list(value.shape) != stated:
            raise UsageError(
                f"model: {archive.path}: {name}: shape {list(value.shape)}, stated is {stated}: {WAY_OUT}"
            )
    else:
        if file not in payloads:
            payloads[file] = bytearray(archive.read(folder + file))
        value = _strided(payloads[file], meta, f"model: {archive.path}: {name}")
    return torch.nn.Parameter(value, value.is_floating_point()) if entry["is_param"] else value


def _numbers(meta: dict[str, Any], key: str) -> list[int]:
    return [int(size["as_int"]) for size in meta[key]]


def _strided(payload: bytearray, meta: dict[str, Any], what: str) -> Tensor:
    from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

    dtype = _SERIALIZE_TO_TORCH_DTYPE[meta["dtype"]]
    sizes, strides = _numbers(meta, "sizes"), _numbers(meta, "strides")
    flat = torch.frombuffer(payload, dtype=dtype) if payload else torch.zeros(0, dtype=dtype)
    if torch.Size(sizes).numel() > flat.numel():
        raise UsageError(f"{what}: shape {sizes} has {flat.numel()} numbers in the file: {WAY_OUT}")
    return flat.as_strided(sizes, strides, int(meta["storage_offset"]["as_int"]))


def _unpickled(archive: _Archive, file: str, name: str) -> Tensor:
    content = archive.read(file)
    if content.startswith(b"PK"):
        check_entries(io.BytesIO(content), len(content), f"model: {archive.path}: {name}")
    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(
            f"model: {archive.path}: {name} is pickled and no plain tensor: it is not read: {WAY_OUT}, of a "
            "model whose parameters and buffers are plain tensors"
        ) from error
    if not isinstance(value, Tensor):
        raise UsageError(f"model: {archive.path}: {name}: got a {type(value).__name__}, expected a tensor")
    return value
