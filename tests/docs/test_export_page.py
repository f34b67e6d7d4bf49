"""The page of docs/examples/export in a real Chromium: it gives what `mediaconv run` wrote."""

from __future__ import annotations

import base64
import functools
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from tests.browser import browser, until  # noqa: F401

PAGE = Path(__file__).parents[2] / "docs" / "examples" / "export"

pytestmark = [pytest.mark.browser, pytest.mark.long]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page with onnxruntime-web beside it, as its package.json asks npm for, on this machine alone."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: it brings onnxruntime-web")
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    if done.returncode:
        pytest.skip(f"npm brings no onnxruntime-web here: {done.stderr.strip().splitlines()[-1:]}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    thread.join()
    server.server_close()


def converted(browser, address, folder, media):  # noqa: F811
    """What the page gives for a step, its JSON file and a sound or picture."""
    page = browser.new_page()
    problems, elsewhere = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(address)
    page.set_input_files("#step", folder / "step.onnx")
    page.set_input_files("#facts", folder / "step.json")
    page.set_input_files("#media", media)
    page.click("#run")
    until(page, "document.getElementById('status').textContent !== 'running'", seconds=120)
    assert "channels of" in page.text_content("#status"), page.text_content("#status")
    assert not problems
    local = (address.rsplit("/", 1)[0], "blob:", "data:")
    assert all(url.startswith(local) for url in elsewhere)
    text = page.evaluate("""() => {
      const bytes = new Uint8Array(result.data.buffer); let text = "";
      for (let i = 0; i < bytes.length; i += 8192) {
        text += String.fromCharCode(...bytes.subarray(i, i + 8192));
      }
      return btoa(text);
    }""")
    channels, length, rest = page.evaluate("[result.channels, result.length, result.rest]")
    shown = page.locator("figure").count()
    page.close()
    assert shown == channels
    return base64.b64decode(text), (channels, length, rest)


def test_a_sound_stack_gives_the_files_of_a_run(mediaconv, root, tmp_path, browser, address):  # noqa: F811
    config, sound = root / "configs/audio_standard.yaml", root / "data/audio/melody_clap.wav"
    mediaconv("run", config, "--input", sound, "--output", "out")
    mediaconv("export", config, "-o", "step.onnx", "--chunk", 4096, "--normalize", "--input", sound)
    data, shape = converted(browser, address, tmp_path, sound)
    y = np.frombuffer(data, np.int16).reshape(shape[:2])
    files = sorted(tmp_path.glob("out/**/channel_*.wav"))
    written = np.stack([soundfile.read(path, dtype="int16")[0] for path in files])
    # float32 sums run in another order: a value on the edge between two samples may become either
    assert np.abs(y.astype(int) - written).max() <= 1
    assert (y != written).mean() < 1e-3


def test_an_image_stack_gives_the_files_of_a_run(mediaconv, root, tmp_path, browser, address):  # noqa: F811
    (tmp_path / "own.yaml").write_text(
        "pipeline: image\nstack:\n"
        "  - conv: {out_channels: 6, kernel_size: 5}\n  - relu\n"
        "  - conv: {out_channels: 2, kernel_size: 3, dilation: 2}\nnormalize: {sigmoid: {gain: 4}}\n"
    )
    picture = root / "data/image/lighthouse.png"
    mediaconv("run", "own.yaml", "--input", picture, "--output", "out")
    mediaconv("export", "own.yaml", "-o", "step.onnx", "--chunk", 20, "--normalize", "--input", picture)
    data, shape = converted(browser, address, tmp_path, picture)
    y = np.frombuffer(data, np.uint8).reshape(shape)
    files = sorted(tmp_path.glob("out/**/channel_*.png"))
    written = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files])
    # float32 sums run in another order: a value on the edge between two samples may become either
    assert np.abs(y.astype(int) - written).max() <= 1
    assert (y != written).mean() < 1e-4
