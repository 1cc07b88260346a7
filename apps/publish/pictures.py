"""Pictures of a published site, for the documentation: `python -m apps.publish.pictures` writes docs/publish/*.png."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.publish.publishing import publish
from apps.publish.serving import serving
from apps.screenshots import FLAGS, SIZES, chromium, figure, smaller
from workbench.experiments.pool_studies import pool_study
from workbench.experiments.prepare import prepare

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "publish"
PATIENCE = 120_000  # milliseconds
QUESTION = "index.html?q=how+do+I+wait+for+a+few+seconds"


def _search(page: Any) -> None:
    page.locator(".matrix canvas").wait_for(timeout=PATIENCE)
    page.locator(".chip").nth(5).click()


def _lesson(page: Any) -> None:
    page.locator(".demo canvas, .demo .vs, .demo .stages").first.wait_for(timeout=PATIENCE)


def _presented(page: Any) -> None:
    page.locator(".part:visible").wait_for(timeout=PATIENCE)
    for _ in range(3):  # past the paragraphs, to the figure
        page.keyboard.press("ArrowRight")
    page.locator(".demo canvas").wait_for(timeout=PATIENCE)


PICTURES: dict[str, tuple[str, str, Callable[[Any], None]]] = {  # name -> address, look, what is done there
    "search-light": (QUESTION, "light", _search), "search-dark": (QUESTION, "dark", _search),
    "search-narrow": (QUESTION, "narrow", _search), "lesson-light": ("learn.html", "light", _lesson),
    "lesson-dark": ("learn.html", "dark", _lesson),
    "pool-light": ("pool.html?factor=4", "light", figure), "pool-dark": ("pool.html?factor=4", "dark", figure),
    "lesson-narrow": ("learn.html?lesson=maxsim", "narrow", lambda page: page.locator(".steps").wait_for()),
    "presenting-light": ("learn.html?present=yes", "light", _presented),
    "xray-light": ("xray.html", "light", lambda page: page.locator("ol.stages").wait_for()),
}  # fmt: skip


def take(url: str, folder: Path) -> list[Path]:
    """Take the pictures of a site.

    Args:
        url: Where it answers.
        folder: Where they go.

    Returns:
        The files.
    """
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name, (address, look, prepare) in PICTURES.items():
            width, height = SIZES[look]
            scheme: Any = "dark" if look == "dark" else "light"
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.set_default_timeout(PATIENCE)
            page.goto(url + address)
            page.locator("body[data-ready]").wait_for()
            prepare(page)
            page.mouse.move(2, 2)
            page.wait_for_timeout(400)
            file = folder / f"{name}.png"
            file.write_bytes(smaller(page.screenshot()))
            files.append(file)
            page.close()
        browser.close()
    return files


def main() -> None:
    """Publish the embedded collection and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the pictures")
    parser.add_argument("--site", type=Path, help="a site that is there; without, one is published")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="site-") as scratch:
        folder = options.site or Path(scratch) / "site"
        if options.site is None:
            list(pool_study(prepare("embedded", "embedded")))  # a site holds the study that was measured before
            publish(folder)
        with serving(folder) as url:
            for file in take(url, options.output):
                print(file)


if __name__ == "__main__":
    main()
