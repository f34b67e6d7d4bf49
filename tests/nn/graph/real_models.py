"""Published models at small widths with random weights: what is captured of each, and what is expected of it.

`python -m tests.nn.graph.real_models [NAME ...]` runs all, or some, and renews docs/reference/models.md.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.nn.graph.capture.called import select
from mediaconv.nn.graph.refusal import CaptureError

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "models.md"
AS_IS, HELD, REFUSED = "as it is", "held to the end", "refused"
HEAD = """# Published models

Written by `make models`: float64, small widths, random weights. The tests run a few at every change.

Each module is given to `to_streaming(module, example=...)` without a line of declarations and streamed along
axis 0 in ragged chunks. *Held to the end*: something in it (a norm or a mean over the whole axis) needs the
whole input. *Refused*: the reason is told, nothing is run. The error is the largest difference from the
module itself, relative to its largest output. Latency is in input steps. *Why* names what is held, refused,
or needed of the input's length T.

| module | package | outcome | error | latency | why |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Model:
    """One module. build: makes it; shape: of the example, (N, C, ...).

    tolerance: of the error; more than float64's where a norm of the model computes in float32 in any case.
    """

    name: str
    package: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    outcome: str = AS_IS
    quick: bool = False
    tolerance: float = 1e-10

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package.replace("-", "_")) is not None


@dataclass(frozen=True)
class Result:
    """What came of one model."""

    outcome: str
    error: float | None = None
    latency: float | None = None
    why: str = ""


def _vision(name: str, first: int = 0, last: int | None = None) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision

        parts = torchvision.models.get_model(name, weights=None)
        return nn.Sequential(*list(parts.children())[first:last]) if last else parts.features

    return build


def _fcn() -> nn.Module:
    import torchvision

    return torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None)


