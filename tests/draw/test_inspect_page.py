"""The page of `inspect` in a real browser: time and batch moved, channels chosen, themes, a clean console."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import soundfile

from mediaconv.draw.inspect import inspect_config
from mediaconv.draw.inspect.sheets import from_gray
from tests.browser import faults, until
from tests.browser import opened as browser_opened
from tests.draw.test_inspect import blocks, settings

pytestmark = [pytest.mark.browser, pytest.mark.long]

PIXEL = """([selector, x, y]) => Array.from(document.querySelector(selector).getContext('2d')
    .getImageData(x, y, 1, 1).data.slice(0, 3))"""
ALL = "selector => document.querySelector(selector).toDataURL()"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The page over a batch of two films of six frames, each frame of one brightness."""
    folder = tmp_path_factory.mktemp("films")
    paths = []
    for name, base in (("a", 20), ("b", 140)):
        (folder / name).mkdir()
        for i in range(6):
            frame = np.full((16, 20, 3), base + 15 * i, np.uint8)
            frame[4:8, 4:8] = 255 - frame[4:8, 4:8]
            cv2.imwrite(str(folder / name / f"{i}.png"), frame)
        paths.append(folder / name)
    found = inspect_config(settings("video", blocks(), paths[0], causal=True), paths)
    return found, found.save(folder / "film.html")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    t = np.arange(3000) / 8000
    soundfile.write(folder / "s.wav", np.sin(2 * np.pi * 300 * t) * t / t.max() * 0.8, 8000)
    found = inspect_config(settings("audio", blocks(), folder / "s.wav"), [folder / "s.wav"])
    return found, found.save(folder / "sound.html")


def opened(browser, path, **options):
    page, problems = browser_opened(browser, path, **options)
    page.wait_for_selector("#node-0[data-drawn]")
    return page, problems


def settled(page, node, state):
    page.wait_for_selector(f"#node-{node}[data-drawn='{state}']")


def test_a_picture_of_the_whole_page_has_every_card(browser, film):
    """Cards below are drawn though nobody scrolls to them, at either width."""
    page, problems = opened(browser, film[1], viewport={"width": 390, "height": 400})
    until(page, "[...document.querySelectorAll('section.card[data-node]')].every((c) => c.dataset.drawn)")
    assert page.evaluate("scrollY") == 0
    assert problems == []


def scroll_through(page):
    for card in page.locator("section.card[data-node]").all():
        card.scroll_into_view_if_needed()
        until(page, f"document.getElementById('{card.get_attribute('id')}').dataset.drawn")


def test_slider_keys_and_batch_show_the_values_of_that_frame(browser, film):
    found, path = film
    page, problems = opened(browser, path)
    node = found.nodes[0]

    def shown(file, step):
        """What the gray input map must show at its corner: the page's own ramp from lowest to highest."""
        low, high = node.ranges[0]
        value = from_gray(node.sheets[file].tile(0, step), low, high)[0, 0]
        return round(255 * (value - low) / (high - low))

    big = "#node-0 canvas.big"
    page.locator("#node-0 .tile[data-channel='0']").click()
    for file, step in ((0, 0), (0, 3)):
        page.locator("#slider").fill(str(step))
        settled(page, 0, f"{file}/{step}")
        assert page.evaluate(PIXEL, [big, 0, 0]) == [pytest.approx(shown(file, step), abs=1)] * 3
    page.keyboard.press("ArrowRight")
    settled(page, 0, "0/4")
    assert page.locator("#clock").text_content().startswith("frame 4")
    page.locator("#batch").fill("1")
    settled(page, 0, "1/4")
    assert page.evaluate(PIXEL, [big, 0, 0]) == [pytest.approx(shown(1, 4), abs=1)] * 3
    page.locator("h1").click()
    page.keyboard.press("Home")
    settled(page, 0, "1/0")
    page.keyboard.press("[")
    settled(page, 0, "0/0")
    page.keyboard.press(" ")
    until(page, "Number(document.getElementById('slider').value) >= 2")
    page.keyboard.press(" ")
    assert problems == []


def test_a_chosen_channel_is_shown_in_every_part(browser, film):
    found, path = film
    page, problems = opened(browser, path)
    page.locator("#node-1").scroll_into_view_if_needed()
    settled(page, 1, "0/0")
    before = {name: page.evaluate(ALL, f"#node-1 {name}") for name in ("canvas.big", ".equation canvas.map")}
    histogram = page.locator("#node-1 svg.chart").inner_html()
    page.locator("#node-1 .tile[data-channel='2']").click()
    until(page, "document.querySelector('#node-1 figcaption b').textContent === 'channel 2'")
    assert "Channel 2 is the sum" in page.locator("#node-1").inner_text()
    assert page.locator("#node-1 svg.chart").inner_html() != histogram
    for name, picture in before.items():
        assert page.evaluate(ALL, f"#node-1 {name}") != picture
    sums = found.nodes[1].sums
    text = page.locator("#node-1 .proof").inner_text().replace("−", "-")
    stated = float(text.split("Largest difference ")[1].split()[0])
    assert stated == pytest.approx(max(s.difference for s in sums), rel=0.01)
    assert problems == []


