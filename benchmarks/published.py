"""Published models that `benchmarks.models` streams, and how their own packages stream them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Run = Callable[[Tensor], Iterator[Tensor]]


@dataclass(frozen=True)
class Model:
    """A model and an input.

    example: to capture it with. length: of the input. chunk: where no receptive field bounds it.
    own: its own streaming; own_name: what that is called. own_chunk: what it takes at once, where not ours.
    weights_count: a chunk is a few positions deep in the model: reading the weights is most of the work.
    first: steps at the start that are not repeated in a longer input. window: whether torchstream can be told
    its window.
    """

    name: str
    build: Callable[[], nn.Module]
    example: tuple[int, ...]
    length: int
    chunk: int | None = None
    own: Callable[[nn.Module, int], Run] | None = None
    own_name: str = ""
    own_chunk: int | None = None
    weights_count: bool = False
    first: int = 0
    window: bool = False


def _encodec() -> nn.Module:
    from encodec.modules import SEANetDecoder

    return SEANetDecoder(n_filters=32, dimension=128, ratios=[8, 5, 4, 2], causal=True, norm="weight_norm")


def _dac() -> nn.Module:
    from transformers import DacConfig, DacModel

    return DacModel(DacConfig(encoder_hidden_size=32, downsampling_ratios=[2, 4, 5, 8])).encoder


def _mimi() -> nn.Module:
    from transformers.models.mimi.modeling_mimi import MimiConfig, MimiEncoder

    return MimiEncoder(MimiConfig(num_filters=32))


def _mimi_cache(module: nn.Module, chunk: int) -> Run:
    """transformers' own: what each convolution pads with is kept. Chunks are of whole frames."""
    from transformers.models.mimi.modeling_mimi import MimiConv1d, MimiConv1dPaddingCache

    convs: list[Any] = [m for m in module.modules() if isinstance(m, MimiConv1d)]
    columns = (
        [int(c.padding_total) for c in convs],
        [c.pad_mode for c in convs],
        [c.in_channels for c in convs],
    )

    def run(x: Tensor) -> Iterator[Tensor]:
        cache = MimiConv1dPaddingCache(len(convs), *columns)
        for piece in x.split(chunk, 2):
            yield module(piece, padding_cache=cache)

    return run


def _tcn() -> nn.Module:
    from pytorch_tcn import TCN

    return TCN(64, [64] * 7, kernel_size=4, causal=True)


def _tcn_cache(module: nn.Module, chunk: int) -> Run:
    def run(x: Tensor) -> Iterator[Tensor]:
        module.reset_buffers()  # type: ignore[operator]
        for piece in x.split(chunk, 2):
            yield module(piece, inference=True)

    return run


def _wan() -> nn.Module:
    """Without upsampling in time, of which its forward without the cache computes something else."""
    from diffusers import AutoencoderKLWan

    options: dict[str, Any] = {"dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [False]}
    model: Any = AutoencoderKLWan(base_dim=32, z_dim=16, **options)
    return model.decoder


def _wan_cache(module: nn.Module, chunk: int) -> Run:
    """diffusers' own loop: frame by frame, a list of features kept."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    count = sum(isinstance(m, WanCausalConv3d) for m in module.modules())

    def run(x: Tensor) -> Iterator[Tensor]:
        cache: list[Any] = [None] * count
        for i, frame in enumerate(x.split(chunk, 2)):
            yield module(frame, feat_cache=cache, feat_idx=[0], first_chunk=i == 0)

    return run


class _First(nn.Module):
    """The output of a module that gives its cache beside it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)[0]


def _cogvideox() -> nn.Module:
    """Without its group norms, which read the whole film: its own loop takes them over each chunk instead."""
    from diffusers import AutoencoderKLCogVideoX

    model: Any = AutoencoderKLCogVideoX(
        block_out_channels=(32, 64),
        down_block_types=("CogVideoXDownBlock3D",) * 2,
        up_block_types=("CogVideoXUpBlock3D",) * 2,
        latent_channels=8,
        layers_per_block=1,
        norm_num_groups=8,
        temporal_compression_ratio=2,
    )
    for module in list(model.encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    return _First(model.encoder)


def _cogvideox_cache(module: nn.Module, chunk: int) -> Run:
    """diffusers' own loop: the first frame with the first chunk, then chunks of eight."""

    def run(x: Tensor) -> Iterator[Tensor]:
        cache: dict[str, Any] | None = None
        at = 0
        while at < x.shape[2]:
            count = chunk + 1 if at == 0 else chunk
            y, cache = module.module(x[:, :, at : at + count], conv_cache=cache)  # type: ignore[operator]
            yield y
            at += count

    return run


def _compact() -> nn.Module:
    from spandrel.architectures.Compact import Compact

    return Compact(num_feat=64, num_conv=16, upscale=4)


def _resnet() -> nn.Module:
    import torchvision

    return nn.Sequential(*list(torchvision.models.resnet18(weights=None).children())[:-2])


def _r3d() -> nn.Module:
    import torchvision

    return nn.Sequential(*list(torchvision.models.video.r3d_18(weights=None).children())[:-2])


MODELS = [
    Model(
        "TCN, 7 levels of 64 (pytorch-tcn)",
        _tcn,
        (1, 64, 200),
        24_000,
        own=_tcn_cache,
        own_name="pytorch-tcn's buffers",
        window=True,
    ),
    Model("DAC encoder, 32 filters (transformers)", _dac, (1, 1, 3200), 96_000, window=True),
    Model("EnCodec decoder, 32 filters (encodec)", _encodec, (1, 128, 20), 150, chunk=15, weights_count=True),
    Model(
        "Mimi encoder, 32 filters (transformers)",
        _mimi,
        (1, 1, 9600),
        96_000,
        own=_mimi_cache,
        own_name="transformers' padding cache",
        weights_count=True,
        window=True,
    ),
    Model("Compact, 16 layers of 64 (spandrel)", _compact, (1, 3, 40, 64), 320),
    Model("ResNet-18 (torchvision)", _resnet, (1, 3, 128, 128), 2176, window=True),
    Model(
        "Wan decoder, 32 wide (diffusers)",
        _wan,
        (1, 16, 4, 16, 16),
        40,
        own=_wan_cache,
        own_name="diffusers' feature cache",
        own_chunk=1,
    ),
    Model(
        "CogVideoX encoder without norms, 32 to 64 wide (diffusers)",
        _cogvideox,
        (1, 3, 17, 32, 32),
        145,
        own=_cogvideox_cache,
        own_name="diffusers' convolution cache",
        own_chunk=8,
        first=1,
    ),
    Model("R3D-18 (torchvision)", _r3d, (1, 3, 9, 32, 32), 224),
]
