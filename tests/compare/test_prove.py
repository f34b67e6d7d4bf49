"""Proofs against layers of known reach, and against leaks planted in each place where one hides."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mediaconv.nn as mnn
from mediaconv.compare.prove.module_proof.search import prove
from mediaconv.nn.streaming.protocol import Pointwise


def proof(*layers, channels=2, dims=1, **options):
    torch.manual_seed(0)
    module = layers[0] if len(layers) == 1 else mnn.Sequential(*layers)
    return prove(module, channels=channels, dims=dims, **options)


CAUSAL = {
    "pad": lambda: (mnn.CausalConv1d(2, 3, 5, dilation=3), nn.ReLU(), mnn.CausalConv1d(3, 2, 4, stride=2)),
    "mask": lambda: (
        mnn.CausalConv1d(2, 3, 5, mode="mask"),
        nn.Tanh(),
        mnn.CausalConv1d(3, 1, 2, mode="mask"),
    ),
    "kernel smaller than stride": lambda: (mnn.CausalConv1d(2, 2, 1, stride=3), mnn.CausalConv1d(2, 2, 2)),
    "pool": lambda: (mnn.CausalMaxPool1d(5), mnn.CausalAvgPool1d(3, 1)),
    "residual": lambda: (mnn.Residual(mnn.Sequential(mnn.CausalConv1d(2, 2, 3), nn.ReLU())),),
    "norm over channels": lambda: (mnn.CausalConv1d(2, 4, 3), mnn.RMSNorm(4)),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_layers_pass(name):
    found = proof(*CAUSAL[name]())
    assert found.causal
    assert found.lookahead == 0 == found.formula
    assert set(found.by.values()) == {0}
    assert found.leaks == []


STANDARD = {
    "conv": (lambda: mnn.Conv1d(2, 2, 7, padding="same"), 3),
    "even kernel": (lambda: mnn.Conv1d(2, 2, 4, padding="same"), 2),
    "dilated": (lambda: mnn.Conv1d(2, 2, 5, dilation=4, padding="same"), 8),
    "strided": (lambda: mnn.Conv1d(2, 2, 5, stride=3, padding="same"), 2),
    "max pool": (lambda: mnn.MaxPool1d(9, 1, 4), 4),
    "two": (
        lambda: mnn.Sequential(mnn.Conv1d(2, 3, 3, 2, padding="same"), mnn.Conv1d(3, 2, 3, padding="same")),
        3,
    ),
    "dead in part": (
        lambda: mnn.Sequential(mnn.MaxPool1d(5, 1, 2), nn.ReLU(), mnn.Conv1d(2, 2, 9, padding="same")),
        6,
    ),
    "replicating": (lambda: mnn.Conv1d(2, 2, 7, padding="same", padding_mode="replicate"), 3),
}


@pytest.mark.parametrize("name", STANDARD)
def test_standard_layers_fail_by_what_the_formula_says(name):
    make, ahead = STANDARD[name]
    found = proof(make())
    assert not found.causal
    assert found.lookahead == ahead == found.formula
    assert found.agrees


def test_every_layer_that_looks_ahead_is_named_with_its_own_number():
    layers = (
        mnn.CausalConv1d(2, 3, 5),
        mnn.Conv1d(3, 3, 5, padding="same"),
        nn.ReLU(),
        mnn.MaxPool1d(3, 1, 1),
    )
    found = proof(*layers, labels={"1": "stack[1].conv"})
    assert found.lookahead == 3
    assert [(leak.layer, leak.lookahead) for leak in found.leaks] == [
        ("stack[1].conv (Conv1d)", 2),
        ("3 (MaxPool1d)", 1),
    ]


def test_what_lies_in_a_layer_with_a_name_is_named_by_it():
    found = proof(
        mnn.CausalConv1d(2, 3, 5),
        mnn.Residual(mnn.Sequential(mnn.Conv1d(3, 3, 3, padding="same"))),
        labels={"1": "stack[1].mine"},
    )
    assert [leak.layer for leak in found.leaks] == ["stack[1].mine.layers.0 (Conv1d)"]


def test_a_norm_over_time_reads_to_the_end():
    found = proof(mnn.CausalConv1d(2, 4, 3), mnn.InstanceNorm1d(4))
    assert not found.causal
    assert found.lookahead is None is found.formula
    assert [leak.layer for leak in found.leaks] == ["1 (InstanceNorm1d)"]


def test_circular_padding_reads_to_the_end():
    assert proof(mnn.Conv1d(2, 2, 3, padding="same", padding_mode="circular")).lookahead is None


class Reflecting(nn.Module):
    """Causal but for its padding, which shows at the start alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 4)

    def forward(self, x):
        return self.conv(F.pad(x, (3, 0), mode="reflect"))


