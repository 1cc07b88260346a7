"""Pictures of every page, for the documentation: `python -m apps.screenshots` writes docs/screenshots/*.png.

The pages run on the embedded collection, and what they show is measured while the pictures are taken.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.registry import pages
from engine.errors import NotFoundError

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "screenshots"
LARGEST = 116_000  # bytes of a picture, where 32 colours and more keep it below
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
RUN = 900_000  # milliseconds that a measurement may take


def chromium() -> str:
    """Path of a Chromium on this machine.

    Raises:
        NotFoundError: there is none.
    """
    path = os.environ.get("WORKBENCH_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise NotFoundError("No Chromium was found: install one (Debian: apt-get install chromium).")
    return path


def opened(name: str) -> Callable[[Any, str], None]:
    """The state of a page that has none of its own here: as a first visit finds it."""

    def state(page: Any, url: str) -> None:
        page.goto(f"{url}{name}")
        page.locator(".page.ready, main").first.wait_for()

    return state


def figure(page: Any) -> None:
    """Wait until the figure of a page is drawn."""
    page.locator(".plot .main-svg").first.wait_for()
    page.wait_for_timeout(300)


def search(page: Any, url: str) -> None:
    """A question, its documents, and one token chosen."""
    page.goto(url)
    page.locator(".matrix canvas").wait_for()
    page.locator(".chip").nth(min(7, page.locator(".chip").count() - 1)).click()
    page.mouse.move(2, 2)


def pool(page: Any, url: str) -> None:
    """A finished study at factor 4."""
    page.goto(f"{url}pool?factor=4")
    page.locator(".merged").wait_for()
    if not page.locator(".plot .main-svg").count():
        page.locator(".start").click()
    page.get_by_text("factors measured in").wait_for(timeout=RUN)
    figure(page)


def indexes(page: Any, url: str) -> None:
    """A finished comparison of three indexes that are quick to build, one of them at two sizes."""
    page.goto(f"{url}indexes?index=plaid")
    page.locator(".page.ready").wait_for()
    if not page.locator("table.records").count():
        for box in page.locator(".kinds input:not([disabled])").all():
            box.set_checked(box.get_attribute("value") in ("exact", "plaid", "hnsw"))
        page.locator(".extra").fill("plaid:bits=1")
        page.locator(".start").click()
        page.locator(".stop").wait_for()
        page.locator(".stop").wait_for(state="hidden", timeout=RUN)
    figure(page)


def explorer(page: Any, url: str) -> Any:
    """The model and one that was trained here, each from all of its vectors to few and coarse ones, and a budget."""
    page.goto(f"{url}pool")
    other = page.get_by_label("Compare with a model")
    page.locator(".start-grid").wait_for()
    if not other.count():  # no model was trained here yet
        train(page, url)
        page.goto(f"{url}pool")
        other.wait_for()
    other.select_option(index=1)
    page.wait_for_timeout(1000)  # what was measured of both comes back
    if not page.locator(".explorer .main-svg").count():
        page.locator(".start-grid").click()
        measured = 0
        while measured < EXPLORED:
            page.wait_for_timeout(500)
            told = re.match(r"(\d+) (?:of \d+ )?points", page.locator(".grid-progress").inner_text())
            measured = int(told[1]) if told else 0
        page.locator(".stop-grid").click()
    page.get_by_text(re.compile(r"Stopped after|points measured in")).wait_for(timeout=RUN)
    page.get_by_label("Amount of the budget").fill("4000")
    figure(page)
    return page.locator(".explorer")


def systems(page: Any, url: str) -> None:
    """The default comparison, finished, and the questions that two systems answer most differently."""
    page.goto(f"{url}systems?system=bm25%3Ak%3D1000%20%3E%20maxsim")
    page.locator(".page.ready").wait_for()
    if not page.locator("table.records").count():
        page.locator(".start").click()
        page.locator(".stop").wait_for()
        page.locator(".stop").wait_for(state="hidden", timeout=RUN)
    figure(page)
    page.locator(".pair .asked").first.wait_for()


def reasons(page: Any, url: str) -> None:
    """Why two systems answer a question differently, and a document's way through one of them."""
    systems(page, url)
    page.get_by_label("First system").select_option("bm25")
    page.get_by_label("Second system").select_option("exact")
    page.get_by_text("exact against bm25").wait_for()
    page.locator(".pair .asked").nth(1).locator("button").first.click()
    page.locator(".word-bars").first.wait_for()
    page.wait_for_timeout(1500)  # the page moves there


def xray(page: Any, url: str) -> None:
    """A document's way, and where the collection loses documents."""
    page.goto(f"{url}xray")
    page.locator("ol.stages").wait_for(timeout=60_000)
    page.locator(".start").click()
    page.locator(".survey table").wait_for(timeout=RUN)


def train(page: Any, url: str) -> None:
    """A short run on three pool factors, finished, with what pooling costs before and after."""
    page.goto(f"{url}train?steps=40&every=20&factors=1,2,4")
    page.locator(".page.ready").wait_for()
    page.locator("button[type=submit]").click()
    page.locator(".result .lead").wait_for(timeout=RUN)
    figure(page)


def images(page: Any, url: str) -> None:
    """A document printed on a page, and one token chosen."""
    page.goto(f"{url}images?token=7")
    page.locator(".patches img").wait_for()
    page.wait_for_timeout(300)


