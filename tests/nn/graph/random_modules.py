"""Random small modules of what models are made of, by a seed: to search for streams that differ from them.

Each is a list of operations over the values so far; an operation that a value does not take is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Operation = Callable[..., Tensor]
CHANNELS = 4


class Call(nn.Module):
    """One operation: a function of tensors and of the layers beside it."""

    def __init__(self, name: str, function: Operation, *layers: nn.Module) -> None:
        super().__init__()
        self.name, self.function = name, function
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*self.layers, *inputs)

    def extra_repr(self) -> str:
        return self.name


class Inherited(nn.Conv1d):
    """A subclass whose forward is its parent's."""


class RandomModule(nn.Module):
    """Operations one after the other, each on values by number; the last value is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = nn.ModuleList()
        self.reads: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for call, reads in zip(self.calls, self.reads, strict=True):
            values.append(call(*(values[i] for i in reads)))
        return values[-1]

    def __str__(self) -> str:
        lines = (
            f"v{i + 1} = {call.name}({', '.join(f'v{r}' for r in reads)})"
            for i, (call, reads) in enumerate(zip(self.calls, self.reads, strict=True))
        )
        return "; ".join(lines)


def random_module(seed: int, dims: int, example: Tensor, *, most: int = 7) -> RandomModule:
    """A module of up to `most` operations that takes the example, in float64 and eval mode."""
    random = Random(seed)
    torch.manual_seed(seed)
    module = RandomModule().double().eval()
    values = [example]
    wanted = random.randint(2, most)
    for _ in range(8 * wanted):
        if len(module.calls) >= wanted:
            break
        shared = [c for c in module.calls if c.layers]
        if shared and random.random() < 0.08:
            call = random.choice(shared)
        else:
            call = Call(*random.choice(OPERATIONS)(random, dims)).double().eval()
        # mostly one after the other, some skips
        count = 2 if call.name.startswith("join") else 1
        last = len(values) - 1
        reads = (last if random.random() < 0.8 else random.randrange(len(values)),)
        reads += tuple(random.randrange(len(values)) for _ in range(count - 1))
        try:
            with torch.no_grad():
                y = call(*(values[i] for i in reads))
        except (RuntimeError, ValueError, IndexError, AttributeError):
            continue
        if y.ndim != dims + 2 or y.numel() == 0 or y.numel() > 60000 or y.shape[1] > 32:
            continue
        if not y.isfinite().all() or y.shape[2] < 2 or y.shape[0] != example.shape[0]:
            continue
        module.calls.append(call)
        module.reads.append(reads)
        values.append(y)
    return module


# --- operations: each gives a name, a function of (layers..., inputs...), and the layers --------------


def _lazy(kind: str, dims: int) -> type[nn.Module]:
    return getattr(nn, f"{kind}{dims}d")


class _Fitting(nn.Module):
    """A layer made for the channels that come first, so that operations can be drawn before them."""

    def __init__(self, make: Callable[[int], nn.Module], channels_at: int = 1) -> None:
        super().__init__()
        self.make, self.at, self.layer = make, channels_at, None

    def forward(self, x: Tensor) -> Tensor:
        if self.layer is None:
            self.layer = self.make(x.shape[self.at]).to(x.dtype).eval()
            for p in self.layer.buffers():
                if p.is_floating_point():
                    p.copy_(torch.rand_like(p) + 0.5)
        return self.layer(x)


def fit(make: Callable[[int], nn.Module], at: int = 1) -> nn.Module:
    return _Fitting(make, at)


def conv(r: Random, d: int) -> tuple:
    k, s, dil = r.randint(1, 5), r.choice([1, 1, 1, 2, 3]), r.choice([1, 1, 2])
    mode = r.choice(["zeros", "zeros", "zeros", "reflect", "replicate"])
    padding = "same" if s == 1 and r.random() < 0.3 else r.randint(0, 3)
    groups = r.choice([1, 1, 2])
    out = r.choice([2, 4, 4, 6])
    kind = Inherited if d == 1 and r.random() < 0.15 else _lazy("Conv", d)
    parametrized = r.random() < 0.15

    def make(c: int) -> nn.Module:
        layer = kind(c, out, k, s, padding, dil, groups if c % 2 == 0 else 1, padding_mode=mode)
        return nn.utils.parametrizations.weight_norm(layer) if parametrized else layer

    hook = r.random() < 0.1

    def hooked(c: int) -> nn.Module:
        layer = make(c)
        if hook:
            layer.register_forward_hook(lambda m, i, o: o * 0.5)
        return layer

    return f"conv(k={k}, s={s}, p={padding}, d={dil}, {mode})", lambda m, x: m(x), fit(hooked)


def causal_conv(r: Random, d: int) -> tuple:
    k, dil, s = r.randint(2, 5), r.choice([1, 2, 3]), r.choice([1, 1, 2])
    left = (k - 1) * dil - r.choice([0, 0, s - 1])
    zeros = [0, 0] * (d - 1)
    mode = r.choice(["constant", "constant", "replicate", "reflect"])
    rest = r.choice([0, 0, 1])
    kernel = (k, *[1] * (d - 1))
    name = f"causal conv(k={k}, s={s}, d={dil}, {mode}, {left}+{rest})"
    layer = fit(lambda c: _lazy("Conv", d)(c, 4, kernel, (s, *[1] * (d - 1)), 0, (dil, *[1] * (d - 1))))
    return name, lambda m, x: m(F.pad(x, [*zeros, left, rest], mode=mode)), layer


def transposed(r: Random, d: int) -> tuple:
    s = r.choice([1, 2, 2, 3])
    k = s + r.randint(0, 3)
    p, o = r.randint(0, max(0, (k - 1) // 2)), r.randint(0, max(0, s - 1))
    layer = fit(lambda c: _lazy("ConvTranspose", d)(c, 4, k, s, p, o))
    return f"transposed(k={k}, s={s}, p={p}, o={o})", lambda m, x: m(x), layer


def trimmed_transposed(r: Random, d: int) -> tuple:
    s, k = 2, r.choice([3, 4, 5])
    cut = k - s
    left = r.randint(0, cut)
    layer = fit(lambda c: _lazy("ConvTranspose", d)(c, 4, (k, *[1] * (d - 1)), (s, *[1] * (d - 1))))

    def call(m: nn.Module, x: Tensor) -> Tensor:
        y = m(x)
        return y[:, :, left : y.shape[2] - (cut - left)]

    return f"trimmed transposed(k={k}, s={s}, {left} of {cut})", call, layer


def pool(r: Random, d: int) -> tuple:
    k, s = r.randint(2, 4), r.choice([1, 2, 3])
    p, ceil = r.randint(0, k // 2), r.random() < 0.3
    kind = r.choice(["Max", "Avg"])
    more = {} if kind == "Max" else {"count_include_pad": r.random() < 0.5}
    layer = _lazy(f"{kind}Pool", d)(k, s, p, ceil_mode=ceil, **more)
    return f"{kind}pool(k={k}, s={s}, p={p}, ceil={ceil}, {more})", lambda m, x: m(x), layer


def interpolate(r: Random, d: int) -> tuple:
    f = r.choice([1, 2, 2, 3])
    mode = r.choice(["nearest", "nearest", "nearest-exact", ("linear", "bilinear", "trilinear")[d - 1]])
    sized = r.random() < 0.4
    first = (f, *[1] * (d - 1)) if r.random() < 0.5 else (f,) * d

    def call(x: Tensor) -> Tensor:
        if sized:
            sizes = [n * g for n, g in zip(x.shape[2:], first, strict=True)]
            return F.interpolate(x, size=sizes, mode=mode)
        return F.interpolate(x, scale_factor=tuple(float(g) for g in first), mode=mode)

    return f"interpolate({first}, {mode}, sized={sized})", call


def pad(r: Random, d: int) -> tuple:
    a, b = r.randint(-1, 4), r.randint(-1, 4)
    mode = r.choice(["constant", "replicate", "reflect", "circular"])
    if mode != "constant":
        a, b = max(a, 0), max(b, 0)
    amounts = [*[r.randint(0, 1) for _ in range(2 * (d - 1))], a, b]
    return f"pad({amounts}, {mode})", lambda x: F.pad(x, amounts, mode=mode)


def pad_by_cat(r: Random, d: int) -> tuple:
    front, back = r.randint(0, 3), r.randint(0, 3)
    kind = r.choice(["repeat", "expand", "zeros", "const"])

    def call(x: Tensor) -> Tensor:
        first, last = x[:, :, :1], x[:, :, -1:]
        if kind == "repeat":
            ones = [1] * (d - 1)
            return torch.cat([first.repeat(1, 1, front, *ones), x, last.repeat(1, 1, back, *ones)], 2)
        if kind == "expand":
            rest = [-1] * (d - 1)
            return torch.cat([first.expand(-1, -1, front, *rest), x, last.expand(-1, -1, back, *rest)], 2)
        shape = list(x.shape)
        ends = []
        for n in (front, back):
            shape[2] = n
            ends.append(x.new_zeros(shape) if kind == "zeros" else torch.full(shape, 0.5, dtype=x.dtype))
        return torch.cat([ends[0], x, ends[1]], 2)

    return f"cat pad({kind}, {front}, {back})", call


def first_apart(r: Random, d: int) -> tuple:
    n = r.choice([1, 1, 2])
    layer = fit(lambda c: _lazy("Conv", d)(c, c, 3, padding=1))
    if r.random() < 0.5:
        return f"first {n} apart", lambda m, x: torch.cat([x[:, :, :n], m(x[:, :, n:])], 2), layer
    return f"last {n} apart", lambda m, x: torch.cat([m(x[:, :, :-n]), x[:, :, -n:] * 2], 2), layer


def cut(r: Random, d: int) -> tuple:
    a, b, s = r.randint(0, 3), r.randint(0, 3), r.choice([1, 1, 1, 2, 3])

    def call(x: Tensor) -> Tensor:
        return x[:, :, a : x.shape[2] - b : s] if b else x[:, :, a::s]

    return f"cut({a}, -{b}, {s})", call


def pointwise(r: Random, d: int) -> tuple:
    names = "relu sigmoid tanh silu gelu elu abs square glu snake clamp prelu dropout scale"
    name = r.choice(names.split())
    if name == "glu":
        return name, lambda x: F.glu(x, 1)
    if name == "snake":
        return name, lambda x: x + torch.sin(3 * x) ** 2 / 3
    if name == "clamp":
        return name, lambda x: x.clamp(-0.5, 0.7)
    if name == "prelu":
        return name, lambda m, x: m(x), nn.PReLU()
    if name == "dropout":
        return name, lambda m, x: m(x), nn.Dropout(0.3)
    if name == "scale":
        return name, lambda m, x: m(x), fit(lambda c: _Scale(c, d))
    function = getattr(F, name, None) or getattr(torch, name)
    return name, function


class _Scale(nn.Module):
    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels, *[1] * dims) + 0.5)
        self.register_buffer("shift", torch.rand(1, channels, *[1] * dims))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.shift


def channel_work(r: Random, d: int) -> tuple:
    kind = r.choice(
        ["linear", "layer_norm", "rms", "softmax", "mean", "einsum", "norm", "topk", "cumsum", "flip"]
    )
    if kind == "linear":
        return kind, lambda m, x: m(x.movedim(1, -1)).movedim(-1, 1), fit(lambda c: nn.Linear(c, 4), -1)
    if kind == "layer_norm":
        return kind, lambda m, x: m(x.movedim(1, -1)).movedim(-1, 1), fit(nn.LayerNorm, -1)
    if kind == "rms":
        return kind, lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-3)
    if kind == "einsum":
        return kind, lambda m, x: torch.einsum("nc...,dc->nd...", x, m(x)), fit(lambda c: _Matrix(c))
    functions = {
        "softmax": lambda x: x.softmax(1),
        "mean": lambda x: x - x.mean(1, keepdim=True),
        "norm": lambda x: F.normalize(x, dim=1),
        "topk": lambda x: x.topk(2, 1)[0],
        "cumsum": lambda x: x.cumsum(1),
        "flip": lambda x: x.flip(1),
    }
    return kind, functions[kind]


class _Matrix(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight


def norm(r: Random, d: int) -> tuple:
    kind = r.choice(["batch", "batch", "batch", "group", "instance", "frame group"])
    if kind == "batch":
        return kind, lambda m, x: m(x), fit(_lazy("BatchNorm", d))
    if kind == "group":
        return kind, lambda m, x: m(x), fit(lambda c: nn.GroupNorm(2 if c % 2 == 0 else 1, c))
    if kind == "instance":
        return kind, lambda m, x: m(x), fit(_lazy("InstanceNorm", d))

    def frames(m: nn.Module, x: Tensor) -> Tensor:
        n, c, t = x.shape[:3]
        y = m(x.transpose(1, 2).reshape(n * t, c, *x.shape[3:]))
        return y.reshape(n, t, c, *x.shape[3:]).transpose(1, 2)

    return kind, frames, fit(lambda c: nn.GroupNorm(1, c))


def along_time(r: Random, d: int) -> tuple:
    kind = r.choice(["cumsum", "mean", "flip", "max", "softmax", "roll", "diff"])
    functions = {
        "cumsum": lambda x: x.cumsum(2) / 10,
        "mean": lambda x: x - x.mean(2, keepdim=True),
        "flip": lambda x: x.flip(2),
        "max": lambda x: x / (1 + x.abs().amax(2, keepdim=True)),
        "softmax": lambda x: x.softmax(2),
        "roll": lambda x: x.roll(1, 2),
        "diff": lambda x: x[:, :, 1:] - x[:, :, :-1],
    }
    return f"time {kind}", functions[kind]


def recurrent(r: Random, d: int) -> tuple:
    kind = r.choice(["LSTM", "GRU", "RNN"])
    layers, both, first = r.choice([1, 2]), r.random() < 0.25, r.random() < 0.5

    def make(c: int) -> nn.Module:
        return getattr(nn, kind)(c, 4, layers, bidirectional=both, batch_first=first)

    def call(m: nn.Module, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 1) if first else x.permute(2, 0, 1)
        y = m(y)[0]
        return y.permute(0, 2, 1) if first else y.permute(1, 2, 0)

    return f"{kind}(layers={layers}, both={both})", call, fit(make, -1)


def fold(r: Random, d: int) -> tuple:
    kind = r.choice(["frames", "shuffle", "unshuffle", "channels", "pixels", "blocks", "views"])
    if kind == "frames":
        layer = fit(lambda c: _lazy("Conv", d - 1)(c, 4, 3, padding=1))

        def frames(m: nn.Module, x: Tensor) -> Tensor:
            n, c, t = x.shape[:3]
            y = m(x.transpose(1, 2).reshape(n * t, c, *x.shape[3:]))
            return y.unflatten(0, (n, t)).transpose(1, 2)

        return kind, frames, layer
    if kind == "shuffle":  # channels become positions

        def shuffle(x: Tensor) -> Tensor:
            n, c, t, *rest = x.shape
            return x.reshape(n, c // 2, 2, t, *rest).transpose(2, 3).reshape(n, c // 2, 2 * t, *rest)

        return kind, shuffle
    if kind == "unshuffle":

        def unshuffle(x: Tensor) -> Tensor:
            n, c, t, *rest = x.shape
            return x.reshape(n, c, t // 2, 2, *rest).transpose(2, 3).reshape(n, 2 * c, t // 2, *rest)

        return kind, unshuffle
    if kind == "blocks":  # means of pairs of positions

        def blocks(x: Tensor) -> Tensor:
            return x.unflatten(2, (x.shape[2] // 2, 2)).mean(3)

        return kind, blocks
    if kind == "pixels":
        return kind, lambda x: F.pixel_shuffle(x, 2) if x.ndim == 4 else x.repeat_interleave(2, 2)
    if kind == "views":
        return kind, lambda x: x.transpose(1, 2).flatten(1, 2).unflatten(1, (x.shape[2], -1)).transpose(1, 2)
    return kind, lambda x: torch.cat([p * (i + 1) for i, p in enumerate(x.chunk(2, 1))][::-1], 1)


def squeeze_excite(r: Random, d: int) -> tuple:
    layer = fit(lambda c: _lazy("Conv", d)(c, c, 1))
    over = list(range(2, d + 2)) if r.random() < 0.5 else list(range(3, d + 2)) or [1]
    return f"excite{over}", lambda m, x: x * m(x).mean(over, keepdim=True).sigmoid(), layer


def attention(r: Random, d: int) -> tuple:
    over_time = r.random() < 0.4
    causal = r.random() < 0.5

    def call(x: Tensor) -> Tensor:
        n, c, t = x.shape[:3]
        if over_time:
            y = x.flatten(3).mean(3).transpose(1, 2) if x.ndim > 3 else x.transpose(1, 2)
            z = F.scaled_dot_product_attention(y, y, y, is_causal=causal).transpose(1, 2)
            return x + z.reshape(n, c, t, *[1] * (x.ndim - 3))
        tokens = x.transpose(1, 2).reshape(n * t, c, -1).transpose(1, 2)
        z = F.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2)
        return z.reshape(n, t, c, *x.shape[3:]).transpose(1, 2)

    return f"attention(time={over_time}, causal={causal})", call


def join(r: Random, d: int) -> tuple:
    kind = r.choice(["add", "mul", "cat", "gate", "stack", "where"])
    crop = r.choice(["none", "none", "start", "end", "centre", "resize"])

    def call(x: Tensor, y: Tensor) -> Tensor:
        if crop == "resize":
            y = F.interpolate(y, size=x.shape[2:], mode="nearest")
        elif crop != "none":
            n = min(x.shape[2], y.shape[2]) if crop != "centre" else x.shape[2]
            if crop == "start":
                x, y = x[:, :, :n], y[:, :, :n]
            elif crop == "end":
                x, y = x[:, :, x.shape[2] - n :], y[:, :, y.shape[2] - n :]
            else:
                at = (y.shape[2] - n) // 2
                y = y[:, :, at : at + n]
        if kind == "cat":
            return torch.cat([x, y], 1)
        if x.shape != y.shape:
            raise ValueError("shapes")
        if kind == "stack":
            return torch.stack([x, y], 1).sum(1)
        if kind == "where":
            return torch.where(x > y, x, y * 0.5)
        return x + y if kind == "add" else x * y if kind == "mul" else x.tanh() * y.sigmoid()

    return f"join {kind}, {crop}", call


def late_join(r: Random, d: int) -> tuple:
    """A value against itself some steps away."""
    n = r.choice([1, 2])
    kind = r.choice(["cat shift", "pad shift", "interleave"])
    if kind == "interleave":

        def interleave(x: Tensor) -> Tensor:
            return torch.stack([x, x * 2], 3).flatten(2, 3)

        return kind, interleave
    if kind == "cat shift":
        return kind, lambda x: x + torch.cat([torch.zeros_like(x[:, :, :n]), x[:, :, :-n]], 2)
    return kind, lambda x: x - F.pad(x, [0, 0] * (d - 1) + [n, -n])


def length_arithmetic(r: Random, d: int) -> tuple:
    """Padding to a multiple, as codecs do, and positions from an arange."""
    kind = r.choice(["multiple", "branch", "positions", "last"])
    m = r.choice([2, 3, 4])
    zeros = [0, 0] * (d - 1)
    if kind == "multiple":
        return f"pad to {m}", lambda x: F.pad(x, [*zeros, 0, -x.shape[2] % m])
    if kind == "branch":

        def branch(x: Tensor) -> Tensor:
            return F.pad(x, [*zeros, 0, m - x.shape[2] % m]) if x.shape[2] % m else x * 2

        return f"branch on {m}", branch
    if kind == "last":
        return "minus last", lambda x: x - x[:, :, -1:]

    def positions(x: Tensor) -> Tensor:
        t = torch.arange(x.shape[2], dtype=x.dtype).reshape(-1, *[1] * (d - 1))
        return x + torch.sin(t / 3)

    return kind, positions


OPERATIONS: list[Callable[[Random, int], tuple]] = [
    conv, conv, conv, conv, causal_conv, causal_conv, transposed, trimmed_transposed, pool, pool, interpolate,
    interpolate, pad, pad_by_cat, first_apart, cut, cut, pointwise, pointwise, channel_work, channel_work,
    norm, along_time, recurrent, fold, fold, squeeze_excite, attention, join, join, join, join, late_join,
    length_arithmetic,
]  # fmt: skip