def _encodec(part: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from encodec.modules import SEANetDecoder, SEANetEncoder

        kind = SEANetEncoder if part == "encoder" else SEANetDecoder
        return kind(n_filters=4, dimension=16, ratios=[4, 2], causal=True, norm="weight_norm")

    return build


def _transformers(kind: str, part: str, **options: object) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import transformers

        config = getattr(transformers, f"{kind}Config")(**options)
        return getattr(getattr(transformers, f"{kind}Model")(config), part)

    return build


def _diffusers(kind: str, part: str, *, first: bool = False, **options: object) -> Callable[[], nn.Module]:
    """first: of several results, as CogVideoX gives its caches beside its output, the first is taken."""

    def build() -> nn.Module:
        import diffusers

        module = getattr(getattr(diffusers, kind)(**options), part)
        return First(module) if first else module

    return build


class First(nn.Module):
    """The first of a module's results."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)[0]


def _tcn(causal: bool) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from pytorch_tcn import TCN

        return TCN(8, [16, 16, 16], causal=causal, use_skip_connections=not causal)

    return build


def _spandrel(kind: str, **options: object) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = importlib.import_module(f"spandrel.architectures.{kind}")
        return getattr(module, kind)(**options)

    return build


def _audio(kind: str, **options: object) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchaudio

        return getattr(torchaudio.models, kind)(**options)

    return build


_ENCODEC = {"num_filters": 8, "upsampling_ratios": [4, 2], "hidden_size": 32}
_DAC = {
    "encoder_hidden_size": 16,
    "decoder_hidden_size": 64,
    "downsampling_ratios": [2, 4],
    "upsampling_ratios": [4, 2],
    "n_codebooks": 2,
    "hidden_size": 64,
}
_MIMI = {
    "num_filters": 8,
    "upsampling_ratios": [4, 2],
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "upsample_groups": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 32,
    "codebook_dim": 16,
    "vector_quantization_hidden_dimension": 16,
    "num_quantizers": 2,
    "num_semantic_quantizers": 1,
}
_TINY = {
    "encoder_block_out_channels": (16, 16),
    "decoder_block_out_channels": (16, 16),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
}
_SD = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
}
_WAN = {
    "base_dim": 8,
    "z_dim": 4,
    "dim_mult": [1, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [True],
}
_SD_ATTENTION = {**_SD, "mid_block_add_attention": True}
_LTX = {
    "block_out_channels": (16, 32),
    "decoder_block_out_channels": (16, 32),
    "layers_per_block": (1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1),
    "latent_channels": 8,
    "spatio_temporal_scaling": (True, False),
    "decoder_spatio_temporal_scaling": (True, False),
    "decoder_inject_noise": (False, False, False),
    "patch_size": 2,
    "upsample_residual": (False, False),
    "upsample_factor": (1, 1),
}
_COGVIDEOX = {
    "block_out_channels": (16, 16),
    "down_block_types": ("CogVideoXDownBlock3D",) * 2,
    "up_block_types": ("CogVideoXUpBlock3D",) * 2,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "temporal_compression_ratio": 2,
}
_HUNYUAN = {
    "block_out_channels": (8, 8, 16, 16),
    "down_block_types": ("HunyuanVideoDownBlock3D",) * 4,
    "up_block_types": ("HunyuanVideoUpBlock3D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
_COSMOS = {
    "encoder_block_out_channels": (16, 32),
    "decode_block_out_channels": (16, 32),
    "num_layers": 1,
    "attention_resolutions": (),
    "resolution": 64,
    "latent_channels": 4,
    "spatial_compression_ratio": 4,
    "temporal_compression_ratio": 4,
}
_TASNET = {
    "num_sources": 2,
    "enc_num_feats": 16,
    "msk_num_feats": 8,
    "msk_num_hidden_feats": 16,
    "msk_num_layers": 2,
    "msk_num_stacks": 1,
}

MODELS = [
    Model("EnCodec encoder", "encodec", _encodec("encoder"), (1, 1, 321)),
    Model("EnCodec decoder", "encodec", _encodec("decoder"), (1, 16, 20)),
    Model("EnCodec encoder", "transformers", _transformers("Encodec", "encoder", **_ENCODEC), (1, 1, 321)),
    Model("EnCodec decoder", "transformers", _transformers("Encodec", "decoder", **_ENCODEC), (1, 32, 20)),
    Model("DAC encoder", "transformers", _transformers("Dac", "encoder", **_DAC), (1, 1, 320)),
    Model("DAC decoder", "transformers", _transformers("Dac", "decoder", **_DAC), (1, 64, 20)),
    Model(
        "Mimi downsampling",
        "transformers",
        _transformers("Mimi", "downsample", **_MIMI),
        (1, 32, 20),
        quick=True,
    ),
    Model(
        "Mimi upsampling", "transformers", _transformers("Mimi", "upsample", **_MIMI), (1, 32, 20), quick=True
    ),
    Model("Mimi encoder", "transformers", _transformers("Mimi", "encoder", **_MIMI), (1, 1, 320)),
    Model("TCN, causal", "pytorch-tcn", _tcn(True), (1, 8, 60), quick=True),
    Model("TCN, with skips", "pytorch-tcn", _tcn(False), (1, 8, 60)),
    Model("ConvTasNet", "torchaudio", _audio("ConvTasNet", **_TASNET), (1, 1, 401), HELD),
    Model(
        "HDemucs",
        "torchaudio",
        _audio("HDemucs", sources=["voice", "rest"], channels=4),
        (1, 2, 16_384),
        REFUSED,
    ),
    Model(
        "Wav2Letter",
        "torchaudio",
        _audio("Wav2Letter", num_classes=4, input_type="mfcc", num_features=8),
        (1, 8, 100),
    ),
    Model("ESRGAN", "spandrel", _spandrel("ESRGAN", num_filters=8, num_blocks=1), (1, 3, 20, 16)),
    Model(
        "Compact",
        "spandrel",
        _spandrel("Compact", num_feat=8, num_conv=2, upscale=4),
        (1, 3, 20, 16),
        quick=True,
    ),
    Model("TAESD encoder", "diffusers", _diffusers("AutoencoderTiny", "encoder", **_TINY), (1, 3, 20, 16)),
    Model(
        "TAESD decoder",
        "diffusers",
        _diffusers("AutoencoderTiny", "decoder", **_TINY),
        (1, 4, 12, 8),
        quick=True,
    ),
    Model("SD VAE encoder", "diffusers", _diffusers("AutoencoderKL", "encoder", **_SD), (1, 3, 16, 16), HELD),
    Model("SD VAE decoder", "diffusers", _diffusers("AutoencoderKL", "decoder", **_SD), (1, 4, 8, 8), HELD),
    Model(
        "Wan encoder, uncached forward",
        "diffusers",
        _diffusers("AutoencoderKLWan", "encoder", **_WAN),
        (1, 3, 6, 8, 8),
    ),
    Model(
        "Wan decoder, uncached forward",
        "diffusers",
        _diffusers("AutoencoderKLWan", "decoder", **_WAN),
        (1, 4, 5, 4, 4),
    ),
    Model(
        "LTX encoder",
        "diffusers",
        _diffusers("AutoencoderKLLTXVideo", "encoder", **_LTX),
        (1, 3, 9, 16, 16),
        tolerance=1e-5,
    ),
    Model(
        "LTX decoder",
        "diffusers",
        _diffusers("AutoencoderKLLTXVideo", "decoder", **_LTX),
        (1, 8, 5, 4, 4),
        tolerance=1e-5,
    ),
    Model(
        "CogVideoX encoder",
        "diffusers",
        _diffusers("AutoencoderKLCogVideoX", "encoder", first=True, **_COGVIDEOX),
        (1, 3, 9, 16, 16),
        HELD,
    ),
    Model(
        "CogVideoX decoder",
        "diffusers",
        _diffusers("AutoencoderKLCogVideoX", "decoder", first=True, **_COGVIDEOX),
        (1, 4, 5, 4, 4),
        HELD,
    ),
    Model(
        "Hunyuan encoder",
        "diffusers",
        _diffusers("AutoencoderKLHunyuanVideo", "encoder", **_HUNYUAN),
        (1, 3, 9, 16, 16),
        HELD,
    ),
    Model(
        "Hunyuan decoder",
        "diffusers",
        _diffusers("AutoencoderKLHunyuanVideo", "decoder", **_HUNYUAN),
        (1, 4, 3, 4, 4),
        HELD,
    ),
    Model(
        "Cosmos encoder",
        "diffusers",
        _diffusers("AutoencoderKLCosmos", "encoder", **_COSMOS),
        (1, 3, 9, 16, 16),
    ),
    Model(
        "Cosmos decoder",
        "diffusers",
        _diffusers("AutoencoderKLCosmos", "decoder", **_COSMOS),
        (1, 4, 3, 4, 4),
    ),
    Model(
        "SD VAE encoder, with attention",
        "diffusers",
        _diffusers("AutoencoderKL", "encoder", **_SD_ATTENTION),
        (1, 3, 16, 16),
        REFUSED,
    ),
    Model("VGG-11 features", "torchvision", _vision("vgg11"), (1, 3, 64, 64)),
    Model("ResNet-18 trunk", "torchvision", _vision("resnet18", 0, -2), (1, 3, 64, 64)),
    Model("R3D-18 trunk", "torchvision", _vision("r3d_18", 0, -2), (1, 3, 9, 16, 16)),
    Model("MC3-18 trunk", "torchvision", _vision("mc3_18", 0, -2), (1, 3, 9, 16, 16)),
    Model("R(2+1)D-18 trunk", "torchvision", _vision("r2plus1d_18", 0, -2), (1, 3, 9, 16, 16)),
    Model("MobileNetV2 features", "torchvision", _vision("mobilenet_v2"), (1, 3, 64, 64)),
    Model("ShuffleNetV2 trunk", "torchvision", _vision("shufflenet_v2_x0_5", 0, -1), (1, 3, 64, 64)),
    Model("ConvNeXt features", "torchvision", _vision("convnext_tiny"), (1, 3, 64, 64)),
    Model("SqueezeNet features", "torchvision", _vision("squeezenet1_1"), (1, 3, 64, 64)),
    Model("S3D features", "torchvision", _vision("s3d"), (1, 3, 16, 64, 64)),
    Model("MobileNetV3 features", "torchvision", _vision("mobilenet_v3_small"), (1, 3, 64, 64), HELD),
    Model("EfficientNet-B0 features", "torchvision", _vision("efficientnet_b0"), (1, 3, 64, 64), HELD),
    Model("FCN-ResNet-50", "torchvision", _fcn, (1, 3, 64, 64)),
]


def tried(model: Model) -> Result:
    """Capture a model and compare its stream in ragged chunks with the module, in float64."""
    torch.manual_seed(0)
    module = model.build().double().eval()
    x = torch.randn(model.shape, dtype=torch.float64)
    try:
        graph = mnn.to_streaming(module, example=x)
    except CaptureError as refused:
        return Result(REFUSED, why=refused.reasons[0].split(": ")[-1])
    with torch.no_grad():
        whole = select(module(x), None)
        error = float((streamed(graph, x) - whole).abs().max() / whole.abs().max())
    held = graph.latency == torch.inf
    notes = getattr(graph, "notes", ())
    why = notes[0].split(" in ")[0] if notes else ""
    return Result(HELD if held else AS_IS, error, graph.latency, why)


def streamed(graph: nn.Module, x: Tensor) -> Tensor:
    """The output of a stream in ragged chunks, one of them empty."""
    s = mnn.stream(graph)
    sizes, rest, out = [1, 0, 2, 5, 1], x.shape[2], []
    for i in range(x.shape[2] + 1):
        size = min(rest, sizes[i % len(sizes)])
        out.append(s.push(x.narrow(2, x.shape[2] - rest, size)))
        rest -= size
        if not rest:
            break
    return torch.cat([*out, s.flush()], 2)


def row(model: Model, result: Result) -> str:
    """The line of the page."""
    error = "" if result.error is None else f"{result.error:.0e}"
    latency = "" if result.latency in (None, torch.inf) else str(result.latency)
    why = result.why.replace("|", "/")
    return f"| {model.name} | {model.package} | {result.outcome} | {error} | {latency} | {why} |"


def outcome(number: int) -> tuple[Result, float]:
    """What came of a model of the list, by its number, and the seconds that it took."""
    start = time.time()
    torch.set_num_threads(1)
    try:
        result = tried(MODELS[number])
    except Exception as error:  # the other rows are to be known all the same
        result = Result("failed", why=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
    return result, time.time() - start


def write_page(rows: list[str]) -> None:
    """The page with these rows instead of the same models' rows before."""

    def key(line: str) -> tuple[str, ...]:
        return tuple(line.split("|")[1:3])

    old = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    known = {key(line): line for line in [*old, *rows]}
    lines = [known[key(row(m, Result("")))] for m in MODELS if key(row(m, Result(""))) in known]
    outcomes = Counter(line.split("|")[3].strip() for line in lines)
    total = ", ".join(f"{n} {name}" for name, n in outcomes.items())
    PAGE.write_text(HEAD + "\n".join(lines) + f"\n\nOf {len(lines)}: {total}.\n")


def main(names: list[str]) -> int:
    """Print a row for each model, in processes side by side; their rows of the page are renewed."""
    lines: list[str] = []
    counts: dict[str, int] = {}
    wanted = [i for i, m in enumerate(MODELS) if not names or m.name in names]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for i, (result, seconds) in zip(wanted, pool.map(outcome, wanted), strict=True):
            counts[result.outcome] = counts.get(result.outcome, 0) + 1
            lines.append(row(MODELS[i], result))
            print(lines[-1], f"{seconds:.0f} s", flush=True)
    total = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"Of {len(wanted)}: {total}.")
    if "failed" not in counts:
        write_page(lines)
    return 1 if "failed" in counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
