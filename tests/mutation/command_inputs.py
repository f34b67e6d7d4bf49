"""A small file of each suffix, a model and weights: what the folders of mutated commands hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import soundfile
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from tests.media.ffmpeg_oracle import ffmpeg
from tests.mutation.command_choices import FILES


def make_inputs(folder: Path) -> None:
    """Write them all, readable by every user."""
    rng = np.random.default_rng(0)
    for suffix in FILES["image"]:
        PIL.Image.fromarray(rng.integers(0, 256, (10, 12, 3), np.uint8)).save(folder / f"a.{suffix}")
    for suffix in FILES["audio"]:
        soundfile.write(folder / f"a.{suffix}", rng.uniform(-0.5, 0.5, (800, 2)), 8000)
    for suffix in FILES["video"]:
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=16x16:r=10:d=0.5", folder / f"a.{suffix}")
    weight = rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    save_file({"0.weight": weight, "0.bias": weight[:, 0, 0, 0]}, folder / "w.safetensors")
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    shapes = [("x", [1, 3, "h", "w"]), ("y", [1, 2, "h", "w"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    kept = helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.ravel())
    graph = helper.make_graph([node], "g", [x], [y], [kept])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "model.onnx",
    )
