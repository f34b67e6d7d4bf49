"""File names: each says one thing in the whole tree, so that a stranger finds a room by it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent

LAYER = "a layer's keys in YAML, its torch module, and its ONNX operators where it has some"
MEDIA = "the reader or writer of each kind of media"
COMMAND = "a command, and what it runs"
SAME_THING = {
    "containers.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "convolution.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "deformable.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "norms.py": (LAYER, {"mediaconv/layers", "mediaconv/model_files/onnx_operators", "mediaconv/nn/layers"}),
    "pooling.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "reshape.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "resize.py": (LAYER, {"mediaconv/model_files/onnx_operators", "mediaconv/nn/layers"}),
    "shuffle.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "transposed.py": (LAYER, {"mediaconv/layers", "mediaconv/nn/layers"}),
    "reader.py": (MEDIA, {f"mediaconv/media/{kind}" for kind in ("audio", "image", "video")}),
    "writer.py": (MEDIA, {f"mediaconv/media/{kind}" for kind in ("audio", "image", "tensor", "video")}),
    "forecast.py": (COMMAND, {"mediaconv/cli", "mediaconv/demo"}),
    "status.py": (COMMAND, {"mediaconv/cli", "mediaconv/run/resume"}),
    "trace.py": (COMMAND, {"mediaconv/cli", "mediaconv/nn/summary"}),
}
"""Names that stand more than once: why, and where."""


def test_no_two_files_share_a_name_unless_they_are_the_same_thing() -> None:
    folders: dict[str, set[str]] = defaultdict(set)
    for top, pattern in (("mediaconv", "*.py"), ("pipelines", "*.py"), ("tests", "test_*.py")):
        for path in (ROOT / top).rglob(pattern):
            folders[path.name].add(path.parent.relative_to(ROOT).as_posix())
    shared = {name: rooms for name, rooms in folders.items() if len(rooms) > 1 and name != "__init__.py"}
    assert shared == {name: rooms for name, (_, rooms) in SAME_THING.items()}


def test_a_folder_holds_few_modules() -> None:
    """About fifteen: a folder that has grown past this wants rooms of its own."""
    counts = {
        folder.relative_to(ROOT).as_posix(): len([f for f in folder.glob("*.py") if f.name != "__init__.py"])
        for folder in {path.parent for path in (ROOT / "mediaconv").rglob("*.py")}
    }
    assert {folder: count for folder, count in counts.items() if count > 18} == {}