def printed(page: Any) -> list[dict[str, Any]]:
    """Pages of this documentation as PDF files, as people have theirs."""
    from markdown import markdown

    sheet, files = page.context.browser.new_page(), []
    for name in PRINTED:
        body = markdown((DOCS / f"{name}.md").read_text(encoding="utf-8"), extensions=["tables", "fenced_code"])
        sheet.set_content(f"<style>body {{font: 11pt/1.5 serif}} pre {{white-space: pre-wrap}}</style>{body}")
        paper = sheet.pdf(format="A5", margin=dict.fromkeys(("top", "bottom", "left", "right"), "16mm"))
        files.append({"name": f"{name}.pdf", "mimeType": "application/pdf", "buffer": paper})
    sheet.close()
    return files


def own(page: Any, url: str) -> None:
    """Four PDF files, cut into passages and indexed."""
    page.goto(f"{url}own?source=files")
    page.locator(".page.ready").wait_for()
    page.locator("input[type=file]").set_input_files(printed(page))
    page.locator("select.cut").select_option("passages")
    page.locator(".size").fill("100")
    page.locator(".more-options summary").click()
    page.locator(".name-of").fill("handbook")
    page.locator("button[type=submit]").click()
    page.locator(".result .lead").wait_for(timeout=RUN)
    page.wait_for_timeout(300)


def paper(page: Any, url: str) -> None:
    """A passage of one of those files, and the picture of its page."""
    own(page, url)
    page.get_by_role("link", name="Search it").click()
    page.get_by_role("searchbox").fill("who can read what a server holds")
    page.get_by_role("searchbox").press("Enter")
    page.locator(".count").filter(has_text="ms").wait_for()
    page.get_by_role("button", name="Show the page").click()
    page.locator(".page-picture img").wait_for()
    page.mouse.move(2, 2)
    page.wait_for_timeout(500)


def dashboard(page: Any, url: str) -> None:
    """The leaderboard and two runs, with the question that lost most."""
    page.goto(url)
    page.get_by_text("Every question as a point").wait_for(timeout=60_000)
    page.wait_for_timeout(1500)


PRINTED = ("safety", "determinism", "install", "comparison")
EXPLORED = 20  # points of the explorer: both models from their largest to their smallest
STATES: dict[str, Callable[[Any, str], Any]] = {  # what one returns is the part of the page that is taken
    "search": search, "pool": pool, "indexes": indexes, "systems": systems, "xray": xray, "train": train,
    "images": images, "own": own, "dashboard": dashboard, "reasons": reasons, "paper": paper, "explorer": explorer,
}  # fmt: skip
BESIDE = ("reasons", "paper", "explorer")  # other states of these pages, in light only
ONCE = ("train",)  # what takes minutes and is lost with its page
FIRST_SIGHT = ("search", "reasons", "paper")  # taken as high as a window, not as the page
SIZES = {"light": (1280, 900), "dark": (1280, 900), "narrow": (375, 1100), "wide": (1920, 1080)}
KEPT = ("light", "dark", "narrow")  # as documentation; the rest is only taken when asked for


def smaller(png: bytes) -> bytes:
    """The same picture in as many colours as fit the limit."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (128, 64, 32):
        target = io.BytesIO()
        few = image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare hues stay
        few.save(target, "PNG", optimize=True)
        if target.tell() <= LARGEST:
            break
    return target.getvalue()


def take(url: str, folder: Path, names: list[str], looks: tuple[str, ...] = KEPT) -> list[Path]:
    """Take the pictures.

    Args:
        url: Where the explorer answers.
        folder: Where they go.
        names: Of pages or states, or "dashboard", whose address `url` is then.
        looks: Among "light", "dark", "narrow" and "wide".

    Returns:
        The files.
    """
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name in names:
            page, part = None, None
            for look in looks:
                if name in BESIDE and look != "light":
                    continue
                width, height = SIZES[look]
                scheme = "dark" if look == "dark" else "light"
                if page is None:
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    part = STATES.get(name, opened(name))(page, url)
                else:  # the same run in another look
                    page.emulate_media(color_scheme=scheme)
                    page.set_viewport_size({"width": width, "height": height})
                    page.wait_for_timeout(2000)
                whole = look in ("light", "dark") and name not in FIRST_SIGHT
                file = folder / f"{name}-{look}.png"
                file.write_bytes(smaller(page.screenshot(full_page=whole) if part is None else part.screenshot()))
                files.append(file)
                if name not in ONCE:
                    page.close()
                    page = None
        browser.close()
    return files


def main() -> None:
    """Serve the embedded collection and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the pictures")
    parser.add_argument("--url", help="of an explorer (or dashboard) that runs already; without, one is started")
    parser.add_argument("--wide", action="store_true", help="also as a projector shows them, 1920 pixels across")
    parser.add_argument("pages", nargs="*", help=f"of pages, {', '.join(BESIDE)}, or dashboard; all but it without")
    options = parser.parse_args()
    named = [page.name for page in pages() if page.name != "learn"]  # apps.publish.pictures takes the lessons
    names, looks = options.pages or [*named, *BESIDE], (*KEPT, *(("wide",) if options.wide else ()))
    server: Any = None
    if options.url is None and names == ["dashboard"]:
        from apps.dashboard import serve as serve_dashboard

        server = serve_dashboard()
    elif options.url is None:
        from apps.explorer import serve
        from workbench.workspace import open_workspace

        server = serve(open_workspace())
    try:
        for file in take(options.url or server.url, options.output, names, looks):
            print(file)
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