def test_everything_is_drawn_and_nothing_leaves_the_page(browser, film, sound):
    for _, path in (film, sound):
        page, problems = opened(browser, path)
        scroll_through(page)
        text = page.locator("main").inner_text()
        for words in (
            "path: layers",
            "path: shortcut",
            "The paths and their sum",
            "Before and after",
            "Kernels",
        ):
            assert words in text
        assert not any(defect in text for defect in ("object", "undefined", "NaN"))
        assert problems == []
        page.close()


def test_curves_move_with_the_slider_and_zoom(browser, sound):
    _, path = sound
    page, problems = opened(browser, path)
    first = page.evaluate(ALL, "#node-0 canvas.big")
    page.locator("#slider").fill("200")
    settled(page, 0, "0/200")
    second = page.evaluate(ALL, "#node-0 canvas.big")
    page.locator("#zoom").select_option("16")
    page.wait_for_timeout(100)
    third = page.evaluate(ALL, "#node-0 canvas.big")
    assert len({first, second, third}) == 3
    assert page.locator("#clock").text_content() == "sample 1,500 · 0.1875 s"
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(browser, film, scheme):
    page, problems = opened(browser, film[1], color_scheme=scheme)
    light = "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) > 128"
    assert page.evaluate(light) == (scheme == "light")
    page.keyboard.press("t")
    assert page.evaluate(light) == (scheme == "dark")
    assert problems == []


def test_readable_on_a_phone(browser, film, sound):
    for _, path in (film, sound):
        page, problems = opened(browser, path, viewport={"width": 390, "height": 800})
        scroll_through(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []
        page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_thirty_residuals_inside_each_other_fit_the_page(browser, tmp_path, width):
    stack = [{"conv": {"out_channels": 3, "kernel_size": 3}}]
    for _ in range(30):
        stack = [{"residual": {"layers": stack}}]
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 9, 3), 90, np.uint8))
    found = inspect_config(settings("image", stack, tmp_path / "a.png"), [tmp_path / "a.png"])
    page, problems = opened(
        browser, found.save(tmp_path / "a.html"), viewport={"width": width, "height": 800}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cards = page.evaluate("[...document.querySelectorAll('section.card')].map(n => n.clientWidth)")
    assert min(cards) > min(300, width / 2)
    assert problems == []


def test_the_input_is_seen_in_its_colours(browser, tmp_path):
    """Four plain areas, so that averaging to the page's size changes no pixel in their middle."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30], picture[:20, 30:] = (200, 10, 30), (20, 180, 90)
    picture[20:, :30], picture[20:, 30:] = (0, 0, 0), (250, 250, 250)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    found = inspect_config(settings("image", [{"conv": {"out_channels": 2, "kernel_size": 3}}], path), [path])
    page, problems = opened(browser, found.save(tmp_path / "a.html"))
    width = page.evaluate("document.querySelector('canvas.colour').width")
    scale = width / 60
    found.save_pngs(tmp_path / "p")
    sheet = cv2.imread(str(tmp_path / "p/00_input_maps.png"))[..., ::-1]
    for row, column in ((10, 15), (10, 45), (30, 15), (30, 45)):
        expected = picture[row, column].astype(int)
        seen = page.evaluate(PIXEL, ["canvas.colour", int(column * scale), int(row * scale)])
        # a map keeps 255 levels between the channel's lowest and highest value
        assert np.abs(np.array(seen) - expected).max() <= 1
        assert (np.abs(sheet.astype(int) - expected).max(-1) <= 2).sum() > 1000
        large = page.evaluate(PIXEL, ["#node-0 canvas.big", int(column * scale), int(row * scale)])
        assert large == seen
    assert page.locator("canvas.colour").count() == 1
    assert page.locator("#node-0 .tile[aria-pressed=true]").inner_text() == "in colours"
    page.locator("#node-0 .tile[data-channel='1']").click()
    until(page, "document.querySelector('#node-0 figcaption b').textContent === 'channel 1'")
    r, g, b = page.evaluate(PIXEL, ["#node-0 canvas.big", int(15 * scale), int(10 * scale)])
    assert r == g == b
    page.locator("#node-0 .tile[data-channel='colours']").click()
    until(page, "document.querySelector('#node-0 figcaption b').textContent === 'in colours'")
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("kind", ["film", "sound"])
def test_all_words_can_be_read(browser, request, kind, width, scheme):
    _, path = request.getfixturevalue(kind)
    page, problems = opened(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    settled(page, 0, "0/0")
    assert faults(page) == []
    assert problems == []
