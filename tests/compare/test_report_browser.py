"""The report in a real Chromium: it plays, stays in step, swipes, asks no network, and looks right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import soundfile

from tests.browser import faults, until
from tests.program import run_program

pytestmark = [pytest.mark.browser, pytest.mark.long]

BLUE, ORANGE = (0, 105, 168), (200, 80, 10)


@pytest.fixture(scope="module")
def reports(root, tmp_path_factory):
    """A report of each kind, by its kind."""
    out = tmp_path_factory.mktemp("reports")
    for kind, media in (
        ("video", "video/lightning.mp4"),
        ("audio", "audio/melody_clap.wav"),
        ("image", "image"),
    ):
        words = ["compare", root / f"configs/{kind}_causal.yaml"]
        words += ["--input", root / "data" / media, "--output", out / kind, "--quiet"]
        assert run_program(*words, cwd=root).returncode == 0
    return out


@pytest.fixture
def visit(browser, request):
    """Opens a page offline; at the end its console must be clean and nothing may have left it."""
    contexts, said, asked = [], [], []

    def go(path, *, width=1280, height=900, dark=False, allowed=()):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            offline=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        own = path.resolve().as_uri()
        page.on("request", lambda r: asked.append(r.url) if not own_request(r.url, own, allowed) else None)
        page.goto(own)
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []
    assert asked == []


def own_request(url, own, allowed):
    return url == own or url.startswith(("data:", "blob:")) or any(part in url for part in allowed)


def pixels(page, selector):
    """What is seen of an element, RGB."""
    png = page.locator(selector).first.screenshot()
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def near(picture, colour, tolerance=30):
    return np.abs(picture - np.array(colour)).max(-1) < tolerance


def loaded(page):
    until(
        page,
        "[...document.querySelectorAll('video')].length === 4 && "
        "[...document.querySelectorAll('video')].every(v => v.readyState >= 3 && !v.seeking)",
    )


def times(page):
    return page.evaluate("[...document.querySelectorAll('video')].map(v => v.currentTime)")


def test_films_play_h264_in_step(visit, reports):
    page = visit(reports / "video/report.html")
    loaded(page)
    assert (
        page.evaluate("[...document.querySelectorAll('video')].map(v => [v.videoWidth, v.error])")
        == [[320, None]] * 4
    )
    page.keyboard.press("Home")
    loaded(page)
    page.click("#play")
    spreads, seen = [], []
    for _ in range(12):
        page.wait_for_timeout(100)
        now = times(page)
        spreads.append(max(now) - min(now))
        seen.append(now[0])
    page.click("#play")
    loaded(page)
    assert seen[-1] > seen[0] + 0.4
    assert max(spreads) < 1 / 24
    now = times(page)
    assert max(now) == min(now)


def test_a_slider_a_key_and_a_click_move_all(visit, reports):
    page = visit(reports / "video/report.html")
    loaded(page)
    for frame in (0, 31, 47):
        page.evaluate(f"slider.value = {frame}; slider.dispatchEvent(new Event('input'))")
        loaded(page)
        assert times(page) == pytest.approx([(frame + 0.5) / 24] * 4, abs=1e-3)
        assert f"frame {frame}" in page.inner_text("#clock")
    page.keyboard.press("ArrowLeft")
    loaded(page)
    assert times(page) == pytest.approx([46.5 / 24] * 4, abs=1e-3)
    page.keyboard.press("Shift+ArrowLeft")
    loaded(page)
    assert times(page) == pytest.approx([36.5 / 24] * 4, abs=1e-3)
    page.locator("#timeline svg").scroll_into_view_if_needed()
    box = page.locator("#timeline svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 10.5 / 48, box["y"] + 60)
    loaded(page)
    assert times(page) == pytest.approx([10.5 / 24] * 4, abs=1e-3)
    page.keyboard.press("e")
    loaded(page)
    assert times(page) == pytest.approx([20.5 / 24] * 4, abs=1e-3)


def test_a_loop_begins_again(visit, reports):
    page = visit(reports / "video/report.html")
    loaded(page)
    page.click("#loop")
    page.evaluate("player.seek(42)")
    loaded(page)
    page.click("#play")
    until(page, "state.position < 30")
    assert page.evaluate("player.playing")


def test_before_the_lightning_only_the_standard_film_is_bright(visit, reports):
    page = visit(reports / "video/report.html")

    def look(frame, name):
        page.evaluate(f"player.seek({frame})")
        loaded(page)
        page.wait_for_timeout(150)
        return pixels(page, f"video[data-version={name}]")

    for name, changes in (("input", False), ("causal", False), ("standard", True)):
        quiet, early = look(12, name), look(18, name)
        assert quiet.std() > 3
        assert (np.abs(early.mean() - quiet.mean()) > 4) == changes, name
    assert look(21, "input").mean() > look(18, "input").mean() + 10


def test_channels_are_picked(visit, reports):
    page = visit(reports / "video/report.html")
    loaded(page)
    before = pixels(page, "video[data-version=causal]")
    page.click("#channel button:nth-child(3)")
    loaded(page)
    page.wait_for_timeout(150)
    assert np.abs(pixels(page, "video[data-version=causal]") - before).mean() > 2
    assert times(page) == pytest.approx([19.5 / 24] * 4, abs=1e-3)
    assert page.get_attribute("tbody tr:nth-child(3)", "class") == "chosen"
    page.keyboard.press("c")
    assert page.evaluate("state.channel") == 3


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_pre_echo_is_seen_at_a_glance(visit, reports, kind):
    page = visit(reports / kind / "report.html")
    page.wait_for_selector("#reaction")
    seen = pixels(page, "#reaction")
    height, width = seen.shape[:2]
    before = seen[int(0.2 * height) : int(0.78 * height), : width // 2 - 6]
    after = seen[int(0.2 * height) : int(0.78 * height), width // 2 + 6 :]
    assert near(before, ORANGE).mean() > 0.01
    assert near(before, BLUE).sum() == 0
    assert near(after, BLUE).mean() > 0.01
    assert page.inner_text(".big >> nth=0") == "0 %"


@pytest.mark.parametrize("name", ["input", "causal"])
def test_a_spectrogram_shows_nothing_before_it_sounds(visit, reports, name):
    """The silence before the clap at 2.4 s is dark up to it, and the clap is seen at once."""
    page = visit(reports / "audio/report.html")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    index = ["input", "causal", "standard"].index(name)
    seen = pixels(page, f".track >> nth={index} >> img").mean((0, 2))
    columns = np.arange(len(seen)) / len(seen) * 4
    assert seen[(columns > 2.3) & (columns < 2.39)].max() < 12
    assert seen[(columns > 2.43) & (columns < 2.5)].min() > 30


def test_channels_can_be_picked_where_none_could_be_compared(visit, root, tmp_path):
    """Two channels beside three: the page shows all of them, and the last of two where there is no third."""
    words = ["compare", "a.yaml", "b.yaml", "-o", "o", "--quiet"]
    for name, channels in (("a", 2), ("b", 3)):
        (tmp_path / f"{name}.yaml").write_text(
            f"pipeline: image\ninput: {root}/data/image/lighthouse.png\noutput: o\n"
            f"stack: [{{conv: {{out_channels: {channels}, kernel_size: 3}}}}]\n"
        )
    assert run_program(*words, cwd=tmp_path).returncode == 0
    page = visit(tmp_path / "o/report.html")
    assert page.locator("#channel button").count() == 3
    page.click("#channel button:nth-child(3)")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert "differ in shape" in page.inner_text("body")


def test_sounds_that_step_unequally_have_waveforms_of_their_own(visit, tmp_path):
    words = ["compare", "a.yaml", "b.yaml", "-o", "o", "--quiet"]
    soundfile.write(tmp_path / "s.wav", np.sin(np.arange(8000) / 9) * np.linspace(0, 0.9, 8000), 8000)
    for name, keys in (("a", "out_channels: 1"), ("b", "out_channels: 2, stride: 2")):
        (tmp_path / f"{name}.yaml").write_text(
            "pipeline: audio\ninput: s.wav\noutput: o\n"
            f"stack: [{{conv: {{{keys}, kernel_size: 3, padding: same}}}}]\n"
        )
    assert run_program(*words, cwd=tmp_path).returncode == 0
    page = visit(tmp_path / "o/report.html")
    for channel in (1, 2):
        page.click(f"#channel button:nth-child({channel})")
        drawn = page.evaluate(
            "[...document.querySelectorAll('svg')].filter(s => s.viewBox.baseVal.width === 1000).length"
        )
        assert drawn >= 3  # the input and both outputs


def test_a_difference_can_be_amplified(visit, reports):
    page = visit(reports / "image/lighthouse.png/report.html")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    page.click("#channel button:nth-child(4)")
    spread = []
    for power in (0, 3):
        page.evaluate(f"amplify.value = {power}; amplify.dispatchEvent(new Event('input'))")
        spread.append(pixels(page, "img[data-version=difference]").std())
    assert spread[1] > 1.5 * spread[0]


def test_sound_is_heard_and_switched_at_the_same_place(visit, reports):
    page = visit(reports / "audio/report.html")
    until(page, "player.players.every(a => a.readyState >= 2)")
    page.keyboard.press("1")
    page.evaluate("player.seek(1.0)")
    page.click("#play")
    until(page, "player.players[0].currentTime > 1.2")
    page.keyboard.press("3")
    page.wait_for_timeout(300)
    state = page.evaluate("player.players.map(a => [a.paused, a.currentTime])")
    assert [paused for paused, _ in state] == [True, True, False, True]
    assert state[2][1] > 1.2
    page.click("#play")
    left = page.evaluate("parseFloat(document.querySelector('.head').style.left)")
    assert left == pytest.approx(100 * page.evaluate("player.players[2].currentTime") / 4, abs=1)
    page.click("#loop")
    assert page.evaluate("player.loop")[0] == pytest.approx(1.8)


QUIET = """
pipeline: audio
input: s.wav
output: o
causal: true
stack:
  - conv: {out_channels: 1, kernel_size: 9}
  - conv: {out_channels: 2, kernel_size: 5, init: {uniform: {a: -0.02, b: 0.02}}}