class Lying(mnn.CausalConv1d):
    """Says that it is causal and is not."""

    def forward(self, x):
        return super().forward(F.pad(x, (0, 2)))[..., 2:]


class LyingInChunks(mnn.CausalConv1d):
    """Causal as a whole; in chunks it scales by the chunk's own mean."""

    def step(self, x, state, *, axis, last):
        y = super().step(x, state, axis=axis, last=last)
        return y * (1 + y.mean()) if y.numel() else y


class OnlyEdges(nn.Module):
    """The last output but one reads the last input; nothing else does."""

    def forward(self, x):
        y = x.clone()
        y[..., -2] = x[..., -2] + x[..., -1]
        return y


class Rounding(Pointwise, nn.Module):
    """Has no gradient: only perturbation sees it."""

    def forward(self, x):
        return torch.round(4 * F.pad(x, (0, 1))[..., 1:])


class Hidden(nn.Module):
    """A dead unit unless the input is large, as with a clipped activation."""

    def forward(self, x):
        return x + F.relu(F.pad(x, (0, 3))[..., 3:] - 100)


@pytest.mark.parametrize(
    ("module", "ahead"),
    [(Reflecting(), 3), (OnlyEdges(), 1), (Rounding(), 1), (Hidden(), 3)],
    ids=lambda value: type(value).__name__,
)
def test_planted_leaks_are_found_and_named(module, ahead):
    found = proof(module)
    assert found.lookahead == ahead
    assert [leak.layer for leak in found.leaks] == [type(module).__name__]


def ahead_of(x, steps):
    return F.pad(x, (0, steps))[..., steps:]


class OnlyThere(nn.Module):
    """Reads ahead at one position alone, which is no end, seam or middle."""

    def forward(self, x):
        there = torch.arange(x.shape[2]) == 37
        return torch.where(there, x + ahead_of(x, 1), x)


LEAKS = {
    "at one position": (OnlyThere, 1),
    "of large negative values": (lambda: Leaking(lambda x: x + (ahead_of(x, 2) < -50).double()), 2),
    "where the present is loud": (lambda: Leaking(lambda x: torch.where(x < -8, ahead_of(x, 2), x)), 2),
    "a tenth of a second ahead": (lambda: Leaking(lambda x: x + 1e-9 * ahead_of(x, 2205)), 2205),
    "of the length": (lambda: Leaking(lambda x: x * x.shape[2]), None),
}


