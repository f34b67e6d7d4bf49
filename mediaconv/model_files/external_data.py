"""Tensors of an ONNX file that lie in files beside it: which files, and their bytes.

They stay in the model's own folder: no `..`, no link and no absolute path leads away from it. Of a model
that is a link, that is the folder that the link stands in, or where the data is not there the one that the
model lies in; a link among the data may lead from one of them to the other, and nowhere else.
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
    found = (_found(path, place) for place in map(_place, _tensors(model)) if place is not None)
    return sorted({file for file in found if file is not None and file.is_file()})


def _folders(model: Path) -> list[Path]:
    """Where a model's data may lie: beside the name that it is given by, then beside the file itself."""
    return list(dict.fromkeys([model.parent.resolve(), model.resolve().parent]))


def _found(model: Path, place: PurePosixPath) -> Path | None:
    """A data file where it stands, the last place looked at where it is in none; None where it leads out."""
    folders = _folders(model)
    files = [folder / place for folder in folders]
    file = next((f for f in files if f.exists()), files[-1])
    return file if any(file.resolve().is_relative_to(folder) for folder in folders) else None


def external_bytes(proto: Any, length: int, model: Path) -> bytes:
    """The `length` bytes of a tensor that lies beside the file `model`. Raises UsageError."""
    entries = {e.key: e.value for e in proto.external_data}
    place = _place(proto)
    what = f"model: {model}: {proto.name}: external data {entries.get('location', '')!r}"
    if place is None:
        raise UsageError(f"{what}: expected a path inside the model's folder")
    file = _found(model, place)
    if file is None:
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
