"""Makes the pictures of docs/explanation/causality.md with the program itself.

python docs/tools/causality_pictures.py

Needs playwright and a Chromium (`chromium` on the path), because the pictures are parts of real reports.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
MEDIA = {"video": "video/lightning.mp4", "audio": "audio/melody_clap.wav", "image": "image/lighthouse.png"}


def main() -> None:
    """Compare the samples, photograph the reports, draw the lesson."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, media in MEDIA.items():
            config, out = f"configs/{kind}_causal.yaml", Path(folder, kind)
            run("compare", config, "-i", f"data/{media}", "-o", out, "-q")
        run("demo", "forecast", "-o", Path(folder, "forecast"), "-q")
        shutil.copy(Path(folder, "forecast/forecast.png"), IMAGES / "causality-forecast.png")
        with sync_playwright() as playwright:
            path, flags = shutil.which("chromium"), ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=path, args=flags)
            for kind in MEDIA:
                page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme="light")
                page.goto(Path(folder, kind, "report.html").as_uri())
                page.wait_for_timeout(2500)
                photograph(page, kind)
            browser.close()


def run(*words: object) -> None:
    """One command of the program."""
    subprocess.run([sys.executable, "-m", "mediaconv.cli.main", *map(str, words)], cwd=ROOT, check=True)


def photograph(page: Page, kind: str) -> None:
    """The parts of a report that the page in docs shows."""
    if kind == "video":
        page.evaluate("player.seek(18)")
        page.wait_for_timeout(800)
        page.locator(".tiles").screenshot(path=IMAGES / "causality-film.png")
        page.locator("#timeline").screenshot(path=IMAGES / "causality-timeline.png")
        page.locator("section.card:last-of-type .two").screenshot(path=IMAGES / "causality-reads.png")
        page.locator("#reaction").screenshot(path=IMAGES / "causality-preecho-film.png")
    elif kind == "audio":
        page.locator(".tracks").screenshot(path=IMAGES / "causality-sound.png")
        page.locator("#reaction").screenshot(path=IMAGES / "causality-preecho-sound.png")
    else:
        page.locator("#swipe").screenshot(path=IMAGES / "causality-image.png")


if __name__ == "__main__":
    main()
