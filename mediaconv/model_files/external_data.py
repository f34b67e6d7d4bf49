"""Tensors of an ONNX file that lie in files beside it: which files, and their bytes.

They stay in the model's own folder: no `..`, no link and no absolute path leads away from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mediaconv.errors import UsageError
from mediaconv.model_files.archive import check_regular
from mediaconv.model_files.onnx_package import onnx_for


def external_files(path: Path) -> list[Path]:
    """Files beside a model that its tensors name; those that lead elsewhere are left out.

    Raises UsageError where the package onnx is missing.
    """
    onnx = onnx_for(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception:  # reported where the model is read
        return []
    folder = path.resolve().parent
    files = {folder / place for place in map(_place, _tensors(model)) if place is not None}
    return sorted(f for f in files if f.is_file() and f.resolve().is_relative_to(folder))


def external_bytes(proto: Any, length: int, model: Path) -> bytes:
    """The `length` bytes of a tensor that lies beside the file `model`. Raises UsageError."""
    entries = {e.key: e.value for e in proto.external_data}
    folder, place = model.resolve().parent, _place(proto)
    what = f"model: {model}: {proto.name}: external data {entries.get('location', '')!r}"
    if place is None:
        raise UsageError(f"{what}: expected a path inside the model's folder")
    file = folder / place
    if not file.resolve().is_relative_to(folder):
        raise UsageError(f"{what}: leads out of the model's folder")
    size = check_regular(file, what)
    offset, stated = (int(entries.get(key, default)) for key, default in (("offset", 0), ("length", length)))
    if stated != length or offset < 0 or offset + length > size:
        raise UsageError(f"{what}: {length} bytes at {offset} are wanted; the file has {size}")
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)


def _place(proto: Any) -> PurePosixPath | None:
    """Where a tensor lies below the model's folder; None where it names no file, or one elsewhere."""
    location = next((e.value for e in proto.external_data if e.key == "location"), "")
    place = PurePosixPath(location.replace("\\", "/"))
    outside = place.is_absolute() or ".." in place.parts or ":" in location or "\0" in location
    return None if not location or outside else place


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a file: initializers, those in nodes (Constant), both in inner graphs, too."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in (a for node in nodes for a in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from _of_graph(graph)
