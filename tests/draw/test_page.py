"""The animation's page in a real browser: slider, keys, themes, a clean console."""

from __future__ import annotations

import pytest

from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.distinct_input import distinct_input
from mediaconv.draw.animate.made_layers import (
    demo_input,
    demo_layer,
    demo_lengths,
    standard_counterpart,
)
from tests.browser import faults, opened, until

pytestmark = [pytest.mark.browser, pytest.mark.long]


def sums(page):
    return [t for t in page.locator("svg text").all_text_contents() if t.startswith("y[")]


def test_slider_keys_and_play_move_the_picture(browser, tmp_path):
    animation = animate(demo_layer("conv1d", causal="pad"), demo_input(1, (5,)), seconds=0.05)
    page, problems = opened(browser, animation.save(tmp_path / "a.html"))
    expected = [[t.text for t in s.texts() if t.text.startswith("y[")] for s in animation.scenes()]
    assert sums(page) == expected[0]
    page.locator("#slider").fill("3")
    assert sums(page) == expected[3]
    assert page.locator("#clock").text_content() == "step 4 of 5"
    page.keyboard.press("ArrowRight")
    assert sums(page) == expected[4]
    page.keyboard.press("Home")
    assert sums(page) == expected[0]
    page.locator("#next").click()
    assert sums(page) == expected[1]
    page.locator("#play").click()
    until(page, "document.getElementById('slider').value === '4'")
    page.locator("#play").click()
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(browser, tmp_path, scheme):
    path = animate(demo_layer("conv1d"), demo_input(1, (4,))).save(tmp_path / "a.html")
    page, problems = opened(browser, path, color_scheme=scheme)
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(20, 24, 29)"
    assert page.evaluate(paper) == (light if scheme == "light" else dark)
    page.locator("#theme").click()
    assert page.evaluate(paper) == (dark if scheme == "light" else light)
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("kind", ["conv1d", "conv2d", "conv3d", "conv_transpose2d"])
def test_all_words_can_be_read(browser, tmp_path, kind, width, scheme):
    """On a phone nothing of a panel lies beyond the screen, either."""
    causal = "false" if "transpose" in kind else "mask"
    layer = demo_layer(kind, causal=causal)
    x = demo_input(1, demo_lengths(layer))
    beside = None if causal == "false" else standard_counterpart(layer)
    path = animate(layer, x, beside=beside, frames=4).save(tmp_path / "a.html")
    page, problems = opened(browser, path, viewport={"width": width, "height": 844}, color_scheme=scheme)
    for step in range(4):
        page.locator("#slider").fill(str(step))
        assert faults(page) == []
    beyond = "[...document.querySelectorAll('.panel')].map((p) => p.scrollWidth - p.clientWidth)"
    assert max(page.evaluate(beyond)) <= 0
    assert problems == []


def test_what_is_wider_than_a_phone_follows_the_kernel(browser, tmp_path):
    layer = demo_layer("conv1d", causal="pad", kernel_size=3)
    path = animate(layer, demo_input(1, (40,)), frames=40).save(tmp_path / "a.html")
    page, problems = opened(browser, path, viewport={"width": 390, "height": 844})
    seen = """[...document.querySelectorAll('[data-used], text[font-weight=bold]')]
        .map((n) => n.getBoundingClientRect()).every((r) => r.left >= 0 && r.right <= 390)"""
    for step in (0, 17, 39):
        page.locator("#slider").fill(str(step))
        until(page, seen)
    assert problems == []


def test_panels_stand_side_by_side_or_above_each_other(browser, tmp_path):
    """At 1400 two 3D panels stand side by side with numbers of 12 pixels, on a phone one above the other."""
    layer = demo_layer("conv3d", causal="pad")
    animation = animate(
        layer, distinct_input(layer, (4, 4, 4)), beside=standard_counterpart(layer), frames=3, title="Two"
    )
    path = animation.save(tmp_path / "a.html")
    lefts = "[...document.querySelectorAll('.panel')].map((p) => p.getBoundingClientRect().left)"
    heights = (
        "[...document.querySelectorAll('.panel text')].map((t) => parseFloat(t.getAttribute('font-size')) * "
        "t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width)"
    )
    for width, beside, smallest in ((1400, True, 12), (390, False, 12)):
        page, problems = opened(browser, path, viewport={"width": width, "height": 844})
        first, second = page.evaluate(lefts)
        assert (second > first) == beside
        assert min(page.evaluate(heights)) >= smallest - 0.01
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").text_content() == "Two"
        assert page.locator(".legend span").count() >= 8
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert problems == []


def test_what_is_left_out_is_said_on_the_page(browser, tmp_path):
    path = animate(demo_layer("conv1d", in_channels=6), demo_input(6, (5,))).save(tmp_path / "a.html")
    page, _ = opened(browser, path)
    assert "input channels 0, 1, 2, 3 of 6" in page.inner_text("body")
    assert "(input 5)" in page.inner_text("#stage")