class Leaking(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_that_show_themselves_seldom_are_found_and_named(name):
    make, ahead = LEAKS[name]
    planted = make()
    found = proof(mnn.CausalConv1d(2, 2, 3), planted, mnn.CausalConv1d(2, 2, 2))
    assert found.lookahead == ahead
    assert [leak.layer for leak in found.leaks] == [f"1 ({type(planted).__name__})"]


def test_a_layer_that_draws_random_numbers_is_refused():
    from mediaconv.errors import UsageError

    with pytest.raises(UsageError, match="gives other outputs for the same input"):
        proof(Leaking(lambda x: x + torch.rand_like(x)))


def test_a_leak_between_honest_layers_is_named():
    torch.manual_seed(0)
    module = nn.Sequential(mnn.CausalConv1d(2, 2, 3), Reflecting(), nn.ReLU())
    found = prove(module, channels=2, dims=1)
    assert [leak.layer for leak in found.leaks] == ["1 (Reflecting)"]


class Block(nn.Module):
    """A model of one's own, which is no Sequential, with a norm over time deep in it."""

    def __init__(self, norm):
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.body = nn.ModuleDict({"in": mnn.CausalConv1d(2, 4, 3), "norm": norm, "out": nn.Conv1d(4, 2, 1)})

    def forward(self, x):
        y = self.mix(self.body["in"](x).transpose(1, 2)).transpose(1, 2)
        return x + self.body["out"](self.body["norm"](y))


def test_a_leak_inside_a_model_of_ones_own_is_named():
    found = prove(nn.Sequential(nn.Identity(), Block(nn.GroupNorm(2, 4))), channels=2, dims=1)
    assert found.lookahead is None
    assert [leak.layer for leak in found.leaks] == ["1.body.norm (GroupNorm)"]
    assert prove(Block(nn.BatchNorm1d(4)), channels=2, dims=1).causal


class Recurrent(nn.Module):
    def __init__(self, bidirectional):
        super().__init__()
        self.lstm = nn.LSTM(2, 2, batch_first=True, bidirectional=bidirectional)

    def forward(self, x):
        return self.lstm(x.transpose(1, 2))[0].transpose(1, 2)


def test_recurrent_models_need_no_channels_of_their_own():
    assert prove(Recurrent(False), channels=2, dims=1).causal
    found = prove(Recurrent(True), channels=2, dims=1)
    assert [leak.layer for leak in found.leaks] == ["Recurrent"]


class Folding(nn.Module):
    """Takes whole blocks alone, as a codec does."""

    def forward(self, x):
        if x.shape[-1] % 16:
            raise ValueError("the length must be a multiple of 16")
        return F.avg_pool1d(x, 16)


def test_a_length_that_the_module_takes_is_found():
    assert prove(Folding(), channels=2, dims=1).lookahead == 15


class Mirrored(nn.Module):
    """Blocks of samples the other way round; in part they are refused."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x.unflatten(2, (-1, self.size)).flip(3).flatten(2)


@pytest.mark.parametrize("size", [7, 100])
def test_blocks_of_a_module_without_a_formula_are_found(size):
    found = prove(Mirrored(size), channels=1, dims=1)
    assert (found.lookahead, found.known) == (size - 1, False)


def test_long_inputs_are_whole_blocks_too():
    """Of a length that does not divide the usual ones."""

    class Causal(nn.Module):
        def forward(self, x):
            return torch.cumsum(x.unflatten(2, (-1, 7)).flatten(2), 2)

    assert prove(Causal(), channels=1, dims=1).covered.length > 2**12 - 7 * 12
    folded = mnn.Reshape("n c (t k) -> n (c k) t", {"k": 7}, in_channels=1)
    unfolded = mnn.Reshape("n (c k) t -> n c (t k)", {"k": 7}, in_channels=7)
    found = prove(mnn.Sequential(mnn.CausalConv1d(1, 1, 3), folded, unfolded), channels=1, dims=1)
    assert found.causal
    assert found.covered.length > 2**12


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def test_what_is_no_tensor_is_told():
    from mediaconv.errors import UsageError

    with pytest.raises(UsageError, match="returned tuple, expected a tensor with 3 axes"):
        prove(Pair(), channels=2, dims=1)


def test_a_layer_that_lies_is_measured():
    found = proof(mnn.CausalConv1d(2, 2, 3), Lying(2, 2, 3))
    assert (found.lookahead, found.formula, found.agrees) == (2, 0, False)
    assert [leak.layer for leak in found.leaks] == ["1 (Lying)"]
    assert "reads more than it says" in found.notes[0]


def test_a_leak_in_chunks_alone_is_found():
    found = proof(mnn.CausalConv1d(2, 2, 3), LyingInChunks(2, 2, 3))
    assert not found.causal
    assert [leak.layer for leak in found.leaks] == ["1 (LyingInChunks)"]


def test_weights_that_are_zero_are_not_read():
    layer = mnn.Conv1d(1, 1, 5, padding="same", bias=False)
    with torch.no_grad():
        layer.weight[..., 3:] = 0
    found = proof(layer, channels=1)
    assert found.causal
    assert found.formula == 2
    assert "are zero" in found.notes[0]


def test_the_module_is_left_as_it_was():
    torch.manual_seed(0)
    module = mnn.Sequential(mnn.Conv1d(2, 2, 3, padding="same"), nn.Dropout(0.5)).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    threads = torch.get_num_threads()
    prove(module, channels=2, dims=1)
    assert module.training
    assert module[0].weight.dtype == torch.float32
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("raster_type", ["A", "B"])
def test_raster_order_is_reading_order(raster_type):
    honest = mnn.CausalConv2d(2, 3, (3, 5), mode="raster", raster_type=raster_type)
    found = proof(honest, mnn.CausalConv2d(3, 2, 3, mode="raster"), dims=2, order_axes=(0, 1))
    assert found.causal
    leak = mnn.Conv2d(2, 2, (1, 5), padding="same")
    found = proof(leak, dims=2, order_axes=(0, 1), axis_names=("rows", "columns"))
    assert (found.causal, found.lookahead, found.unit) == (False, 2, "columns")
    found = proof(
        mnn.Conv2d(2, 2, (5, 3), padding="same"), dims=2, order_axes=(0, 1), axis_names=("rows", "columns")
    )
    assert (found.lookahead, found.unit, found.formula) == (2, "rows", 2)


def test_time_along_columns():
    layer = mnn.CausalConv2d(2, 2, (3, 5), time_axis=1)
    assert proof(layer, dims=2, order_axes=(1,)).causal
    assert proof(layer, dims=2, order_axes=(0,)).lookahead == 1


def test_film():
    layers = (mnn.CausalConv3d(2, 3, 3, dilation=(2, 1, 1)), nn.ReLU())
    assert proof(*layers, dims=3).causal
    found = proof(*layers, mnn.Conv3d(3, 2, (3, 1, 1), padding="same"), dims=3)
    assert (found.lookahead, found.formula) == (1, 1)


def test_block_alignment_reads_its_block():
    found = proof(mnn.CausalConv1d(2, 2, 6, stride=3, alignment="block"))
    assert found.lookahead == 2 == found.formula


def test_nothing_that_fits_is_said():
    from mediaconv.errors import UsageError

    with pytest.raises(UsageError, match="no input was found"):
        prove(mnn.Conv1d(3, 1, 1), channels=2, dims=1)


class Own(nn.Module):
    """A forward of its own: nothing is known of it but its values."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_torch_modules_have_a_formula_and_unknown_ones_need_none():
    layers = nn.Conv1d(2, 2, 3, padding=1), nn.ReLU()
    found = proof(nn.Sequential(*layers))
    assert (found.lookahead, found.formula, found.known) == (1, 1, True)
    found = proof(Own(*layers))
    assert (found.lookahead, found.known) == (1, False)


STRIDES = [(8,), (16,), (50,), (60,), (480,), (2, 4, 5, 8), (2, 4, 5, 8, 2), (8, 8, 15), (3, 5, 64)]


@pytest.mark.parametrize("container", [nn.Sequential, Own])
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_strides_of_codecs_are_judged(strides, container):
    def layers(left):
        for s in strides:
            yield from (nn.ConstantPad1d((left(s), 0), 0.0), nn.Conv1d(1, 1, s, stride=s), nn.ELU())

    found = proof(container(*layers(lambda s: s - 1)), channels=1)
    assert (found.causal, found.lookahead, found.formula) == (
        True,
        0,
        0 if container is nn.Sequential else None,
    )
    found = proof(container(*layers(lambda s: s - 2)), channels=1)
    ahead = sum(math.prod(strides[:i]) for i in range(len(strides)))
    assert (found.causal, found.lookahead) == (False, ahead)


NORMS = (
    nn.utils.weight_norm,
    nn.utils.parametrizations.weight_norm,
    nn.utils.parametrizations.spectral_norm,
)


@pytest.mark.parametrize("normed", NORMS)
def test_weights_under_a_norm_are_judged_by_what_they_are(normed):
    conv = normed(nn.Conv1d(2, 2, 8, stride=8))
    found = proof(nn.Sequential(nn.ConstantPad1d((7, 0), 0.0), conv, nn.ELU()))
    assert (found.lookahead, found.formula) == (0, 0)
    found = proof(nn.Sequential(conv, nn.ELU()))
    assert (found.lookahead, found.formula) == (7, 7)
    assert [leak.layer for leak in found.leaks] == ["0 (Conv1d)"]
    assert hasattr(conv, "weight_g") or hasattr(conv, "parametrizations")
