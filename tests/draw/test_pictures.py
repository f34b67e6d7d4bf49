"""What a picture shows and that it can be read: no label over another, none outside, roles as promised."""

from __future__ import annotations

import itertools

import pytest
import torch

from mediaconv import nn as layers
from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.gallery import GALLERY, gallery_animation
from mediaconv.draw.animate.made_layers import LENGTHS, demo_input, demo_layer, standard_counterpart
from mediaconv.draw.panels.cells import LEGEND
from mediaconv.draw.scene.palette import DARK, LIGHT, rgb
from mediaconv.draw.scene.raster import rasterize
from mediaconv.draw.scene.scene import Polygon
from tests.draw.boxes import text_box

CASES = [
    {"kind": "conv1d"},
    {"kind": "conv1d", "causal": "mask", "in_channels": 4, "out_channels": 2, "groups": 2, "bias": True},
    {"kind": "conv1d", "causal": "pad", "kernel_size": 5, "dilation": 4},
    {"kind": "conv1d", "stride": 3, "kernel_size": 7},
    {"kind": "conv_transpose1d", "stride": 2, "causal": "pad"},
    {"kind": "conv2d", "kernel_size": 5, "stride": 2, "in_channels": 2, "out_channels": 2},
    {"kind": "conv2d", "causal": "raster-A", "bias": True},
    {"kind": "conv2d", "causal": "mask", "time_axis": 1, "in_channels": 3},
    {"kind": "conv_transpose2d", "stride": 2},
    {"kind": "conv3d", "kernel_size": 5, "causal": "mask", "in_channels": 2},
    {"kind": "conv3d", "stride": 2, "causal": "pad", "bias": True},
    {"kind": "conv_transpose3d", "stride": 2},
]


def of(case, beside=False):
    layer = demo_layer(**case)
    x = demo_input(layer.in_channels, LENGTHS[len(layer.kernel_size)])
    return animate(layer, x, beside=standard_counterpart(layer) if beside else None)


def real_animation(dims):
    torch.manual_seed(0)
    kind = (layers.CausalConv1d, layers.CausalConv2d, layers.CausalConv3d)[dims - 1]
    return animate(kind(2, 3, 3), 100 * torch.randn(2, *(40,) * dims), notes=["the first part of a file"])


def crowded(scene):
    boxes = [(t.text, text_box(t)) for t in scene.texts()]
    overlaps = [
        (a[0], b[0])
        for a, b in itertools.combinations(boxes, 2)
        if min(a[1][2], b[1][2]) - max(a[1][0], b[1][0]) > 0.5
        and min(a[1][3], b[1][3]) - max(a[1][1], b[1][1]) > 0.5
    ]
    outside = [
        text
        for text, (left, top, right, bottom) in boxes
        if left < 0 or top < 0 or right > scene.width or bottom > scene.height
    ]
    return overlaps, outside


