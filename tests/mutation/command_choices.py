"""What command lines, configurations and folders of the cases are drawn from."""

from __future__ import annotations

from typing import Any

NAMES = (
    "a", "b c", "-x", "ü", "x" * 240, "=1+1", "n\nl", "[a]", "a\udcff", "channel_0", "manifest", "run",
    "\x1b[31m",
    "a.png", "x{0}", "%s", "'q\"", "~", "a&b<c>", ".h", "CON", "c" * 252,
)  # fmt: skip
NASTY = (
    "", "-1", "0", "1", "2", "nan", "inf", "1e999", "9" * 30, "1" * 5000, "../x", "/dev/null",
    "/proc/self/mem",
    ".", "..", "~", "x" * 300, "{", "[", "null", "é\udcff", "memory://k/a//b", "file:///nowhere",
    "file://out",
    "zip://a::in", "zip://*.png::c.yaml", "a\nb", "\x1b]0;x\x07", "%s%n", "*", "**", "in/**", "[", "true",
    "in",
    "in/a.png", "out", "c.yaml", "fifo", "link", "hole", "loop", "model.onnx", "w.safetensors", "--", "-",
    "1,1",
    "a/b/c/d", "out/manifest.jsonl", "x.png", "x.html", "x.svg", "x.onnx", "x.pt2", "x.gif", "x.mp4", "x.pdf",
    "0.5", "4", "3", "16:9", "0:0", "3,3", "a,b", "1 2; 3 4", "1 2; 3", "dark", "standard", "conv1d",
    "conv3d",
)  # fmt: skip
INPUTS = ("in",) * 9 + ("in/*", "in/**/*.*", ".", "in/../in", "fifo", "link", "out", "hole")
OUTPUTS = ("out",) * 12 + ("in/out", ".", "in", "../elsewhere", "out/" + "d" * 300, "fifo", "./out/")
STACKS: tuple[Any, ...] = (
    [{"conv": {"out_channels": 2, "kernel_size": 3}}],
    [{"conv": {"out_channels": 3, "kernel_size": 3, "stride": 2}}, "relu"],
    [{"conv": {"kernel": "box"}}],
    [{"residual": [{"conv": {"out_channels": 3, "kernel_size": 3}}]}],
    [{"conv_transpose": {"out_channels": 1, "kernel_size": 4, "stride": 2}}],
    [{"model": {"file": "model.onnx"}}],
    [{"pixel_unshuffle": {"downscale_factor": 2}}],
    ["tanh"],
)
FILES = {
    "image": ("png", "jpg", "tif", "bmp"),
    "audio": ("wav", "flac", "ogg"),
    "video": ("mp4", "gif", "mkv"),
}
WRITE: dict[str, dict[str, tuple[Any, ...]]] = {
    "image": {"format": ("png", "jpg", "tiff", "webp", "npy", "safetensors"), "bit_depth": (8, 16, "float"),
              "quality": (1, 100), "lossless": (True,), "layout": ("channels", "rgb", "grid", "tensor")},
    "audio": {"format": ("wav", "flac", "npy", "safetensors"), "bit_depth": (16, 24, 32, "float"),
              "layout": ("channels", "tensor"), "groups": ([[0, 1]], [[0], [0]], [[5]], []),
              "channel_names": (True,)},
    "video": {"format": ("mp4", "mkv", "webm", "npy", "safetensors"), "codec": ("h264", "vp9", "ffv1"),
              "crf": (0, 40, 63), "lossless": (True,), "bit_depth": (8, 10, 16), "audio": ("keep",),
              "layout": ("channels", "rgb", "grid", "tensor"), "audio_stream": (0, 1, "ger")},
}  # fmt: skip
PATTERNS = (
    "{stem}_{name}{suffix}", "{name}{suffix}", "{folder}/{stem}_{name}{suffix}", "../{stem}_{name}{suffix}",
    "{stem}/{name}{suffix}", "/tmp/{name}{suffix}", "{stem}" * 20 + "{name}{suffix}", "{name", "{x}", "{0}",
    "{stem!r}",
    "manifest{suffix}", "run.yaml", "{stem.__class__}_{name}{suffix}", "{stem:>300}_{name}{suffix}",
    ".{stem}.part_{name}{suffix}", "{stem}_{name}.{suffix}", "\udcff{stem}_{name}{suffix}",
    "{name}\n{stem}{suffix}",
)  # fmt: skip
READ: dict[str, dict[str, tuple[Any, ...]]] = {
    "image": {"color": ("rgb", "gray", "rgba"), "size": ([8, 8], [1, 1], [60000, 2])},
    "audio": {"sample_rate": (8000, 1, 192000), "channels": ("mono",), "start_seconds": (0.01, 1e9),
    "stream": (1,)},
    "video": {"size": ([8, 8], [1, 1]), "fps": (5, "30000/1001", 1e-6), "color": ("gray", "rgba"),
    "part": (1,),
              "start_seconds": (0.1, 1e9), "sequence": (True, "*.png"), "deinterlace": ("bwdif",)},
}  # fmt: skip
KEYS: dict[str, tuple[Any, ...]] = {
    "seed": (0, 2**70), "causal": (True, "pad", "mask", "raster"), "chunk": (1, 7, "auto"), "time_axis": (1,),
    "precision": ("float64", "bfloat16", "float16"), "max_failures": (0, 1), "timeout_seconds": (30, 0.01),
    "weights": ("w.safetensors", "fifo", "hole", "c.yaml", "link", "nothing.pt"),
    "normalize": ("none", "sigmoid", "clip", "minmax", "tanh"), "include": ("*.png", "[", ["a*", ""]),
    "exclude": ("*", "a*"), "limits": ({"max_pixels": 9}, {"max_memory": 1}, {"max_memory": 10**9}),
}  # fmt: skip
PLACES = (
    "out", "out/manifest.jsonl", "out/run.yaml", "out/.mediaconv.lock", "out/.parts/x", "out/.particle-data",
    "out/{input}", "out/{input}/notes.txt", "out/{input}/channel_0.png", "out/{input}/channel_0.wav",
    "out/a_channel_0.png",
    "out/{input}/channel_0.mp4", "out/{input}/tensor.npy", "out/.{input}.part-01234567-89abcdef",
    "out/plot.png",
    "out/sub", "out-compare", "out-compare/report.html", "out-compare/a/x", "inspect.html", "x.svg",
    "x.png", "x.html",
    "x.gif", "x.onnx", "x.json", "x.pt2", "x.mp4", "pngs", "pngs/00_input_maps.png", "g/x",
    "out/forecast/forecast.png",
    "a.yaml", "in.yaml", "in/sub", "in/manifest.jsonl", "in/run.yaml", "out/x" + "y" * 200,
    "../tmp/mediaconv-mine/x",
)  # fmt: skip
KINDS = ("file",) * 4 + (
    "empty",
    "folder",
    "fifo",
    "link",
    "dangling",
    "folder link",
    "hole",
    "unreadable",
    "socket",
)
_CONFIG = ("c.yaml",) * 9 + ("in", "in/a.png", "link", "fifo", "a.yaml", "hole")
_OUT = (
    "x.svg",
    "x.png",
    "x.html",
    "x.gif",
    "x.mp4",
    "x.pdf",
    "d/e/x.svg",
    "x",
    "in/a.png",
    "c.yaml",
    "link",
    "fifo",
)
_SET = (
    "seed=1",
    "causal=true",
    "write.layout=tensor",
    "stack.0=relu",
    "precision=float64",
    "limits.max_memory=9",
    "=",
)
_STACK = {
    "--set": _SET,
    "--causal": (),
    "--no-causal": (),
    "--model": ("model.onnx", "w.safetensors", "fifo", "x.py:f"),
}
_INPUT = ("in/a.png", "in/a.wav", "in/a.mp4", "in", "fifo", "hole", "link", "in/nothing.png", "c.yaml")
COMMANDS: dict[str, tuple[list[tuple[str, ...]], dict[str, tuple[str, ...]]]] = {
    "run": ([_CONFIG], {
        "--input": ("in", "in/a.png", "in/*", "in/sub", "c.yaml"), "--output": ("out", "out2", "in", "in/o",
        "x/y/z"),
        "--include": ("*", "a*"), "--exclude": ("a*",), "--stack": ("[relu]", "[{conv: {kernel: box}}]",
        "[", "{}"),
        "--kernel": ("sobel", "box", "nope"), "--workers": ("1", "2", "auto"), "--executor": ("serial",),
        "--timeout-seconds": ("20",), "--max-failures": ("0", "1"), "--plots": (), "--dry-run": (),
        "--overwrite": (), "--retry-failed": (), "--quiet": (), "--json": (), "--debug": (), **_STACK}),
    "validate": ([_CONFIG], {"--input": _INPUT, "--output": ("out",), "--set": _SET}),
    "status": ([("out", "out", "in", "out2", "fifo", "c.yaml")], {"--table": (), "--csv": (), "--json": ()}),
    "compare": ([_CONFIG], {"--input": _INPUT, "--output": ("out-compare", "cmp", "in", "out"), "--quiet": (),
                            "--json": (), "--set": _SET, "--model": ("model.onnx",)}),
    "prove": ([_CONFIG], {"--input": _INPUT, "--no-files": (), "--exact": (), "--quiet": (), "--json": (),
    **_STACK}),
    "trace": ([_CONFIG], {"--json": (), "--markdown": (), "--wide": (), "--explain": ("0", "1", "9"),
    **_STACK}),
    "inspect": ([_CONFIG], {"--input": _INPUT, "--output": ("x.html", "d/x.html", "x.png"),
    "--png": ("pngs", "in"),
                            "--start": ("0", "3", "99999"), "--frames": ("1", "4", "0"), "--overwrite": (),
                            **_STACK}),
    "receptive": ([_CONFIG], {"--output": _OUT, "--channels": ("1", "3", "0"), "--overwrite": (),
    "--json": (), **_STACK}),
    "export": ([_CONFIG], {"--output": ("x.onnx", "x.pt2", "d/x.onnx", "x"), "--chunk": ("1", "4", "0"),
                           "--size": ("8x8", "8", "0x0"), "--input": _INPUT, "--whole": (), "--normalize": (),
                           "--overwrite": (), "--json": (), **_STACK}),
    "animate": ([], {"--kind": ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "x"),
    "--kernel-size": ("3", "2,2"),
                     "--stride": ("2",), "--dilation": ("2",), "--padding": ("valid", "1"), "--size": ("4",
                     "3,3"),
                     "--causal": ("true", "raster-A", "mask"), "--groups": ("2",), "--bias": (),
                     "--kernel": ("1 2 1",),
                     "--values": ("1 2 3 4",), "--frames": ("2",), "--seconds": ("0.1", "0"),
                     "--title": ("t",),
                     "--theme": ("dark",), "--width": ("64", "0"), "--aspect": ("16:9",), "--step": ("0",
                     "9"),
                     "--beside": ("standard",), "--at": ("0", "1,1"), "--channel": ("0", "7"),
                     "--overwrite": ()}),
    "init": ([_INPUT], {"--output": ("a.yaml", "c.yaml", "d/a.yaml"), "--from": ("model.onnx",
    "w.safetensors", "fifo"),
                        "--pipeline": ("image", "video", "x"), "--list": ()}),
    "info": ([_INPUT], {"--json": ()}),
    "kernels": ([], {"--json": ()}), "schema": ([], {}), "help": ([("run", "nope", "demo")], {}),
    "forecast": ([], {"--output": ("out", "x", "in/a.png", "fifo"), "--seed": ("0", "1"), "--overwrite": (),
    "--json": ()}),
}  # fmt: skip
REQUIRED: dict[str, dict[str, tuple[str, ...]]] = {
    "export": {"--output": ("x.onnx", "x.pt2"), "--chunk": ("4",), "--size": ("8x8",)},
    "animate": {"--output": _OUT, "--kind": ("conv1d", "conv2d"), "--frames": ("2",)},
    "prove": {"--seconds": ("0.2",)},
}
