"""Pictures of an explained pair for slides: a file that opens offline, SVG, PNG, and the step-through as GIF or WebM.

The page itself is the source: a browser of this machine opens it, and what it shows is what is saved.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apps.screenshots import FLAGS, chromium
from engine.errors import InputError, missing_extra
from engine.files import replace_bytes, require_place
from workbench.workspace import Workspace

STILL = {".html": ".as-page", ".svg": ".as-drawing", ".png": ".as-picture"}  # -> the entry of the page's own menu
MOVING = (".gif", ".webm")
STEP, LAST = 1400, 3000  # milliseconds that a step stays, and the last one
COLOURS = 128
WIDTHS = (320, 3840)
RECORD = """
async ([frames, step, last]) => {
  const images = await Promise.all(frames.map(async (data) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    return image;
  }));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [images[0].width, images[0].height];
  const pen = canvas.getContext("2d"), chunks = [];
  const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: "video/webm", videoBitsPerSecond: 4e6 });
  recorder.ondataavailable = ({ data }) => chunks.push(data);
  const done = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (const [i, image] of images.entries()) {
    for (const end = performance.now() + (i + 1 < images.length ? step : last); performance.now() < end; ) {
      pen.drawImage(image, 0, 0);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  recorder.stop();
  await done;
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}
"""


def check_picture(path: Path, width: int) -> None:
    """Refuse a file that cannot be made, before anything is loaded.

    Raises:
        InputError: another suffix, a width that no screen has, or a place that cannot be written.
        NotFoundError: there is no browser on this machine.
        MissingExtraError: Playwright, which drives it, is not installed.
    """
    known = (*STILL, *MOVING)
    if path.suffix.lower() not in known:
        raise InputError(f"Expected a file that ends with {', '.join(known)}, got {path.name!r}: choose one of them.")
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise InputError(f"Expected a width from {WIDTHS[0]} to {WIDTHS[1]} pixels, got {width}: choose 1000.")
    require_place(path)
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise missing_extra("playwright", "dev", "Playwright, which drives the browser, is not installed") from None
    chromium()


def save_explained(
    workspace: Workspace, path: str | Path, question: str, document: str = "", level: str = "words", dark: bool = False,
    width: int = 1000, progress: Callable[[int, int], None] | None = None,
) -> Path:  # fmt: skip
    """Save the explanation of a pair as a file.

    Args:
        workspace: It searches and explains.
        path: .html, .svg and .png hold the page; .gif and .webm the step-through.
        question: The question.
        document: The id of a document; the best for the question when empty.
        level: "words" or "pieces".
        dark: In the dark theme.
        width: Of the picture in pixels; a page of a .html has that of its window.
        progress: Called with (steps done, all).

    Returns:
        The file.

    Raises:
        InputError: see `check_picture`; or the page answers with a sentence.
    """
    from playwright.sync_api import sync_playwright

    from apps.explorer import serve

    target = Path(path)
    check_picture(target, width)
    state = {
        "q": question,
        "doc": document,
        "level": "" if level == "words" else level,
        "__theme": "dark" if dark else "light",
    }
    server = serve(workspace)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
            page.goto(server.url + "?" + urlencode({key: value for key, value in state.items() if value}))
            page.locator(".matrix canvas, [role=alert]").first.wait_for(timeout=60_000)
            if page.locator("[role=alert]").count():
                raise InputError(page.locator("[role=alert]").first.inner_text())
            content = _still(page, target) if target.suffix.lower() in STILL else _moving(page, target, progress)
            browser.close()
    finally:
        server.stop()
    replace_bytes(target, content)
    return target


def _still(page: Any, target: Path) -> bytes:
    page.locator(".menu > summary").click()
    with page.expect_download(timeout=60_000) as saved:
        page.locator(STILL[target.suffix.lower()]).click()
    return Path(saved.value.path()).read_bytes()


def _moving(page: Any, target: Path, progress: Callable[[int, int], None] | None) -> bytes:
    page.get_by_role("button", name="Step through").click()
    card, steps = page.locator(".pair > .card").first, page.locator(".steps")
    total = page.locator(".chip").count()
    frames = []
    for step in range(total + 1):
        if step:
            steps.focus()
            page.keyboard.press("ArrowRight")
        page.evaluate("document.activeElement.blur()")  # no ring around what a reader cannot press
        frames.append(card.screenshot(animations="disabled"))
        if progress is not None:
            progress(step, total)
    return _gif(frames) if target.suffix.lower() == ".gif" else _webm(page, frames)


def _framed(frames: list[bytes]) -> list[Any]:
    """Pictures of one size: a line more or less in the text of a step must not move the rest."""
    from PIL import Image

    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    size = (max(image.width for image in images), max(image.height for image in images))
    found = []
    for image in images:
        paper: Any = image.getpixel((image.width // 2, image.height - 3))
        canvas = Image.new("RGB", size, paper)
        canvas.paste(image, (0, 0))
        found.append(canvas)
    return found


def _gif(frames: list[bytes]) -> bytes:
    images = [image.quantize(COLOURS, dither=0) for image in _framed(frames)]
    stay = [STEP] * (len(images) - 1) + [LAST]
    stream = io.BytesIO()
    images[0].save(stream, "GIF", save_all=True, append_images=images[1:], duration=stay, loop=0, optimize=True)
    return stream.getvalue()


def _webm(page: Any, frames: list[bytes]) -> bytes:
    pictures = []
    for image in _framed(frames):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        pictures.append(base64.b64encode(stream.getvalue()).decode())
    return base64.b64decode(page.evaluate(RECORD, [pictures, STEP, LAST]))
