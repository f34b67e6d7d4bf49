"""The one page renderer: whatever strangers' names hold, a page shows them as text and its scripts run."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from mediaconv.draw.animate.animation import animate
from mediaconv.draw.animate.made_layers import demo_input, demo_layer
from mediaconv.draw.inspect import inspect_config
from mediaconv.web.page import render_page, script_json
from tests.browser import opened
from tests.draw.test_inspect import settings

HOSTILE = [
    "<!--<script>",
    "</script><script>throw 1</script>",
    "<img src=x onerror=throw(1)>&lt;$title",
    "\u2028\u2029\\u003c\"'`${1}",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_data_survives_and_cannot_leave_its_element(name):
    text = script_json({name: [name]})
    assert json.loads(text) == {name: [name]}
    assert not re.search("[<>&\u2028\u2029]", text)


def test_a_name_that_is_no_unicode_can_be_written():
    page = render_page(title="\udcff.png", package="mediaconv.web", heading="\udcff", data={"name": "\udcff"})
    assert "\ufffd.png" in page.encode("utf-8").decode("utf-8")


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are(browser, tmp_path, name):
    path = tmp_path / f"{name.replace('/', '∕')}.png"
    cv2.imwrite(str(tmp_path / "x.png"), np.full((8, 8, 3), 90, np.uint8))
    (tmp_path / "x.png").rename(path)
    stack = [{"conv": {"out_channels": 1, "kernel_size": 3}}]
    found = inspect_config(settings("image", stack, path), [path])
    page, problems = opened(browser, found.save(tmp_path / "page.html"))
    page.wait_for_selector("#node-0[data-drawn]")
    assert page.locator("h1").evaluate("node => node.textContent") == path.name
    assert "1 layer" in page.locator(".eyebrow").inner_text()
    assert "1 layers" not in page.locator(".eyebrow").inner_text()
    page.close()
    animation = animate(demo_layer("conv1d"), demo_input(1, (4,)), notes=[name])
    animation.label = name
    page, more = opened(browser, animation.save(tmp_path / "animation.html"))
    assert name in page.locator(".keys").all_text_contents()
    assert page.locator("#clock").text_content() == "step 1 of 4"
    assert problems + more == []


@pytest.mark.browser
@pytest.mark.long
def test_a_notebook_shows_an_inspection_inline(browser, tmp_path):
    """As a notebook does: what `_repr_html_` gives, put into a page of somebody else."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), 90, np.uint8))
    stack = [{"conv": {"out_channels": 1, "kernel_size": 3}}]
    found = inspect_config(settings("image", stack, path), [path])
    outer = tmp_path / "notebook.html"
    outer.write_text(f"<!doctype html><meta charset='utf-8'><body>{found._repr_html_()}</body>")
    page, problems = opened(browser, outer)
    frame = page.frame_locator("iframe")
    frame.locator("#node-0[data-drawn]").wait_for()
    assert frame.locator("h1").text_content() == "a.png"
    assert problems == []