def checked_frames(animation):
    last = len(animation) - 1
    return [animation.picture.scene(i) for i in sorted({0, 1, last // 3, last // 2, last})]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("beside", [False, True])
def test_labels_do_not_overlap_and_stay_on_the_sheet(case, beside):
    if beside and case.get("causal", "false") == "false":
        pytest.skip("a standard layer beside itself")
    for scene in checked_frames(of(case, beside)):
        assert crowded(scene) == ([], [])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_real_numbers_fit_their_cells(dims):
    for scene in checked_frames(real_animation(dims)):
        assert crowded(scene) == ([], [])
        assert any(t.text.startswith("the first part of a file") for t in scene.texts())


@pytest.mark.parametrize(
    ("case", "lengths", "at"),
    [
        ({"kind": "conv1d", "kernel_size": 9, "dilation": 32, "causal": "pad"}, (99_000,), [98_000]),
        ({"kind": "conv1d", "kernel_size": 201}, (5_000,), [2_000]),
        ({"kind": "conv1d", "stride": 4}, (20_000,), [3_000]),
        ({"kind": "conv_transpose1d", "stride": 2}, (5_000,), [8_000]),
        ({"kind": "conv2d", "dilation": 9, "causal": "raster"}, (1500, 1900), [1400, 1800]),
        ({"kind": "conv2d", "kernel_size": 15}, (400, 400), [200, 200]),
        ({"kind": "conv3d", "dilation": [4, 1, 1], "causal": "pad"}, (150, 30, 40), [101, 20, 20]),
        ({"kind": "conv_transpose3d", "stride": 2}, (20, 20, 20), [30, 30, 30]),
    ],
    ids=str,
)
def test_parts_of_large_inputs_are_readable(case, lengths, at):
    layer = demo_layer(**case)
    animation = animate(layer, demo_input(1, lengths), at=at)
    for scene in checked_frames(animation):
        assert crowded(scene) == ([], [])
        assert "current" in {s.fill for s in scene.shapes if isinstance(s, Polygon)}


@pytest.mark.parametrize("name", GALLERY)
def test_every_frame_of_the_gallery_is_readable(name):
    animation = gallery_animation(name)
    for index in range(0, len(animation), 5):
        assert crowded(animation.picture.scene(index)) == ([], [])


def fills(scene):
    return {s.fill for s in scene.shapes if isinstance(s, Polygon) and s.fill in LEGEND}


def test_masked_taps_and_forbidden_future_are_shown_and_named():
    animation = of({"kind": "conv2d", "causal": "raster"})
    scene = animation.picture.scene(14)
    assert {"used", "masked", "future", "padding", "output", "current"} <= fills(scene)
    assert "leak" not in fills(scene)
    words = {t.text for t in scene.texts()}
    assert {"masked tap", "forbidden future", "kernel tap", "CausalConv2d (raster, type B)"} <= words


def test_beside_a_causal_layer_the_standard_one_shows_where_it_reads_the_future():
    animation = of({"kind": "conv1d", "causal": "pad"}, beside=True)
    scene = animation.picture.scene(4)
    assert "leak" in fills(scene)
    assert {"CausalConv1d (pad)", "Conv1d"} <= {t.text for t in scene.texts()}


def test_the_numbers_being_multiplied_and_their_sum_are_written():
    scene = of({"kind": "conv1d", "causal": "mask", "bias": True}).picture.scene(4)
    assert "y[4] = 1·1 + 5·2 + bias 2 = 13" in {t.text for t in scene.texts()}
    scene = of({"kind": "conv3d"}).picture.scene(25)
    padded = torch.nn.functional.pad(demo_input(1, LENGTHS[3]), (1,) * 6)[0]
    window = padded[1:4, 2:5, 1:4] * demo_layer("conv3d").weight[0, 0]
    one, two, three = window.detach().sum((1, 2)).int().tolist()
    assert min(one, two, three) >= 0
    expected = f"y[1, 2, 1] = {one} + {two} + {three} = {one + two + three}"
    assert expected in {t.text for t in scene.texts()}


def test_a_cell_has_its_roles_colour():
    animation = of({"kind": "conv2d", "causal": "raster"})
    scene = animation.picture.scene(14)
    pixels = rasterize(scene)
    cells = [s for s in scene.shapes if isinstance(s, Polygon) and s.fill in LEGEND]
    assert len(cells) > 100
    for cell in cells:
        (left, top), (right, bottom) = cell.points[0], cell.points[2]
        # Beside the number and off the pattern's diagonals.
        x, y = left + 0.5 * (right - left), top + 0.15 * (bottom - top)
        assert tuple(pixels[int(y), int(x)]) == rgb(LIGHT[cell.fill])


def test_light_and_dark_have_every_role():
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("blind", ["none", "protan", "deutan", "tritan"])
def test_roles_are_told_apart_without_red_green_or_blue(colours, blind):
    """Viénot, Brettel and Mollon (1999) for protan and deutan, a blue-loss approximation for tritan.

    Pairs that a pattern, a dashed edge or a number's ink tells apart too are left out.
    """
    matrix = {
        "none": torch.eye(3),
        "protan": torch.tensor([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
        "deutan": torch.tensor([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
        "tritan": torch.tensor([[1.0, 0.14461, -0.14461], [0.0, 0.85924, 0.14076], [0.0, 0.85924, 0.14076]]),
    }[blind]

    def seen(role):
        linear = matrix @ (torch.tensor(rgb(colours[role]), dtype=torch.float32) / 255) ** 2.2
        return linear.clamp(0, 1) ** (1 / 2.2)

    roles = ["input", "used", "leak", "current", "masked"]
    for a, b in itertools.combinations(roles, 2):
        assert (seen(a) - seen(b)).norm() > 0.15, (a, b)