"""


def test_quiet_sounds_are_scaled_to_the_event_and_heard_so(visit, tmp_path):
    """The gain is what numpy finds in the files, and what is played is as loud as what is drawn."""
    rng = np.random.default_rng(0)
    sound = 0.01 * rng.standard_normal(24_000)
    sound[12_000:12_400] = 0.6 * rng.standard_normal(400)
    soundfile.write(tmp_path / "s.wav", sound.clip(-1, 1), 8000)
    (tmp_path / "a.yaml").write_text(QUIET)
    assert run_program("compare", "a.yaml", "-o", "o", "--quiet", cwd=tmp_path).returncode == 0
    page = visit(tmp_path / "o/report.html")
    assert "a DC offset of" in page.inner_text("footer")
    assert page.input_value("#scale") == "event"
    peaks = {}
    for side in ("causal", "standard"):
        values, _ = soundfile.read(tmp_path / f"o/s.wav/{side}/channel_0.wav")
        peaks[side] = np.abs(values - values.mean())[11_200:15_200].max()
    gains = page.evaluate("data.versions.map((v) => player.levels.gain(v))")
    assert gains[1] == gains[2] == pytest.approx(0.9 / max(peaks.values()), rel=0.01)
    assert f"shown +{20 * np.log10(gains[1]):.1f} dB" in page.inner_text(".track-level >> nth=1")
    page.evaluate("player.seek(1.4)")
    page.click("#play")
    page.evaluate(
        "const {context, nodes} = player.levels.graph; window.meter = context.createAnalyser(); "
        "meter.fftSize = 32768; nodes[1].connect(meter); window.loudest = 0; "
        "window.look = () => { const x = new Float32Array(meter.fftSize); meter.getFloatTimeDomainData(x); "
        "loudest = Math.max(loudest, ...x.map(Math.abs)); return loudest; }"
    )
    until(page, "look() > 0.5")
    page.click("#play")
    drawn = page.evaluate("document.querySelectorAll('.track')[1].querySelector('polygon').getBBox().height")
    page.select_option("#scale", "stored")
    flat = page.evaluate("document.querySelectorAll('.track')[1].querySelector('polygon').getBBox().height")
    assert drawn > 5 * flat
    assert page.evaluate("player.levels.graph.nodes[1].gain.value") == pytest.approx(1)
    page.evaluate("amplify.value = 20; amplify.dispatchEvent(new Event('input'))")
    assert page.evaluate("data.versions.map((v) => player.levels.gain(v))") == pytest.approx([1, 1, 1, 10])


def test_keys_in_quick_succession_leave_one_sound_playing(visit, reports):
    """The console must stay clean: a press before the sound has begun interrupts it."""
    page = visit(reports / "audio/report.html")
    page.wait_for_selector("#play")
    for _ in range(5):
        page.evaluate(
            "for (const key of [' ', '1', '3', '2', ' ', ' '])"
            "document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
        )
        page.keyboard.press("Space")
        page.keyboard.press("3")
    page.wait_for_timeout(300)
    playing = page.evaluate("[...document.querySelectorAll('audio')].filter((a) => !a.paused).length")
    assert playing == (page.inner_text("#play") == "Pause")


def test_the_silence_before_the_clap_is_silent_in_causal_alone(visit, reports):
    page = visit(reports / "audio/report.html")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    heights = {}
    for i, name in ((1, "causal"), (2, "standard")):
        seen = pixels(page, f".track >> nth={i}")
        wave = seen[:82, int(seen.shape[1] * 2.32 / 4) : int(seen.shape[1] * 2.385 / 4)]
        colour = BLUE if name == "causal" else ORANGE
        heights[name] = near(wave, colour, 60).sum(0).mean()
    assert heights["causal"] < 3 < 8 < heights["standard"]


def test_images_are_swiped(visit, reports):
    page = visit(reports / "image/lighthouse.png/report.html")
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")

    def at(part):
        page.evaluate(f"viewer.slider.value = {part}; viewer.slider.dispatchEvent(new Event('input'))")
        return pixels(page, "#swipe")

    left, right, middle = at(1000), at(0), at(500)
    half = left.shape[1] // 2
    assert np.abs(left - right).mean() > 20
    assert np.abs(middle[60:, 10 : half - 10] - left[60:, 10 : half - 10]).mean() < 1
    assert np.abs(middle[60:, half + 10 : -10] - right[60:, half + 10 : -10]).mean() < 1
    box = page.locator("#swipe").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 100)
    assert int(page.evaluate("viewer.slider.value")) == pytest.approx(250, abs=3)


@pytest.mark.parametrize(
    "name",
    ["video/report.html", "audio/report.html", "image/report.html", "image/lighthouse.png/report.html"],
)
def test_pages_fit_a_phone_and_follow_the_theme(visit, reports, name):
    for width in (360, 390, 1400):
        for dark in (False, True):
            page = visit(reports / name, width=width, dark=dark)
            page.wait_for_timeout(300)
            assert faults(page) == [], (width, dark)
    phone = visit(reports / name, width=360, height=740)
    text = phone.evaluate(
        "[...document.querySelectorAll('p, td, button')].map(n => parseFloat(getComputedStyle(n).fontSize))"
    )
    assert min(text) >= 13
    light, dark = pixels(phone, "body"), pixels(visit(reports / name, dark=True), "body")
    assert light[5, 5].min() > 230
    assert dark[5, 5].max() < 40
    phone.click("#theme")
    assert pixels(phone, "body")[5, 5].max() < 40


def test_the_index_leads_to_every_page(visit, reports):
    page = visit(reports / "image/report.html", allowed=["report.html"])
    page.click("text=lighthouse.png")
    page.wait_for_selector("#swipe")
    assert "lighthouse.png" in page.title()


def test_long_media_are_linked_and_play(visit, reports, root, tmp_path):
    """The same page with a limit that no film is under."""
    text = (reports / "video/report.html").read_text()
    folder = reports / "video/lightning.mp4"
    from mediaconv.compare.report.media_links import MediaLinks, data_address

    links = MediaLinks(reports / "video/linked.html", file_bytes=1000)
    for path in folder.rglob("*.mp4"):
        address, linked = links.address(path)
        assert linked
        assert address.startswith("lightning.mp4/")
        text = text.replace(data_address(path.read_bytes(), "video/mp4"), address)
    assert "video/mp4;base64" not in text
    (reports / "video/linked.html").write_text(text)
    page = visit(reports / "video/linked.html", allowed=["lightning.mp4/"])
    loaded(page)
    page.evaluate("player.seek(5)")
    loaded(page)
    assert times(page) == pytest.approx([5.5 / 24] * 4, abs=1e-3)
